"""Errors carry a code and the parameter at fault; each interface names the parameter in its own way."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import get_args

import pytest

import distingo
from distingo.cli import main
from distingo.datasets.decoding.failures import TooManyPixelsError, UndecodableError
from distingo.errors import ErrorCode, ResourceError, UsageError, naming_options, option
from raising import raises

ROOT = Path(__file__).resolve().parents[1]
CODES = get_args(ErrorCode)


def meanings() -> dict[str, str]:
    """The codes of errors.py with the comments behind them."""
    text = (ROOT / "src" / "distingo" / "errors.py").read_text(encoding="utf-8")
    return dict(re.findall(r'^    "(\w+)",  # (.+)$', text, re.MULTILINE))


def test_codes_are_documented_each_once_in_their_order() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [(code, meaning) for code, meaning, _ in rows] == list(meanings().items())
    assert tuple(code for code, *_ in rows) == CODES


def test_every_code_is_raised_somewhere() -> None:
    sources = [path for path in (ROOT / "src").rglob("*.py") if path.name != "errors.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    assert [code for code in CODES if not re.search(rf'code(?:: ErrorCode)? = "{code}"|code="{code}"', text)] == []


def test_python_names_the_keyword_and_the_command_line_its_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with raises(UsageError, code="out_of_range", parameter="workers") as caught:
        distingo.serve(tmp_path, workers=0)
    assert str(caught.value) == "workers is 0; it must lie between 1 and 256"
    assert main(["serve", str(tmp_path), "--workers", "0"]) == 2
    assert capsys.readouterr().err == "distingo: --workers is 0; it must lie between 1 and 256\n"
    assert option("workers") == "workers"


@pytest.mark.parametrize(
    ("keyword", "value", "in_python", "on_the_command_line"),
    [
        ("epochs", None, "epochs", "--epochs"),
        ("batch_size", None, "batch_size", "--batch-size"),
        ("top_k", None, "top_k", "--topk"),
        ("data", None, "data", "DATA"),
        ("output", None, "output", "-o"),
        ("resume", True, "resume=True", "--resume"),
        ("mode", "finetune", "mode='finetune'", "--mode finetune"),
        ("header", False, "header=False", "--no-header"),
        ("sort_as", "link", "sort_as='link'", "--link"),
    ],
)
def test_a_parameter_is_named_as_the_caller_knows_it(
    keyword: str, value: object, in_python: str, on_the_command_line: str
) -> None:
    assert option(keyword, value) == in_python
    with naming_options():
        assert option(keyword, value) == on_the_command_line
        with naming_options(named=False):
            assert option(keyword, value) == on_the_command_line
    assert option(keyword, value) == in_python


@pytest.mark.parametrize("renew", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_pass_between_processes_whole(renew) -> None:
    error = renew(ResourceError("the disk is full", code="disk_full", parameter="output"))
    assert (type(error), str(error)) == (ResourceError, "the disk is full")
    assert (error.code, error.parameter, error.exit_code) == ("disk_full", "output", 1)
    undecodable = renew(TooManyPixelsError("40 x 30 pixels are too many", "PNG"))
    assert (undecodable.reason, undecodable.format) == ("40 x 30 pixels are too many", "PNG")
    assert undecodable.code == "too_many_pixels"


def test_a_decoder_may_know_better_what_is_wrong() -> None:
    assert UndecodableError("no pixels", "PNG").code == "damaged_image"
    assert UndecodableError("needs imagecodecs", "TIFF", code="missing_extra").code == "missing_extra"
