"""Heat maps of the top losses, from the evaluation to the report."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import torch

import distingo
from corner_images import MARKED, PLAIN, draw, hottest_point
from distingo.explanation.worst import MIN_MAPS, write_top_loss_maps
from distingo.models.saved import load_model
from distingo.runs.folder import RunFolder
from distingo.runs.predictions import read_heat_maps

CPU = torch.device("cpu")


def mislabeled(root: Path) -> Path:
    """Marked images that are predicted to be plain, and the reverse."""
    for name, marked in ((PLAIN, True), (MARKED, False)):
        (root / name).mkdir(parents=True)
        for index in range(3):
            draw(50 + index + 100 * marked, marked=marked).save(root / name / f"{index}.png")
    return root


def test_an_evaluation_keeps_maps_of_its_mistakes_and_the_page_shows_them(
    corner_runs: dict[str, Path], tmp_path: Path
) -> None:
    data = mislabeled(tmp_path / "other")
    distingo.evaluate(corner_runs["cnn"], data, cache=tmp_path / "cache")
    place = RunFolder(corner_runs["cnn"]).evaluation_of(data)
    maps = read_heat_maps(place / "heat_maps.parquet")
    rows = pq.read_table(place / "predictions.parquet").to_pylist()
    wrong = {(row["file"], row["predicted"]) for row in rows if row["truth"] != row["predicted"]}
    assert set(maps) == wrong
    assert len(wrong) == 6
    page = (place / "report.html").read_text(encoding="utf-8")
    assert page.count('<img class="heat"') == 6
    assert "Show in color what supports" in page


def test_kept_maps_are_those_of_explain(corner_runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "marked.png"
    draw(7, marked=True).save(path)
    for run in (corner_runs["cnn"], corner_runs["frozen"]):
        model = load_model(run / "model")
        assert write_top_loss_maps(model, tmp_path, [("marked.png", MARKED)], tmp_path / "maps.parquet", CPU) == 1
        kept = read_heat_maps(tmp_path / "maps.parquet")["marked.png", MARKED]
        explanation = distingo.explain(run, path, neighbors=0)
        assert abs(kept.values - explanation.classes[0].heat.values).max() < 0.01
        assert kept.seen == explanation.seen
        assert hottest_point(explanation)


def test_images_that_are_gone_have_no_map(corner_runs: dict[str, Path], tmp_path: Path) -> None:
    draw(7, marked=True).save(tmp_path / "there.png")
    model = load_model(corner_runs["cnn"] / "model")
    wanted = [("gone.png", PLAIN), ("there.png", PLAIN)]
    assert write_top_loss_maps(model, tmp_path, wanted, tmp_path / "maps.parquet", CPU) == 1
    assert list(read_heat_maps(tmp_path / "maps.parquet")) == [("there.png", PLAIN)]


def test_classic_models_and_faultless_ones_write_nothing(corner_runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "maps.parquet"
    assert (
        write_top_loss_maps(load_model(corner_runs["descriptors"] / "model"), tmp_path, [("a", PLAIN)], path, CPU) == 0
    )
    assert write_top_loss_maps(load_model(corner_runs["cnn"] / "model"), tmp_path, [], path, CPU) == 0
    assert not path.exists()


def test_a_dear_network_makes_fewer_maps(corner_runs: dict[str, Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("distingo.explanation.worst.OPERATIONS", 1.0)
    wanted = []
    for index in range(MIN_MAPS + 3):
        draw(index, marked=True).save(tmp_path / f"{index}.png")
        wanted.append((f"{index}.png", PLAIN))
    model = load_model(corner_runs["cnn"] / "model")
    assert write_top_loss_maps(model, tmp_path, wanted, tmp_path / "maps.parquet", CPU) == MIN_MAPS
    assert [file for file, _ in read_heat_maps(tmp_path / "maps.parquet")] == [
        f"{index}.png" for index in range(MIN_MAPS)
    ]
