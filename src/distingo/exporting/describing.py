"""What is written down about an export, for machines and for a person."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distingo.exporting.agreement import Agreement
from distingo.files import read_json
from distingo.models.saved import SavedModel
from distingo.runtime.description import ExportDescription, ExportFormat, Precision
from distingo.version import __version__


def describe_export(
    model: SavedModel, folder: Path, exported_as: ExportFormat, precision: Precision, *, in_graph: bool
) -> ExportDescription:
    """An export's description before its check.

    Args:
        model: What is exported.
        folder: The ``model`` folder that it was read from.
        exported_as: The format.
        precision: Of weights and computing.
        in_graph: Whether the model resizes pictures itself.
    """
    of = model.description
    assert of.rendition is not None
    weights = read_json(folder / "model.json").get("weights_hash", "")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return ExportDescription(
        exported_as=exported_as,
        precision=precision,
        task=of.task,
        classes=of.classes,
        rendition=of.rendition,
        in_graph=in_graph,
        value_ranges=of.value_ranges,
        thresholds=of.require_thresholds() if of.task == "multi-label" else None,
        calibration=None if of.calibration is None else asdict(of.calibration),
        model=_model_facts(model),
        provenance={
            **of.provenance,
            "weights_hash": weights,
            "exported": now,
            "exported_by": f"distingo {__version__}",
        },
    )


def _model_facts(model: SavedModel) -> dict[str, Any]:
    of = model.description
    if of.backbone is None:
        return {"name": of.name, "kind": of.kind}
    backbone = of.backbone
    name = f"{backbone.architecture}.{backbone.tag}" if backbone.tag else backbone.architecture
    facts = {"name": name, "kind": of.kind, "mode": of.mode, "head": of.head, "licence": backbone.licence}
    return {key: value for key, value in facts.items() if value}


def describe_agreement(agreement: Agreement, calibrated: str) -> dict[str, Any]:
    """The check's figures for ``distingo.json``."""
    facts = {**asdict(agreement), "share_same": round(agreement.share, 6)}
    if calibrated:
        facts["int8_ranges_by"] = calibrated
    return {name: value for name, value in facts.items() if value is not None}


_README = """# {name}, exported by distingo as {format} ({precision})

{task} of {n} classes: {classes}.

- `{file}`: the model. It takes `{input}`, uint8 {shape} (RGB, {resized}), and gives
  `probabilities` (calibrated) and `features`.
- `preprocessing.json`: what happens to a decoded picture, and where.
- `distingo.json`: classes, thresholds, calibration, provenance and the check's figures.
- `confidence.json`, `bank.npz` (where the model has them): what `abstain`, `coverage` and `unlike` go by.

Checked against the original: {words}.

Without torch, in an environment of its own: {install}

```python
from distingo.runtime import Runtime

for prediction in Runtime("{folder}").predict(["photo.jpg"], topk=3):
    print(prediction.label, prediction.confidence)
```
"""

_PROGRAM = """# {name}, exported by distingo as {format} ({precision})

{task} of {n} classes: {classes}.

`{file}` takes uint8 {shape} (RGB, {resized}) and gives calibrated probabilities and features; `distingo.json` and
`preprocessing.json` say the rest, and are in it as extra files.

Checked against the original: {words}.

```python
import torch

probabilities, features = torch.export.load("{folder}/{file}").module()(pictures)
```
"""


def describe_for_person(description: ExportDescription, agreement: Agreement, folder: str) -> str:
    """The export's README."""
    shape = "(" + ", ".join(map(str, description.preprocessing["input"]["shape"])) + ")"
    form = _PROGRAM if description.exported_as == "torch-export" else _README
    return form.format(
        name=description.model["name"],
        format=description.exported_as,
        precision=description.precision,
        task="One label per picture" if description.task == "single-label" else "Any number of labels per picture",
        n=len(description.classes),
        classes=", ".join(description.classes),
        file=description.file,
        input=description.preprocessing["input"]["name"],
        shape=shape,
        resized="of any size: the model resizes them" if description.in_graph else "resized by Pillow beforehand",
        words=agreement.words,
        install="`pip install distingo-runtime`" + (" openvino" if description.exported_as == "openvino" else ""),
        folder=folder,
    )
