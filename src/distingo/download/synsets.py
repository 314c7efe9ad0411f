"""The names of ImageNet's classes: WordNet's noun synsets, out of the package data of timm."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from distingo.download.naming_classes import KnownClass
from distingo.errors import ResourceError

_FOLDER = ("data", "_info")
_NAMES = "imagenet_synset_to_lemma.txt"
_MEANINGS = "imagenet_synset_to_definition.txt"


def read_synsets() -> tuple[KnownClass, ...]:
    """Read the synsets that ImageNet has pictures of: 21,844 with their lemmas and definitions (WordNet 3.0).

    The package is found, not imported: that would load torch.

    Raises:
        ResourceError: timm is not installed, or has no such files any more.
    """
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise ResourceError("the names of ImageNet's classes come with timm, which is missing; run `pip install timm`")
    folder = Path(spec.origin).parent.joinpath(*_FOLDER)
    try:
        names, meanings = _read(folder / _NAMES), _read(folder / _MEANINGS)
    except (OSError, ValueError) as error:
        why = f"this version of timm has no list of ImageNet's classes ({error})"
        raise ResourceError(f"{folder}: {why}; run `pip install timm==1.0.31`") from error
    return tuple(
        KnownClass(identifier, tuple(lemmas.split(", ")), meanings.get(identifier, ""))
        for identifier, lemmas in names.items()
    )


def _read(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {identifier: text for identifier, tab, text in (line.partition("\t") for line in lines) if tab}
