"""Every place of every JSON body with every wrong type in it: refused or answered, never a fault of ours."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_runs import Server, image, running

TEXT = base64.b64encode(image(1, size=(3, 2), form="PNG")).decode()
SMALL = [[[0, 0, 0], [255, 0, 0]]]
TENSOR = {"name": "images", "shape": [1, 1, 2, 3], "datatype": "UINT8", "data": [0, 0, 0, 255, 0, 0]}
FILES = {"name": "images", "shape": [1], "datatype": "BYTES", "data": [TEXT], "parameters": {"a": 1}}
OUTPUT = {"name": "probabilities", "parameters": {"classification": 1, "binary_data": False}}
WISHES = {"model": "cnn", "top_k": 1, "threshold": 0.5, "explain": False, "abstain": None, "coverage": 0.5}
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/predict", {"images": [{"name": "a", "data": TEXT}], **WISHES}),
    ("/models/cnn", {"inputs": TEXT, "parameters": {"function_to_apply": "softmax", "top_k": 1}}),
    ("/invocations", {"dataframe_split": {"columns": ["a", "image"], "index": [0], "data": [[1, TEXT]]}}),
    ("/invocations", {"dataframe_split": {"columns": ["a"], "data": [[TEXT]]}, "params": WISHES}),
    ("/invocations", {"dataframe_records": [{"image": TEXT, "a": 1}], "params": {"top_k": 1}}),
    ("/invocations", {"inputs": {"image": [TEXT], "a": [1]}, "parameters": {"threshold": 0.5}}),
    ("/invocations", {"inputs": {"b64": TEXT}}),
    ("/v1/models/cnn:predict", {"instances": [{"image": {"b64": TEXT}}, SMALL], "parameters": {"top_k": 1}}),
    ("/v2/models/cnn/infer", {"id": "a", "inputs": [TENSOR], "outputs": [OUTPUT], "parameters": {"a": 1}}),
    ("/v2/models/cnn/infer", {"inputs": [FILES], "parameters": {"binary_data_output": True}}),
    ("/v2/repository/models/cnn/load", {"parameters": {}}),
]
WRONG: list[Any] = [
    None, True, 0, 1, -1, 0.5, 10**19, 1e308, "", "x", "0", "image", "data:,%41", "\u0000", "é😀", "x" * 5000,
    [], [[]], [[[]]], [None], [0], ["x"], [{}], {}, {"": {}}, {"a": [1]}, {"b64": []}, {"image": None},
    [[[[[1]]]]], [1, "x"], [[1], [2, 3]],
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tiny_runs: dict[str, Path]) -> Iterator[Server]:
    with running({"cnn": tiny_runs["small-cnn"]}) as started:
        yield started


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value, from the whole on."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*at, key))


def with_value(body: Any, at: tuple[Any, ...], value: Any) -> Any:
    if not at:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    return changed


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_a_wrong_type_at_any_place_is_no_fault(server: Server, number: int) -> None:
    path, body = BODIES[number]
    kind = {"Content-Type": "application/json"}
    statuses = set()
    with httpx2.Client() as client:
        assert client.post(server.url + path, json=body).status_code == 200
        for at in places(body):
            for value in WRONG:
                content = json.dumps(with_value(body, at, value))
                answer = client.post(server.url + path, content=content, headers=kind)
                assert answer.status_code in {200, 400, 404, 413, 415, 422}, (at, value, answer.text)
                statuses.add(answer.status_code)
    assert 400 in statuses and (422 in statuses or body == {"parameters": {}})


def anything() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner), max_leaves=8
    )


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_any_value_at_any_place_is_no_fault(server: Server, number: int) -> None:
    path, body = BODIES[number]
    everywhere = list(places(body))
    with httpx2.Client() as client:

        @settings(max_examples=60, deadline=None, derandomize=True, database=None)
        @given(st.sampled_from(everywhere), anything())
        def ask(at: tuple[Any, ...], value: Any) -> None:
            content = json.dumps(with_value(body, at, value)).encode("utf-8", "surrogatepass")
            answer = client.post(server.url + path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code in {200, 400, 404, 413, 415, 422}, answer.text

        ask()
