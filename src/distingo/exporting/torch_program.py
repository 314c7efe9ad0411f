"""A network as a program of ``torch.export``."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import numpy as np
import torch

from distingo.exporting.networks import ExportableNetwork, WholePicture
from distingo.exporting.onnx_graph import trace
from distingo.files import write_bytes
from distingo.models.saved import SavedModel
from distingo.run_folder import EXPORT_FILE
from distingo.runtime.description import (
    PREPROCESSING_FILE,
    ExportDescription,
)
from distingo.runtime.engines import Run

_EXAMPLE = (301, 401)
"""No side of any rendition, so that the tracer takes none for a constant."""


def write_program(model: SavedModel, folder: Path, description: ExportDescription) -> None:
    """Write ``model.pt2``, which holds description and preprocessing as extra files.

    Args:
        model: With a network.
        folder: Where to write.
        description: Of the model.

    Raises:
        ModelError: The network can't be traced.
    """
    rendition = description.rendition
    network: torch.nn.Module = ExportableNetwork(model, half=description.precision == "half")
    sides, channels = (rendition.height, rendition.width), rendition.channels
    if description.in_graph:
        network, sides, channels = WholePicture(network, rendition), _EXAMPLE, 3
    program = trace(network, torch.zeros((2, *sides, channels), dtype=torch.uint8), any_size=description.in_graph)
    extra = {
        EXPORT_FILE: json.dumps(description.facts, ensure_ascii=False),
        PREPROCESSING_FILE: json.dumps(description.preprocessing, ensure_ascii=False),
    }
    content = io.BytesIO()  # torch aborts the process where it meets a full disk itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, content, extra_files=extra)
    write_bytes(folder / description.file, content.getvalue())


def open_program(folder: Path, description: ExportDescription) -> Run:
    """Load a written program, to check it."""
    module = torch.export.load(folder / description.file).module()

    @torch.inference_mode()
    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, features = module(torch.from_numpy(pictures))
        return probabilities.numpy(), features.numpy()

    return run
