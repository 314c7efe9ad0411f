"""A model to the file of a format, ready to be checked."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from distingo.evaluation.reading import RunRecords
from distingo.exporting.networks import ExportableNetwork
from distingo.exporting.onnx_graph import describe_in_metadata, join_preprocessing, network_graph, store_as_half
from distingo.exporting.onnx_preprocessing import PIXELS
from distingo.exporting.openvino_model import convert_to_openvino, write_openvino
from distingo.exporting.openvino_quantising import quantise_openvino
from distingo.exporting.original import original_answers
from distingo.exporting.pictures import pictures_of_run, rendered
from distingo.exporting.quantising import PICTURES, quantise
from distingo.exporting.torch_program import open_program, write_program
from distingo.models.saved import SavedModel
from distingo.runtime.description import INPUT, ExportDescription, ExportFormat, Precision
from distingo.runtime.engines import Run, open_engine

_log = logging.getLogger(__name__)


class Writer:
    """Writes one model in one format; what several attempts share is made once.

    Args:
        model: With a network.
        records: Its run, whose training pictures 8-bit integers are calibrated on.
        exported_as: The format.
        precision: Of weights and computing.
    """

    def __init__(self, model: SavedModel, records: RunRecords, exported_as: ExportFormat, precision: Precision) -> None:
        self.model, self.records = model, records
        self.exported_as, self.precision = exported_as, precision
        self.ranges_by = ""

    def write(self, folder: Path, description: ExportDescription) -> Run:
        """Write the model's file.

        Args:
            folder: Where to write.
            description: What to write.

        Returns:
            What runs it, read back from the file.

        Raises:
            ModelError: The network can't be written in this format.
            DataError: There is no picture to calibrate on.
        """
        if self.exported_as == "torch-export":
            _log.info("tracing the network")
            write_program(self.model, folder, description)
            return open_program(folder, description)
        if self.exported_as == "openvino":
            write_openvino(self._openvino(), folder, description)
        else:
            self._write_onnx(folder, description)
        return open_engine(folder, description)

    def _write_onnx(self, folder: Path, description: ExportDescription) -> None:
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(self._network)
        if description.in_graph:
            model = join_preprocessing(model, description.rendition)
        else:
            _rename_input(model)
        describe_in_metadata(model, description)
        onnx.checker.check_model(model)
        onnx.save(model, folder / description.file)

    def _openvino(self) -> Any:
        model = convert_to_openvino(self._graph(INPUT))
        if self.precision == "int8":
            self.ranges_by = "NNCF"
            model = quantise_openvino(model, self._calibration_rows())
        return model

    @cached_property
    def _network(self) -> Any:
        """`onnx.ModelProto` from rendered pictures on."""
        graph = self._graph(PIXELS)
        if self.precision == "int8":
            rows = self._calibration_rows()
            said = original_answers(self.model, rows)[0]
            several = self.model.description.task == "multi-label"
            graph, self.ranges_by = quantise(graph, rows, said, several=several)
        elif self.precision == "half":
            store_as_half(graph)
        return graph

    def _graph(self, name: str) -> Any:
        _log.info("tracing the network")
        rendition = self.model.description.rendition
        assert rendition is not None
        return network_graph(ExportableNetwork(self.model), rendition, name)

    def _calibration_rows(self) -> np.ndarray:
        rendition = self.model.description.rendition
        assert rendition is not None
        rows = rendered(
            pictures_of_run(self.records, ("train",), PICTURES), rendition, self.model.description.value_ranges
        )
        _log.info("calibrating 8-bit integers on %s training pictures", f"{len(rows):,}")
        return rows


def _rename_input(model: Any) -> None:
    old = model.graph.input[0].name
    model.graph.input[0].name = INPUT
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = INPUT
