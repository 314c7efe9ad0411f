"""The description of a well-known set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SetLayout = Literal["idx", "cifar", "folders", "flowers", "pets"]
"""How a set's files are laid out; each has a file of its own in `distingo.download.set_layouts`."""


@dataclass(frozen=True, slots=True)
class SetFile:
    """One file of a set.

    Attributes:
        name: Below the set's address.
        checksum: ``md5:...`` or ``sha256:...`` as published.
        size: In bytes, where known; else None.
    """

    name: str
    checksum: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A well-known set, as data.

    Attributes:
        name: As it is typed.
        title: In one line.
        home: The page that describes it.
        address: What its files' names are put after; ends in ``/``.
        served_by: Who serves them there.
        files: All that are fetched.
        layout: How to make class folders of them.
        pictures: How many, by side (``train``, ``val``, ``test``), or by ``""`` where the set has no sides.
        licence: As its authors state it, or that they state none.
        citation: What to cite.
        checksums_from: Who published the checksums.
        classes: Class names where the files hold numbers, in their order.
        renamed: Class names by what the files call them.
        inside: For ``folders``: by side, the folder inside the archive that holds the class folders.
        bytes: About how much is fetched.
    """

    name: str
    title: str
    home: str
    address: str
    served_by: str
    files: tuple[SetFile, ...]
    layout: SetLayout
    pictures: dict[str, int]
    licence: str
    citation: str
    checksums_from: str
    bytes: int
    classes: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    inside: dict[str, str] = field(default_factory=dict)
