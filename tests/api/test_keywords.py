"""Keywords of the public calls: what editors and mypy see is what the records hold."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import distingo
from distingo.api import keywords
from distingo.datasets.options import Reading, ReadingOptions
from distingo.datasets.tables.table import TableOptions
from distingo.download.records import FetchOptions, FetchSettings
from distingo.errors import UsageError
from distingo.options import commands as data
from distingo.options import commands as downloading
from distingo.options import commands as prediction
from distingo.options import training
from distingo.options.commands import PredictOptions, PredictSettings
from distingo.options.fields import options_of
from distingo.options.training import GroupingOptions, GroupingSettings
from distingo.records import ValueRange, ValueRanges
from distingo.serving.settings import ServeOptions, ServeSettings
from distingo.sklearn import ImageClassifier
from distingo.training.recipe import Recipe, RecipeOptions
from raising import raises

BESIDES: dict[Any, dict[str, Any]] = {
    RecipeOptions: {"image_size": int | tuple[int, int]},
    ServeOptions: {"api_key_file": str | Path | None},
}
"""Keywords that become other fields."""


@pytest.mark.parametrize(
    ("group", "record"),
    [
        (RecipeOptions, Recipe),
        (ReadingOptions, Reading),
        (GroupingOptions, GroupingSettings),
        (PredictOptions, PredictSettings),
        (FetchOptions, FetchSettings),
        (ServeOptions, ServeSettings),
    ],
)
def test_the_keywords_of_a_group_are_the_options_of_its_record(group: Any, record: Any):
    expected = dict(BESIDES.get(group, {}))
    for name, field in options_of(record).items():
        expected[name] = field.type
        if field.option.alias:
            expected[field.option.alias] = field.type
    assert get_type_hints(group) == expected
    assert not group.__required_keys__


CALLS = {
    "train": training.TrainSettings,
    "crossval": training.CrossvalSettings,
    "learning_curve": training.LearningCurveSettings,
    "tune": training.TuneSettings,
    "inspect": data.InspectSettings,
    "split": data.SplitSettings,
    "check": data.CheckSettings,
    "review": data.ReviewSettings,
    "clean": data.CleanSettings,
    "evaluate": prediction.EvaluateSettings,
    "explain": prediction.ExplainSettings,
    "export": prediction.ExportSettings,
    "download_open_images": downloading.OpenImagesSettings,
    "download_video": downloading.VideoSettings,
}
"""Calls with a signature of their own, and the records of their options."""


def names_of(module: Any) -> dict[str, Any]:
    """What annotations of a module may name, imports for type checking included."""
    found = dict(vars(module))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    found |= {each.name: getattr(import_module(line.module), each.name) for each in line.names}
    return found


@pytest.mark.parametrize("name", CALLS)
def test_the_signature_of_a_call_is_that_of_its_record(name: str):
    call = getattr(distingo, name)
    parameters, known = inspect.signature(call).parameters, names_of(inspect.getmodule(call))
    for option, field in options_of(CALLS[name]).items():
        assert option in parameters, f"{name} lacks {option}"
        assert parameters[option].default == field.value, f"{name}: {option}"
        assert eval(parameters[option].annotation, known) == field.type, f"{name}: {option}"


def test_no_public_call_takes_just_any_keyword():
    for name in distingo.__all__:
        call = getattr(distingo, name)
        if inspect.isfunction(call):
            for parameter in inspect.signature(call).parameters.values():
                if parameter.kind is parameter.VAR_KEYWORD:
                    assert parameter.annotation.startswith("Unpack["), f"{name}: {parameter}"


def test_the_estimator_has_the_recipes_types():
    parameters, known = (
        inspect.signature(ImageClassifier.__init__).parameters,
        names_of(import_module("distingo.sklearn")),
    )
    aliases = {field.option.alias or name: field for name, field in options_of(Recipe).items()}
    shared = [name for name in parameters if name in aliases and name not in {"model", "device", "validation"}]
    assert len(shared) > 12
    for name in shared:
        expected = aliases[name].stored_type
        assert eval(parameters[name].annotation, known) == expected | None, name
    assert parameters["validation"].default == options_of(Recipe)["validation"].value


def test_a_reading_is_made_of_keywords(tmp_path: Path):
    reading = Reading.of(cache=tmp_path, value_range="0,255", workers=2, max_pixels=100)
    assert (reading.cache.folder, reading.threads, reading.pixel_limit) == (tmp_path, 2, 100)
    assert reading.ranges == ValueRanges(*[ValueRange(0, 255)] * 3)
    automatic = Reading.of(value_range="auto")
    assert (automatic.value_range, automatic.ranges, automatic.threads >= 1) == ("auto", None, True)
    assert Reading.of().value_range is None
    assert Reading.of().pixel_limit == 178_956_970


@pytest.mark.parametrize("name", ["max_pixels", "workers"])
def test_a_reading_is_checked(name: str):
    with raises(UsageError, code="out_of_range", parameter=name):
        Reading.of(**{name: 0})


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("inspect", ("data",)),
        ("split", ("data",)),
        ("check", ("data",)),
        ("evaluate", ("run",)),
        ("predict", ("run", "a.png")),
        ("serve", ("run",)),
        ("download_urls", ("table.csv", "out")),
    ],
)
def test_mistyped_keywords_are_refused(call: str, arguments: tuple[str, ...]):
    with pytest.raises(TypeError, match="wokers"):
        getattr(distingo, call)(*arguments, wokers=2)


def test_options_are_divided_among_records():
    grouping, reading = keywords.split_options({"group_column": "plant", "burst": None, "workers": 2})
    assert (grouping.burst, grouping.near_duplicates, reading.workers) == (None, 0.8, 2)
    assert reading.table == TableOptions(group_column="plant")
    recipe, _, reading = keywords.crossval_options({"learning_rate": 0.1, "group_column": "plant", "epochs": 3})
    assert recipe == {"lr": 0.1, "epochs": 3}
    assert reading.table == TableOptions(group_column="plant")
    assert keywords.of_machine({"workers": 2, "epochs": 3}) == {"workers": 2}
