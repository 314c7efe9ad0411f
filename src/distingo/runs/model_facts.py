"""What pages, model cards and exports need to know of a saved model, from its ``model.json`` and without torch.

`distingo.models.saved` writes the file, and reads all of it to load the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distingo.runs.fields import read_record


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The images that a network takes."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """The pretrained backbone; see `distingo.models.backbones.BackboneDescription`."""

    architecture: str
    tag: str = ""
    source: str = ""
    place: str = ""
    licence: str = ""
    weights_hash: str = ""

    @property
    def name(self) -> str:
        """As timm names it."""
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture


@dataclass(frozen=True, slots=True)
class ModelProvenance:
    """Where the model comes from."""

    distingo: str = ""
    trained: str = ""
    train_content_hash: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A part of ``model.json``; the fields are those of `distingo.models.saved.ModelDescription`.

    Attributes:
        name: Its name in the catalog.
        kind: ``network``, ``pretrained`` or ``classic``.
        mode: ``scratch``, ``frozen`` or ``finetune``.
        head: Of a pretrained model.
        rendition: The images that a network takes; None for a classic model.
        backbone: Of a pretrained model.
        provenance: Where it comes from.
        weights_hash: Of ``model.safetensors``.
    """

    name: str = ""
    kind: str = ""
    mode: str = ""
    head: str = ""
    rendition: ModelInput | None = None
    backbone: BackboneFacts | None = None
    provenance: ModelProvenance = ModelProvenance()
    weights_hash: str = ""


def read_model_facts(model: Path) -> ModelFacts:
    """Read the facts of a saved model.

    Args:
        model: Its folder.

    Raises:
        RunError: ``model.json`` is missing, damaged or from a newer version.
    """
    return read_record(model / "model.json", ModelFacts, advice="train again, or restore it")
