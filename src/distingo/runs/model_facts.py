"""The part of ``model.json`` that pages, model cards and exports need, readable without torch.

`distingo.models.saved` writes the file, and reads all of it to load the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distingo.runs.fields import read_record


@dataclass(frozen=True, slots=True)
class ModelInput:
    """Size of a network's input in pixels, and number of channels."""

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
        """The name in timm, with the tag of the weights."""
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture


@dataclass(frozen=True, slots=True)
class ModelProvenance:
    """The version of distingo, the time of training and the hash of the training images."""

    distingo: str = ""
    trained: str = ""
    train_content_hash: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A part of ``model.json``; the fields are those of `distingo.models.saved.ModelDescription`.

    Attributes:
        name: Name in the catalog.
        kind: ``network``, ``pretrained`` or ``classic``.
        mode: ``scratch``, ``frozen`` or ``finetune``.
        head: Type of the head of a pretrained model.
        rendition: Input of a network; None for a classic model.
        backbone: Backbone of a pretrained model.
        provenance: Origin of the model.
        weights_hash: Hash of ``model.safetensors``.
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
