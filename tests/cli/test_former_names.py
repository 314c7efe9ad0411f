from __future__ import annotations

from pathlib import Path

import pytest

import distingo
from distingo.api.keywords import training_options
from distingo.cli import FORMER_FLAGS, build_parser, main
from distingo.errors import UsageError
from distingo.options.fields import FORMER_NAMES
from raising import raises


def test_former_flags_are_accepted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(tmp_path / "none"), "-o", str(tmp_path / "run"), "--normalise", "zca"]) != 0
    assert "--normalise is now --normalize" in capsys.readouterr().err
    options = build_parser("train").parse_args(["train", "data", "--threshold-wanted", "0.9"])
    assert options.threshold_target == 0.9
    assert build_parser("serve").parse_args(["serve", "run", "--max-pictures", "3"]).max_images == 3
    assert {name.strip("-").replace("-", "_") for name in FORMER_FLAGS} == {*FORMER_NAMES} - {"neighbours"}


def test_former_keywords_are_accepted_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="normalise is now normalize"):
        recipe, _ = training_options({"normalise": "zca"})
    assert recipe == {"normalize": "zca"}
    with pytest.warns(DeprecationWarning, match="neighbours is now neighbors"), raises(UsageError, code="out_of_range"):
        distingo.explain("run", "image.png", neighbours=9)
