"""Corrections over HTTP: what is kept, what is refused and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from drawing import encode, noise
from page_server import serving
from served_runs import command

import distingo
from distingo.cli import main
from distingo.errors import DataError, UsageError
from distingo.serving.corrections import CorrectionStore
from distingo.serving.settings import ServeSettings
from raising import raises

IMAGE = encode(noise(1))
SAID = {"label": "red", "scores": [{"label": "red", "probability": 0.9}]}


@pytest.fixture(scope="module")
def runs(tiny_runs: dict[str, Path], tiny_label_runs: dict[str, Path]) -> dict[str, Path]:
    return {"colours": tiny_runs["descriptors"], "shapes": tiny_label_runs["descriptors"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corrections") / "kept.sqlite"


@pytest.fixture(scope="module")
def url(runs: dict[str, Path], place: Path) -> Iterator[str]:
    with serving(runs, corrections=place) as address:
        yield address


def send(url: str, *, image: bytes | None = IMAGE, files: Any = None, **fields: Any) -> httpx2.Response:
    data = {"model": "colours", "labels": "green", "predicted": json.dumps(SAID), **fields}
    data = {name: value for name, value in data.items() if value is not None}
    parts = files if files is not None else [] if image is None else [("image", ("a.png", image, "image/png"))]
    return httpx2.post(f"{url}corrections", data=data, files=parts or None)


def test_a_correction_is_kept_as_it_came(url: str, place: Path) -> None:
    before = len(CorrectionStore(place).latest("colours"))
    answer = send(url, image=encode(noise(77)))
    assert answer.status_code == 201
    store = CorrectionStore(place)
    kept = store.latest("colours")[before]
    assert (kept.id, kept.labels, kept.predicted, kept.format) == (answer.json()["id"], ("green",), SAID, "PNG")
    assert store.image(kept.sha256) == encode(noise(77))
    (model,) = (each for each in httpx2.get(f"{url}models").json()["models"] if each["name"] == "colours")
    assert (kept.version, model["corrections"]) == (model["version"], True)


def test_several_labels_or_none_are_kept(url: str, place: Path) -> None:
    image = encode(noise(5))
    assert send(url, image=image, model="shapes", labels=["red", "round", "red"]).status_code == 201
    assert CorrectionStore(place).latest("shapes")[-1].labels == ("red", "round")
    assert send(url, image=image, model="shapes", labels=None).status_code == 201
    latest = CorrectionStore(place).latest("shapes")[-1]
    assert (latest.labels, latest.times) == ((), 2)


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"labels": "gren"}, 422, "'gren' is no class of the model; did you mean green"),
        ({"labels": "zzzzz"}, 422, "GET /models lists them"),
        ({"labels": None}, 422, "0 labels; send exactly one"),
        ({"labels": ["red", "green"]}, 422, "2 labels; send exactly one"),
        ({"labels": " "}, 422, "empty"),
        ({"labels": "a" * 201}, 422, "longer than 200 characters"),
        ({"labels": "a\x00b"}, 422, "not printable"),
        ({"model": "fruit"}, 404, "no model of this name"),
        ({"model": None}, 422, "several models are served"),
        ({"predicted": "{"}, 422, "no valid JSON"),
        ({"predicted": '{"a": 1e999}'}, 422, "no valid JSON"),
        ({"predicted": "[" * 900 + "]" * 900}, 422, "nested too deeply"),
        ({"predicted": json.dumps("a" * 300_000)}, 422, "longer than"),
        ({"image": b"<html>"}, 415, "HTML"),
        ({"image": IMAGE[:-120]}, 422, "truncated"),
        ({"image": b""}, 422, "empty"),
        ({"files": [("other", ("a.png", IMAGE, "image/png"))]}, 422, "no image in the form"),
        ({"files": [("image", ("a.png", IMAGE)), ("image", ("b.png", IMAGE))]}, 413, "more than 1 image"),
    ],
)
def test_what_can_not_be_used_is_refused(
    url: str, place: Path, changed: dict[str, Any], status: int, reason: str
) -> None:
    before = len(CorrectionStore(place).latest("colours"))
    answer = send(url, **changed)
    assert answer.status_code == status
    assert reason in answer.json()["error"]["reason"]
    assert len(CorrectionStore(place).latest("colours")) == before


def test_what_is_no_form_is_refused(url: str) -> None:
    assert httpx2.post(f"{url}corrections", content=IMAGE).status_code == 415
    assert httpx2.post(f"{url}corrections", json={}).json()["error"]["status"] == 415
    broken = {"content-type": "multipart/form-data; boundary=x"}
    assert httpx2.post(f"{url}corrections", content=b"--x\r\nhalf", headers=broken).status_code == 400
    assert send(url, image=b"\xff" * 100).status_code == 415


def test_a_page_from_elsewhere_can_not_send(url: str) -> None:
    answer = httpx2.post(f"{url}corrections", files={"image": IMAGE}, headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403


def test_without_leave_nothing_is_kept(runs: dict[str, Path], tmp_path: Path) -> None:
    with serving({"colours": runs["colours"]}) as url:
        answer = send(url)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (
            403,
            "the owner of this server stores no corrections",
        )
        assert httpx2.get(f"{url}models").json()["models"][0]["corrections"] is False
        assert '"corrections": false' in httpx2.get(url).text


def test_new_classes_are_for_the_owner_to_allow(runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with serving({"colours": runs["colours"]}, corrections=path, new_classes=True) as url:
        assert send(url, labels=" Wei\u00dfe Wa\u0308nde ").status_code == 201
        assert send(url, labels="a|b/c").status_code == 201
    assert [kept.labels for kept in CorrectionStore(path).latest("colours")] == [("a|b/c",)]
    assert CorrectionStore(path).history(CorrectionStore(path).latest("colours")[0].sha256, "colours")[0].labels == (
        "Weiße Wände",
    )
    with raises(UsageError, code="needs_other_option", parameter="new_classes"):
        ServeSettings(new_classes=True).check()


def test_a_store_that_is_none_stops_the_server_before_it_starts(runs: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes" * 100, encoding="utf-8")
    with (
        raises(DataError, code="damaged_file"),
        serving({"colours": runs["colours"]}, corrections=tmp_path / "notes.txt"),
    ):
        pass


def test_a_store_that_breaks_is_told_without_its_insides(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.sqlite"
    with serving({"colours": runs["colours"]}, corrections=path) as url:
        path.write_bytes(b"x" * 5000)
        for beside in (path.with_name("c.sqlite-wal"), path.with_name("c.sqlite-shm")):
            beside.unlink(missing_ok=True)
        answer = send(url)
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text


def test_a_full_store_takes_no_more(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CorrectionStore.__init__, "__kwdefaults__", {"create": True, "most_bytes": 10_000})
    with serving({"colours": runs["colours"]}, corrections=tmp_path / "c.sqlite") as url:
        answer = send(url)
        assert (answer.status_code, "file is full" in answer.text) == (403, True)


def test_the_api_description_knows_the_route(url: str) -> None:
    described = httpx2.get(f"{url}openapi.json").json()["paths"]["/corrections"]["post"]
    assert set(described["requestBody"]["content"]) == {"multipart/form-data"}
    assert {"201", "403", "413", "415", "422"} <= set(described["responses"])


@pytest.mark.slow
def test_several_workers_of_the_command_keep_what_is_exported(runs: dict[str, Path], tmp_path: Path) -> None:
    store, words = tmp_path / "c.sqlite", ("--workers", "2", "--new-classes", "--corrections")
    with command(f"colours={runs['colours']}", *words, store) as started:
        url = f"{started.url.rstrip('/')}/"
        with ThreadPoolExecutor(8) as senders:
            sent = list(senders.map(lambda seed: send(url, image=encode(noise(seed % 20)), labels="teal"), range(40)))
    assert [answer.status_code for answer in sent] == [201] * 40
    assert len({answer.json()["id"] for answer in sent}) == 40
    assert main(["corrections", "export", str(store), "-o", str(tmp_path / "data")]) == 0
    assert len(list((tmp_path / "data" / "teal").iterdir())) == 20


def test_a_store_that_is_none_is_told_before_any_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes" * 100, encoding="utf-8")
    with raises(DataError, code="damaged_file"):
        distingo.serve(tmp_path / "no-run", corrections=tmp_path / "notes.txt")
