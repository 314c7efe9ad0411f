from __future__ import annotations

from pathlib import Path

import pytest

from corner_images import train_corner_runs


@pytest.fixture(scope="session")
def corner_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return train_corner_runs(tmp_path_factory.mktemp("corners"))
