"""Calls about the models that can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distingo.models.catalogue import CATALOGUE, CatalogueEntry

if TYPE_CHECKING:
    from distingo.models.backbone_listing import ListedBackbone


def list_models() -> tuple[CatalogueEntry, ...]:
    """Every model that ``train`` knows by name."""
    return tuple(CATALOGUE.values())


def list_backbones(pattern: str = "*") -> tuple[ListedBackbone, ...]:
    """List the pretrained backbones that timm knows, with size, input and licence.

    Args:
        pattern: With ``*`` and ``?``, or a part of the name; or a preset (``fast``, ``good``, ``best``).

    Returns:
        Sorted by name.

    Raises:
        ModelError: Nothing fits the pattern.
    """
    from distingo.models.backbone_listing import list_backbones as list_all

    return list_all(pattern)


def fetch_weights(name: str) -> Path:
    """Get a pretrained backbone's weights into the Hugging Face hub's cache ahead of time.

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and proxies are honoured; they are read when the hub's library is first
    loaded.

    Args:
        name: A preset, a timm name with or without tag, or ``hf-hub:OWNER/NAME``.

    Returns:
        The weights file; its size and hash are the hub's.

    Raises:
        ModelError: There is no such backbone, no network, or nothing usable at the other end.
        ResourceError: The disk is full.
    """
    from distingo.models.backbones import fetch_weights as fetch

    return fetch(name)
