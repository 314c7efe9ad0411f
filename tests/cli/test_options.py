"""What every option's help says, and which options help shows first."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

import pytest

from distingo.cli import COMMANDS, build_parser
from distingo.cli.options import add_options, grouping_of, reading_of, recipe_of, values_of
from distingo.datasets.options import Reading
from distingo.datasets.tables.table import TableOptions
from distingo.errors import naming_options, option
from distingo.options import commands as data
from distingo.options import commands as downloading
from distingo.options import commands as prediction
from distingo.options import training
from distingo.options.fields import Option, options_of
from distingo.options.training import GroupingSettings
from distingo.serving.settings import ServeSettings
from distingo.training.recipe import Recipe

RECORDS = (
    *(training.TrainSettings, training.CrossvalSettings, training.LearningCurveSettings, training.TuneSettings),
    *(data.InspectSettings, data.SplitSettings, data.CheckSettings, data.ReviewSettings, data.CleanSettings),
    *(prediction.PredictSettings, prediction.EvaluateSettings, prediction.ExplainSettings),
    *(prediction.ExportSettings, downloading.OpenImagesSettings, downloading.VideoSettings),
    *(Recipe, Reading, TableOptions, GroupingSettings, ServeSettings),
)

MANY = 15
"""With more options than this, a command shows the usual ones first."""

_RANGE = re.compile(r"\d\S* ?\S* to (less than )?\d|\bor more\b|\babove\b")


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, command in action.choices.items():
            yield from leaves(command, (*words, name))
    if not below:
        yield " ".join(words), parser


def options_in(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action
        for action in parser._actions
        if action.option_strings and not {"-h", "--help-all"} & set(action.option_strings)
    ]


def text_of(action: argparse.Action) -> str:
    return getattr(action, "full_help", action.help) or ""


ALL = dict(leaves(build_parser()))


@pytest.mark.parametrize("command", ALL)
def test_every_option_says_what_it_does_its_range_and_its_default(command: str):
    for action in options_in(ALL[command]):
        text, name = text_of(action), f"{command} {action.option_strings[0]}"
        assert len(text) > 5, name
        if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
            continue
        assert action.required or "default: " in text, f"{name} does not show its default: {text}"
        if not action.choices and action.type in {int, float}:
            assert _RANGE.search(text), f"{name} does not show its range: {text}"
        if action.choices:
            assert action.metavar is None, f"{name} hides its choices"


@pytest.mark.parametrize("command", ALL)
def test_help_shows_the_usual_options_and_help_all_shows_every_one(command: str, capsys: pytest.CaptureFixture[str]):
    # parsers of their own: --help-all shows what --help hides
    parser = dict(leaves(build_parser()))[command]
    options = options_in(parser)
    shown = [action for action in options if action.help != argparse.SUPPRESS]
    if len({action.dest for action in options}) <= MANY:
        assert shown == options
        return
    count = len({action.dest for action in shown})
    assert 8 <= count <= MANY, f"{command} shows {count} options"
    short = parser.format_help()
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--help-all"])
    assert ended.value.code == 0
    long = capsys.readouterr().out
    for action in options:
        name = re.compile(rf"{re.escape(action.option_strings[-1])}(?![\w-])")
        assert name.search(long), f"{command} --help-all lacks {name.pattern}"
        assert bool(name.search(short)) == (action in shown)
    assert f"show all {len(options)} options" in short


def test_only_the_parser_of_the_command_that_is_called_gets_its_options():
    parser = build_parser("compare")
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    assert set(commands) == set(COMMANDS)
    assert options_in(commands["compare"])
    assert not [name for name, command in commands.items() if name != "compare" and options_in(command)]


def test_names_of_older_versions_are_still_accepted():
    train = ["--opt", "sgd", "--sched", "cosine", "--smoothing", "0.2", "--learning-rate", "0.5", "--normalize", "zca"]
    options = build_parser().parse_args(["train", "data", *train])
    expected = {"optimizer": "sgd", "schedule": "cosine", "label_smoothing": 0.2, "lr": 0.5, "normalize": "zca"}
    assert recipe_of(options) == expected
    assert build_parser().parse_args(["split", "data", "--val", "0.3"]).validation == 0.3
    assert build_parser().parse_args(["predict", "run", "a.png", "--top-k", "3"]).topk == 3


def test_only_what_was_given_is_passed_on():
    parser = build_parser()
    assert reading_of(parser.parse_args(["train", "data"])) == {}
    options = parser.parse_args(
        ["train", "data", "--workers", "3", "--no-header", "--label-columns", "a", "b", "--value-range", "0,4095"]
    )
    reading = reading_of(options)
    assert {name: value for name, value in reading.items() if name != "table"} == {
        "workers": 3,
        "value_range": "0,4095",
    }
    assert (reading["table"].header, reading["table"].label_columns) == (False, ("a", "b"))
    options = parser.parse_args(["split", "data", "--burst", "none", "--near-duplicates", "0.9"])
    assert grouping_of(options) == {"burst": None, "near_duplicates": 0.9}
    assert parser.parse_args(["inspect", "data", "--no-map"]).draw_map is False


def test_a_command_may_declare_an_option_otherwise():
    parser = argparse.ArgumentParser()
    add_options(parser, GroupingSettings, ["burst"], {"burst": {"default": "as the sun stands"}})
    action = options_in(parser)[0]
    assert "default: as the sun stands" in text_of(action)
    assert "burst" not in values_of(parser.parse_args([]), GroupingSettings)


def test_percent_signs_of_help_are_printed():
    parser = argparse.ArgumentParser()
    add_options(parser, Recipe, ["schedule"])
    assert "30 %" in options_of(Recipe)["schedule"].option.help
    assert "30 %" in " ".join(parser.format_help().split())


def test_a_required_option_has_no_default():
    parser = argparse.ArgumentParser()
    add_options(parser, GroupingSettings, ["group_column"], required=["group_column"])
    action = options_in(parser)[0]
    assert action.required
    assert "default" not in text_of(action)
    assert isinstance(options_of(GroupingSettings)["group_column"].option, Option)


@pytest.mark.parametrize("record", RECORDS)
def test_messages_name_options_as_they_are_typed(record: Any):
    with naming_options():
        for name, field in options_of(record).items():
            if name in {"height", "width", "draw_map", "table"}:  # set by other options
                continue
            assert option(name) in (field.flag, *field.option.flags), name
