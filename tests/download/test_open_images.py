from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from loopback_site import QUICK, LoopbackSite, Trouble
from open_images_site import FOOTBALL, IMAGES, PERSON, RUGBY, TABLES, addresses, image, name, serve_tables

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.download.folder import Gathered, read_outcomes
from distingo.download.open_images import OpenImagesRequest, gather_open_images
from distingo.errors import DataError, UsageError
from distingo.messages.notes import note
from raising import raises

LABELS = "/openimages/" + TABLES["train"][0]
BOXES = "/openimages/" + TABLES["train"][1]
STORE = "/open-images-dataset/train/"


def get(site: LoopbackSite, output: Path, *classes: str, try_refused: bool = False, **settings: object) -> Gathered:
    request = OpenImagesRequest(classes or ("football", "RUGBY BALL"), **settings)
    options = {"addresses": addresses(site), "try_refused": try_refused, "allow_private": True}
    return gather_open_images(request, output, QUICK, **options)


def kept(output: Path) -> dict[str, int]:
    return dict(Counter(label for row in metadata(output).values() for label in json.loads(row["labels"])))


def metadata(output: Path) -> dict[str, dict[str, str]]:
    with (output / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return {row["file_name"]: row for row in csv.DictReader(file)}


@pytest.fixture
def balls(site: LoopbackSite) -> LoopbackSite:
    serve_tables(
        site,
        "train",
        [(number, FOOTBALL, 1) for number in range(1, 7)]
        + [(number, RUGBY, 1) for number in range(11, 15)]
        + [(20, FOOTBALL, 0), (21, RUGBY, 0), (22, PERSON, 1)],
    )
    return site


def test_class_folders_with_the_origin_of_every_image(balls: LoopbackSite, tmp_path: Path) -> None:
    result = get(balls, tmp_path / "out")
    assert kept(tmp_path / "out") == {"Football": 6, "Rugby ball": 4}
    assert result.counts == {"fetched": 10}
    assert result.notes[:3] == (
        note("images-of-class-named", name="Football", count=6, total=6),
        note("images-of-class-named", name="Rugby ball", count=4, total=4),
        note("images-not-upright", count=10),
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")) == [
        *("Football", "LICENCE-AND-CITATION.txt", "Rugby ball", "manifest.csv", "metadata.csv"),
    ]
    for number in range(1, 7):
        assert (tmp_path / "out" / "Football" / f"{name(number)}.jpg").read_bytes() == image(number)
    row = metadata(tmp_path / "out")[f"Rugby ball/{name(11)}.jpg"]
    assert row == {
        "file_name": f"Rugby ball/{name(11)}.jpg",
        "labels": '["Rugby ball"]',
        "split": "train",
        "image_id": name(11),
        "source": f"{balls.url}/flickr/{name(11)}_o.jpg",
        "landing_page": "landing/11",
        "license": "https://creativecommons.org/licenses/by/2.0/",
        "author": "Zoë",
        "author_profile": "profile",
        "title": 'A "ball", 11',
        "rotation": "90.0",
        "fetched_from": f"{balls.url}{STORE}{name(11)}.jpg",
    }
    assert "CC BY 4.0" in (tmp_path / "out" / "LICENCE-AND-CITATION.txt").read_text(encoding="utf-8")


def test_distingo_reads_what_came(balls: LoopbackSite, tmp_path: Path) -> None:
    get(balls, tmp_path / "out")
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.task == "single-label"
    assert dataset.classes == ("Football", "Rugby ball")
    assert len(dataset.images) == 10


def test_a_name_with_a_comma_stays_one_name(balls: LoopbackSite, tmp_path: Path) -> None:
    serve_tables(balls, "train", [(number, "/m/0dx", 1) for number in (1, 2)] + [(3, FOOTBALL, 1), (4, FOOTBALL, 1)])
    get(balls, tmp_path / "out", "ÜBUNG, frei", "Football")
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.classes == ("Football", "Übung, frei")
    assert dataset.task == "single-label"


def test_images_of_several_classes_keep_all_of_them(balls: LoopbackSite, tmp_path: Path) -> None:
    serve_tables(balls, "train", [(1, FOOTBALL, 1), (2, RUGBY, 1), (3, RUGBY, 1), (3, FOOTBALL, 1)])
    result = get(balls, tmp_path / "out")
    assert note("images-with-several-classes") in result.notes
    assert kept(tmp_path / "out") == {"Football": 2, "Rugby ball": 2}
    assert metadata(tmp_path / "out")[f"images/{name(3)}.jpg"]["labels"] == '["Football", "Rugby ball"]'
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.task == "multi-label"
    assert sorted(each.labels for each in dataset.images) == [
        ("Football",),
        ("Football", "Rugby ball"),
        ("Rugby ball",),
    ]
    single = get(balls, tmp_path / "single", single=True)
    assert note("images-dropped", option="single=True", count=1) in single.notes
    assert kept(tmp_path / "single") == {"Football": 1, "Rugby ball": 1}
    assert not (tmp_path / "single" / "images").exists()


def test_sides_come_along(site: LoopbackSite, tmp_path: Path) -> None:
    for at, split in enumerate(("train", "validation", "test")):
        rows = [(100 * at + number, (FOOTBALL, RUGBY)[number % 2], 1) for number in range(1, 5)]
        serve_tables(site, split, rows)
    get(site, tmp_path / "out", splits=("train", "validation", "test"))
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    splits = [each.predefined_split for each in dataset.images]
    assert [splits.count(split_name) for split_name in ("train", "validation", "test")] == [4, 4, 4]


def test_a_limit_for_each_class(balls: LoopbackSite, tmp_path: Path) -> None:
    first = get(balls, tmp_path / "a", limit=2)
    assert kept(tmp_path / "a") == {"Football": 2, "Rugby ball": 2}
    assert first.notes[0] == note("images-of-class-named", name="Football", count=2, total=6)
    get(balls, tmp_path / "b", limit=2)
    assert metadata(tmp_path / "a").keys() == metadata(tmp_path / "b").keys()
    get(balls, tmp_path / "c", limit=2, seed=1)
    assert metadata(tmp_path / "c").keys() != metadata(tmp_path / "a").keys()


def test_with_boxes_only_images_that_have_one(balls: LoopbackSite, tmp_path: Path) -> None:
    serve_tables(
        balls,
        "train",
        [(9, FOOTBALL, 1)],
        [
            (1, FOOTBALL, (0.25, 0.5, 0.125, 0.75)),
            (1, FOOTBALL, (0.0, 0.1, 0.0, 0.1)),
            (1, PERSON, (0.0, 1.0, 0.0, 1.0)),
            (2, RUGBY, (0.0, 0.1, 0.0, 1.0)),
        ],
    )
    get(balls, tmp_path / "out", boxes=True)
    with (tmp_path / "out" / "boxes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file_name"], row["box_label"]) for row in rows] == [
        (f"Football/{name(1)}.jpg", "Football"),
        (f"Football/{name(1)}.jpg", "Football"),
        (f"Rugby ball/{name(2)}.jpg", "Rugby ball"),
    ]
    assert [rows[0][edge] for edge in ("left", "right", "top", "bottom")] == [
        "0.250000",
        "0.500000",
        "0.125000",
        "0.750000",
    ]
    assert (rows[0]["IsTruncated"], rows[0]["IsInside"]) == ("1", "-1")
    assert balls.count("/openimages/" + IMAGES["train"]) == 0
    assert read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache"))).classes == (
        "Football",
        "Rugby ball",
    )


def test_small_boxes_and_small_images_are_left_out_and_accounted_for(balls: LoopbackSite, tmp_path: Path) -> None:
    serve_tables(
        balls,
        "train",
        [(number, FOOTBALL, 1) for number in (1, 2)],
        [(1, FOOTBALL, (0.0, 0.5, 0.0, 0.5)), (1, FOOTBALL, (0.0, 0.1, 0.0, 1.0)), (2, FOOTBALL, (0.0, 0.3, 0.0, 1.0))],
    )
    balls.pages[f"{STORE}{name(1)}.jpg"] = image(1, (100, 80))
    result = get(balls, tmp_path / "boxes", "Football", boxes=True, smallest=30)
    assert kept(tmp_path / "boxes") == {"Football": 1}
    assert result.counts == {"fetched": 1, "refused": 1}
    assert len((tmp_path / "boxes" / "boxes.csv").read_text(encoding="utf-8").splitlines()) == 2
    get(balls, tmp_path / "labels", "Football", smallest=50)
    for folder, reason in (("boxes", "its boxes are smaller than 30"), ("labels", "64 x 48 pixels, smaller than 50")):
        outcomes = {each.name: each for each in read_outcomes(tmp_path / folder / "manifest.csv")}
        assert reason in outcomes[f"Football/{name(2)}"].reason
        assert [path.name for path in (tmp_path / folder / "Football").iterdir()] == [f"{name(1)}.jpg"]
    count = len(balls.requests)
    get(balls, tmp_path / "labels", "Football", smallest=50)
    assert [path for path, _ in balls.requests[count:]] == ["/openimages/v7/oidv7-class-descriptions.csv"]


def test_a_class_whose_boxes_are_all_too_small_is_no_label(balls: LoopbackSite, tmp_path: Path) -> None:
    large, small = (0.0, 1.0, 0.0, 1.0), (0.0, 0.1, 0.0, 0.1)
    serve_tables(balls, "train", boxes=[(1, FOOTBALL, large), (1, RUGBY, small), (2, RUGBY, large)])
    get(balls, tmp_path / "out", boxes=True, smallest=30)
    assert {file: row["labels"] for file, row in metadata(tmp_path / "out").items()} == {
        f"images/{name(1)}.jpg": '["Football"]',
        f"images/{name(2)}.jpg": '["Rugby ball"]',
    }


def test_what_the_store_has_not_comes_from_the_original(balls: LoopbackSite, tmp_path: Path) -> None:
    del balls.pages[f"{STORE}{name(1)}.jpg"]
    balls.always[f"{STORE}{name(2)}.jpg"] = Trouble(status=403)
    balls.always[f"{STORE}{name(3)}.jpg"] = Trouble(status=403)
    balls.pages[f"/flickr/{name(1)}_o.jpg"] = image(101)
    balls.redirects[f"/flickr/{name(2)}_o.jpg"] = "/images/photo_unavailable.png"
    balls.pages["/images/photo_unavailable.png"] = image(999)
    result = get(balls, tmp_path / "out")
    assert kept(tmp_path / "out") == {"Football": 4, "Rugby ball": 4}
    assert result.counts == {"fetched": 8, "absent": 2}
    assert (tmp_path / "out" / "Football" / f"{name(1)}.jpg").read_bytes() == image(101)
    assert metadata(tmp_path / "out")[f"Football/{name(1)}.jpg"]["fetched_from"].endswith(f"/flickr/{name(1)}_o.jpg")
    outcomes = {each.name: each for each in read_outcomes(tmp_path / "out" / "manifest.csv")}
    assert outcomes[f"Football/{name(2)}"].reason == "its author took it down"
    assert outcomes[f"Football/{name(3)}"].reason == "the server answers 404"
    assert not (tmp_path / "out" / "Football" / f"{name(2)}.jpg").exists()
    count = len(balls.requests)
    assert get(balls, tmp_path / "out") == result
    assert len(balls.requests) == count + 1  # the list of classes


def test_what_a_person_took_out_or_changed_stays_so(balls: LoopbackSite, tmp_path: Path) -> None:
    get(balls, tmp_path / "out", smallest=10)
    removed, changed = (tmp_path / "out" / "Football" / f"{name(number)}.jpg" for number in (1, 2))
    removed.unlink()
    changed.write_bytes(image(2, (5, 5)))
    result = get(balls, tmp_path / "out", smallest=10)
    assert not removed.exists()
    assert changed.read_bytes() == image(2, (5, 5))
    assert note("removed-since-fetched", count=1, option="try_refused=True") in result.notes
    assert kept(tmp_path / "out") == {"Football": 5, "Rugby ball": 4}
    get(balls, tmp_path / "out", smallest=10, try_refused=True)
    assert removed.read_bytes() == image(1)


def test_troubles_on_the_way_change_nothing(balls: LoopbackSite, tmp_path: Path) -> None:
    get(balls, tmp_path / "smooth")
    balls.troubles = {
        "/openimages/v7/oidv7-class-descriptions.csv": [Trouble(break_after=20), Trouble(status=503)],
        LABELS: [Trouble(status=503), Trouble(break_after=300)],
        "/openimages/" + IMAGES["train"]: [Trouble(break_after=1000), Trouble(status=429)],
        f"{STORE}{name(4)}.jpg": [Trouble(break_after=500), Trouble(status=503)],
    }
    get(balls, tmp_path / "rough")
    assert not any(balls.troubles.values())
    for path in ("metadata.csv", f"Football/{name(4)}.jpg"):
        assert (tmp_path / "rough" / path).read_bytes() == (tmp_path / "smooth" / path).read_bytes()


def test_a_killed_run_goes_on_without_the_tables(balls: LoopbackSite, tmp_path: Path) -> None:
    numbers = range(1000, 1200)
    serve_tables(balls, "train", [(number, FOOTBALL, 1) for number in numbers])
    balls.slowness = 0.01
    program = (
        "import sys; from pathlib import Path; from distingo.download.open_images import *\n"
        "from distingo.download.open_images import OpenImagesRequest\n"
        "from distingo.download.records import Limits\n"
        "at = OpenImagesAddresses(sys.argv[1] + '/openimages', sys.argv[1] + '/open-images-dataset')\n"
        "request = OpenImagesRequest(('Football',))\n"
        "gather_open_images(request, Path(sys.argv[2]), Limits(), addresses=at, allow_private=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, balls.url, str(tmp_path / "out")])
    deadline = time.monotonic() + 30
    while len(list((tmp_path / "out").glob("Football/*.jpg"))) < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list((tmp_path / "out").glob("Football/*.jpg")))
    assert 20 <= done < 200
    balls.requests.clear()
    assert get(balls, tmp_path / "out", "Football").counts == {"fetched": 200}
    assert balls.count(LABELS) == 0
    assert sum(path.startswith(STORE) for path, _ in balls.requests) <= 200 - done
    assert len(metadata(tmp_path / "out")) == 200


def test_a_class_that_is_not_there(balls: LoopbackSite, tmp_path: Path) -> None:
    with raises(UsageError, code="unknown_name", parameter="classes"):
        get(balls, tmp_path / "out", "Footbal")
    with raises(UsageError, code="unknown_name", parameter="classes"):
        get(balls, tmp_path / "out", "Übung, frei", boxes=True)
    assert not (tmp_path / "out").exists()
    with raises(DataError, code="nothing_matches", parameter="classes"):
        get(balls, tmp_path / "out", "übung, FREI")
    assert get(balls, tmp_path / "mid", FOOTBALL).counts == {"fetched": 6}


def test_a_table_that_turned_into_a_page_is_said_so(balls: LoopbackSite, tmp_path: Path) -> None:
    balls.pages[LABELS] = b"<html><body>moved</body></html>\n"
    with raises(DataError, code="unexpected_answer", naming="imagelabels.csv"):
        get(balls, tmp_path / "out")
    balls.pages["/openimages/v7/oidv7-class-descriptions.csv"] = b"<html></html>"
    with raises(DataError, code="unexpected_answer"):
        get(balls, tmp_path / "out")
