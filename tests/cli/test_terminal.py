"""What commands print, as text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import distingo
from distingo.cli import terminal
from distingo.datasets.splits.group_splitting import ClassShare, Division
from distingo.datasets.splits.grouping import Grouping
from distingo.messages.notes import text_note
from distingo.models.hub import ListedBackbone
from distingo.scores import Prediction


def test_a_prediction_is_one_line() -> None:
    named = Prediction("a b.jpg", ("猫", "dog"), (0.75, 0.25))
    assert terminal.describe_prediction(named) == "a b.jpg\t猫 75.0%\tdog 25.0%"
    assert terminal.describe_prediction(Prediction("c.jpg", (), ())) == "c.jpg\t(no label)"
    assert terminal.describe_prediction(Prediction("d.jpg", (), (), error="truncated")) == "d.jpg\tERROR: truncated"
    assert terminal.describe_prediction(Prediction("\udcff é.jpg", ("a",), (1.0,))) == "\\xff é.jpg\ta 100.0%"


def test_a_file_s_name_commands_no_terminal() -> None:
    shown = terminal.describe_prediction(Prediction("a\x1b[2J\u009b31m\n\u202eb.png", ("cat",), (0.5,)))
    assert shown == "a\\x1b[2J\\x9b31m\\n\\u202eb.png\tcat 50.0%"
    assert terminal.describe_prediction(Prediction("é 猫.png", ("cat",), (0.5,))) == "é 猫.png\tcat 50.0%"


def test_a_backbone_is_one_line() -> None:
    known = ListedBackbone(name="tiny.a", preset="fast", parameters=3_504_872, height=224, width=192, license="mit")
    assert terminal.describe_backbone(known).split() == ["tiny.a", "3.5", "M", "224x192", "mit", "(preset", "fast)"]
    unknown = ListedBackbone(name="tiny.b", preset="", parameters=None, height=64, width=64, license="")
    assert terminal.describe_backbone(unknown).split() == ["tiny.b", "?", "64x64", "unknown"]


def test_the_verdict_has_no_characters_that_only_browsers_understand(
    tiny_runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_runs["majority"]
    terminal.print_evaluation(distingo.evaluate(run), run)
    printed = capsys.readouterr().out
    assert "Right on 33.3 % of 12 test pictures (95 % interval " in printed
    assert not set("\N{NO-BREAK SPACE}\N{WORD JOINER}\N{FIRST STRONG ISOLATE}") & set(printed)


def test_of_many_classes_those_that_came_out_worst_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shares = [ClassShare("", (0.5, 0.5), (100, 100), (0, 0))]
    shares += [ClassShare(f"class {at:02}", (0.5, 0.5), (50 + at, 50 - at), (0, 0)) for at in range(50)]
    grouping = Grouping(np.array([0, 0, 1]), (("burst",), ()))
    terminal.print_division(
        Division(("1", "2"), True, np.zeros(3, int), grouping, tuple(shares), notes=(text_note("a note"),))
    )
    said = capsys.readouterr().out
    assert "3 pictures; 2 belong with others (burst: 1 group)" in said
    assert "class 49" in said
    assert "class 10" in said
    assert "class 09" not in said
    assert "and 10 more" in said
    assert "a note" in said
