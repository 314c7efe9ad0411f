"""The sources by class and the frames of videos, as a person calls them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from loopback_site import LoopbackSite
from open_images_site import FOOTBALL, RUGBY, serve_tables
from test_imagenet import GOLF, archive
from test_imagenet import RUGBY as RUGBY_SYNSET
from video_files import cut, draw_video

from distingo.cli import main


def download(*words: object) -> int:
    return main(["download", *map(str, words)])


def test_open_images(site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    serve_tables(site, "validation", [(1, FOOTBALL, 1), (2, FOOTBALL, 1), (3, RUGBY, 1)])
    words = ["open-images", "--class", "football", "--class", "Rugby ball", "--split", "validation", "--limit", 1]
    place = ["--tables-mirror", f"{site.url}/openimages/", "--images-mirror", f"{site.url}/open-images-dataset"]
    out = ["-o", tmp_path / "out"]
    assert download(*words, *out, *place, "--allow-private-addresses") == 0
    said = capsys.readouterr().out
    assert "CC BY 2.0" in said
    assert "2 files" in said
    assert "Football: 1 of the 2 pictures that the tables name" in said
    assert len(list((tmp_path / "out").glob("*/*.jpg"))) == 2
    assert download(*words, "--seed", 7, *out, *place, "--allow-private-addresses") == 2
    assert "name a new folder by -o" in capsys.readouterr().err


def test_open_images_asks_no_private_address_unless_told(
    site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve_tables(site, "train", [(1, FOOTBALL, 1)])
    words = ["open-images", "--class", "football", "-o", tmp_path / "out"]
    assert download(*words, "--tables-mirror", f"{site.url}/openimages") == 1
    assert "private address" in capsys.readouterr().err
    assert site.requests == []
    assert not (tmp_path / "out").exists()


def test_boxes_and_labels_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("open-images", "--class", "a", "--boxes", "--labels", "-o", tmp_path / "out") == 2
    assert "not allowed with" in capsys.readouterr().err


def test_imagenet(site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.pages = {f"/data/{RUGBY_SYNSET}.tar": archive(RUGBY_SYNSET, 3), f"/data/{GOLF}.tar": archive(GOLF, 2)}
    words = ["imagenet", "--class", "Rugby ball", "--class", GOLF, "--mirror", f"{site.url}/data"]
    assert download(*words, "-o", tmp_path / "out", "--allow-private-addresses") == 0
    said = capsys.readouterr().out
    assert "non-commercial research and education only" in said
    assert "golf ball: 2 pictures" in said
    assert download("imagenet", "--class", "rugbi ball", "-o", tmp_path / "other") == 2
    assert "did you mean" in capsys.readouterr().err


def test_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = draw_video(tmp_path / "clip.mkv", still=range(10, 40))
    words = ["video", video, "--every", "500ms", "--start", "0:01", "--end", "5", "--label", "ball"]
    assert download(*words, "--skip-similar", "--format", "png", "-o", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "3 frames written" in said
    assert "5 left out for being near-identical" in said
    assert sorted(path.name for path in (tmp_path / "out" / "ball").iterdir())[0] == "clip_00h00m01.000s.png"
    assert download("video", cut(video, 0.6), "-o", tmp_path / "cut") == 3
    assert "breaks off at" in capsys.readouterr().err
    assert download("video", video, "--every", "1", "-o", tmp_path / "other") == 2
    assert "give 1s, 250ms, 2min, 30frames or keyframes" in capsys.readouterr().err


def test_a_mistaken_class_is_told_before_the_terms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert download("imagenet", "--class", "rugbyball", "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "did you mean rugby ball" in said.err
    assert said.out == ""


def test_imagenet_without_a_network_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["imagenet", "--class", "rugby ball", "--attempts", 1, "-o", tmp_path / "out"]
    assert download(*words, "--mirror", "http://nobody.invalid/data") == 1
    said = capsys.readouterr().err
    assert "nobody.invalid: no such host, or no network; run the same" in said
    assert "run the same command again, or name another place by --mirror" in said
    assert "Errno" not in said


def test_a_refused_connection_is_said_without_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = ["imagenet", "--class", "rugby ball", "--attempts", 1, "-o", tmp_path / "out"]
    assert download(*words, "--mirror", f"http://127.0.0.1:{port}", "--allow-private-addresses") == 1
    said = capsys.readouterr().err
    assert "no connection (" in said
    assert "Errno" not in said


def test_a_mistyped_source_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert download("cifar", "-o", "out") == 2
    said = capsys.readouterr().err
    assert "'cifar' is not known; did you mean cifar10 or cifar100?" in said
    assert "open-images" not in said
