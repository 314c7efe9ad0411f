from __future__ import annotations

from pathlib import Path

import pytest

from distingo.datasets.cache.store import Cache
from distingo.datasets.options import Reading
from distingo.errors import UsageError
from distingo.training.preview import VERSIONS, preview_augmentation
from raising import raises
from tiny_datasets import draw_classes, draw_labels


@pytest.mark.parametrize("draw", [draw_classes, draw_labels])
def test_every_image_is_shown_next_to_its_versions(tmp_path: Path, draw: object) -> None:
    data = draw(tmp_path / "data")  # type: ignore[operator]
    rows = preview_augmentation(
        data, "standard", reading=Reading(cache=Cache(tmp_path / "cache")), image_size=24, seed=0
    )
    assert len(rows) == 6
    for original, *versions in rows:
        assert len(versions) == VERSIONS
        assert {image.shape for image in (original, *versions)} == {(24, 24, 3)}
        assert any((version != original).any() for version in versions)


def test_an_unknown_preset_is_refused(tmp_path: Path) -> None:
    with raises(UsageError, code="unknown_name", parameter="augment"):
        preview_augmentation(tmp_path, "heavy", reading=Reading(cache=Cache(tmp_path)), image_size=None, seed=0)
