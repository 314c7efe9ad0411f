"""The folder of an export, written atomically, with a description for programs and a README for people."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from distingo.errors import ResourceError, option
from distingo.exporting.agreement import Agreement
from distingo.models.saved import SavedModel
from distingo.runs.config import read_model_facts
from distingo.runtime.description import INPUT, ExportDescription, ExportFormat, Precision
from distingo.version import __version__

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no flock
    fcntl = None  # type: ignore[assignment]


def require_free(target: Path) -> None:
    """Raise an error if a path exists.

    Raises:
        ResourceError: The path exists.
    """
    if target.exists() or target.is_symlink():
        raise ResourceError(
            f"{target}: exists already; choose another {option('output')}", code="already_exists", parameter="output"
        )


def _remove_abandoned(target: Path) -> None:
    """Remove temporary folders of killed processes for this path; a running process holds a lock on its folder."""
    name = re.compile(re.escape(f".{target.name}.") + "[a-z0-9_]{8}")
    for path in target.parent.iterdir():
        if not name.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if {entry.name for entry in path.iterdir()} <= {target.name}:
            with suppress(OSError), _locked(path):
                shutil.rmtree(path)


@contextmanager
def _locked(folder: str | Path) -> Iterator[None]:
    """Hold a lock on a folder.

    Raises:
        OSError: Another process holds it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def appearing_folder(target: Path) -> Iterator[Path]:
    """Context manager for a temporary folder, which is renamed to its final path on success.

    Args:
        target: Final path, which must not exist.

    Raises:
        ResourceError: The path exists or can't be written, or the disk is full.
    """
    require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary, _locked(temporary):
            folder = Path(temporary) / target.name
            folder.mkdir()
            yield folder
            require_free(target)
            folder.rename(target)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ResourceError(
                f"{target}: the disk is full; free some space and run the same command again", code="disk_full"
            ) from error
        reason = error.strerror or type(error).__name__
        raise ResourceError(
            f"{target}: can't be written ({reason}); choose another place", code="cannot_write", parameter="output"
        ) from error


def describe_export(
    model: SavedModel, folder: Path, exported_as: ExportFormat, precision: Precision, *, in_graph: bool
) -> ExportDescription:
    """Describe an export before its comparison with the original.

    Args:
        model: The exported model.
        folder: The ``model`` folder that it was read from.
        exported_as: The format.
        precision: Precision of weights and computation.
        in_graph: Whether the model resizes images itself.
    """
    of = model.description
    assert of.image_spec is not None
    weights = read_model_facts(folder).weights_hash
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return ExportDescription(
        exported_as=exported_as,
        precision=precision,
        task=of.task,
        classes=of.classes,
        image_spec=of.image_spec,
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


def _model_facts(model: SavedModel) -> dict[str, object]:
    of = model.description
    if of.backbone is None:
        return {"name": of.name, "kind": of.kind}
    backbone = of.backbone
    name = f"{backbone.architecture}.{backbone.tag}" if backbone.tag else backbone.architecture
    facts = {"name": name, "kind": of.kind, "mode": of.mode, "head": of.head, "license": backbone.license}
    return {key: value for key, value in facts.items() if value}


def describe_agreement(agreement: Agreement, calibrated: str) -> dict[str, object]:
    """Return the figures of the comparison for ``distingo.json``."""
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
    """Return the text of the export's README."""
    shape = "(" + ", ".join(map(str, description.input_shape)) + ")"
    form = _PROGRAM if description.exported_as == "torch-export" else _README
    return form.format(
        name=description.model["name"],
        format=description.exported_as,
        precision=description.precision,
        task="One label per picture" if description.task == "single-label" else "Any number of labels per picture",
        n=len(description.classes),
        classes=", ".join(description.classes),
        file=description.file,
        input=INPUT,
        shape=shape,
        resized="of any size: the model resizes them" if description.in_graph else "resized by Pillow beforehand",
        words=agreement.words,
        install="`pip install distingo-runtime`" + (" openvino" if description.exported_as == "openvino" else ""),
        folder=folder,
    )
