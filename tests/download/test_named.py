from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loopback_site import QUICK, LoopbackSite, Trouble
from PIL import Image
from tiny_sets import cifar_rows, tiny_set

from distingo.cli import main
from distingo.datasets.cache.store import Cache
from distingo.datasets.corrections import LICENSE_NAME
from distingo.datasets.decoding.idx import load_images
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.download.folder import Gathered
from distingo.download.named import gather_set
from distingo.download.sets import SETS, NamedSet, find_set
from distingo.errors import DataError, UsageError
from distingo.messages.notes import note
from note_texts import texts
from raising import raises


@pytest.fixture
def gather(site: LoopbackSite, tmp_path: Path):
    def run(name: str, **options: object) -> Gathered:
        named, files = tiny_set(name)
        site.pages = {f"{below}/{file}": content for file, content in files.items() for below in ("", "/elsewhere")}
        named = replace(named, **{key: options.pop(key) for key in ("images", "files") if key in options})
        options = {"mirror": site.url, "limits": QUICK, "allow_private": True, **options}
        return gather_set(named, tmp_path / "out", **options)

    return run


def counts(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if path.suffix.lower() in {".png", ".jpg", ".jpeg"}]
    return dict(Counter(path.parent.relative_to(folder).as_posix() for path in files))


EXPECTED = {
    "mnist": {f"{split}/{digit}": n for split, n in (("train", 3), ("test", 1)) for digit in range(10)},
    "cifar10": {
        **{f"train/{name}": 5 for name in ("airplane", "automobile", "bird")},
        "test/airplane": 1,
        "test/automobile": 1,
        "test/bird": 2,
    },
    "cifar100": {"train/apple": 1, "train/aquarium_fish": 1, "train/baby": 1, "test/baby": 1},
    "eurosat": {"AnnualCrop": 3, "Forest": 3, "SeaLake": 3},
    "flowers102": {
        "train/passion flower": 1,
        "train/pink primrose": 1,
        "val/passion flower": 1,
        "val/bolero deep blue": 1,
        "test/pink primrose": 1,
        "test/bolero deep blue": 1,
        "test/windflower": 1,
    },
    "oxford-pets": {
        "train/Abyssinian": 1,
        "train/American Bulldog": 2,
        "test/Abyssinian": 1,
        "test/American Bulldog": 1,
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_set_becomes_class_folders(gather, tmp_path: Path, name: str) -> None:
    gathered = gather(name)
    assert counts(tmp_path / "out") == EXPECTED[name]
    assert {outcome.status for outcome in gathered.outcomes} == {"fetched"}
    text = (tmp_path / "out" / LICENSE_NAME).read_text(encoding="utf-8")
    assert SETS[name].license in text and SETS[name].citation in text
    left = sorted(path.name for path in (tmp_path / "out" / ".distingo-download").iterdir())
    assert left == ["finished", "journal.jsonl", "lock", "source.json"]


def test_clothing_keeps_its_names_and_pixels(gather, tmp_path: Path) -> None:
    gather("fashion-mnist")
    assert (tmp_path / "out" / "train" / "T-shirt-top" / "00000.png").is_file()
    (tmp_path / "images.gz").write_bytes(tiny_set("fashion-mnist")[1]["train-images-idx3-ubyte.gz"])
    values = load_images(tmp_path / "images.gz")
    drawn = np.asarray(Image.open(tmp_path / "out" / "train" / "Ankle boot" / "00019.png"))
    assert np.array_equal(drawn, values[19])


def test_cifars_planes_become_pixels(gather, tmp_path: Path) -> None:
    gather("cifar10")
    row = np.frombuffer(cifar_rows([[0], [1], [2]], 2), np.uint8).reshape(3, 3073)[1, 1:]
    drawn = np.asarray(Image.open(tmp_path / "out" / "train" / "automobile" / "00004.png"))
    assert np.array_equal(drawn.transpose(2, 0, 1).ravel(), row)


@pytest.mark.parametrize("name", ["imagenette", "imagenette-160"])
def test_imagenettes_numbers_become_names(gather, tmp_path: Path, name: str) -> None:
    gathered = gather(name)
    assert counts(tmp_path / "out") == {f"{s}/{n}": 1 for s in ("train", "val") for n in SETS[name].renamed.values()}
    assert note("other-files-of-archive", count=1, file="noisy_imagenette.csv") in gathered.notes


def test_images_that_no_list_names_are_counted(gather) -> None:
    assert note("files-in-neither-list", count=1) in gather("oxford-pets").notes


def test_what_was_laid_out_can_be_trained_on(gather, tmp_path: Path) -> None:
    gather("flowers102")
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.layout.code == "split-folders"
    assert Counter(image.predefined_split for image in dataset.images) == {"train": 2, "validation": 2, "test": 3}


def test_raw_leaves_the_files_as_they_are(gather, tmp_path: Path) -> None:
    gather("mnist", raw=True)
    files = tiny_set("mnist")[1]
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files} == files
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert (dataset.layout.code, len(dataset.images)) == ("idx-files", 40)


def test_a_second_call_asks_for_nothing(gather, site: LoopbackSite, tmp_path: Path) -> None:
    first = gather("mnist")
    count = len(site.requests)
    again = gather("mnist")
    assert len(site.requests) == count == 4
    assert again.outcomes == first.outcomes
    assert texts(again.notes) == ("is here already: 30 train, 10 test",)
    with raises(UsageError, code="not_empty", parameter="output"):
        gather("cifar10")


@pytest.mark.parametrize("moment", ["making", "made", "finished"])
def test_a_kill_while_class_folders_are_made_costs_no_file(
    gather, site: LoopbackSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    place = {
        "making": "distingo.download.named._ClassFolders.draw",
        "made": "pathlib.Path.rmdir",
        "finished": "distingo.download.named._conclude",
    }[moment]

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(place, die)
        with pytest.raises(KeyboardInterrupt):
            gather("mnist")
    gather("mnist")
    assert len(site.requests) == 4
    assert counts(tmp_path / "out") == EXPECTED["mnist"]
    assert not (tmp_path / "out" / ".distingo-download" / "archives").exists()


def test_a_wrong_file_is_refused_and_said(gather, site: LoopbackSite, tmp_path: Path) -> None:
    named, _ = tiny_set("cifar10")
    wrong = (replace(named.files[0], checksum="md5:" + "0" * 32),)
    with raises(DataError, code="download_failed", naming="cifar-10-binary.tar.gz"):
        gather("cifar10", files=wrong)
    assert counts(tmp_path / "out") == {}


def test_a_set_with_other_counts_is_refused(gather, tmp_path: Path) -> None:
    with raises(DataError, code="damaged_download"):
        gather("mnist", images={"train": 31, "test": 10})
    assert counts(tmp_path / "out") == {}


def test_a_broken_connection_is_gone_on_from(gather, site: LoopbackSite) -> None:
    site.troubles["/EuroSAT.zip"] = [Trouble(break_after=1000), Trouble(status=503)]
    gather("eurosat")
    assert [wanted for _, wanted in site.requests] == ["", "bytes=1000-", "bytes=1000-"]


def test_what_came_from_one_place_is_not_fetched_again_from_another(gather, site: LoopbackSite, tmp_path: Path) -> None:
    site.always["/t10k-labels-idx1-ubyte.gz"] = Trouble(status=404)
    with raises(DataError, code="download_failed"):
        gather("mnist")
    site.always.clear()
    gather("mnist", mirror=f"{site.url}/elsewhere/")
    assert [path for path, _ in site.requests[4:]] == ["/elsewhere/t10k-labels-idx1-ubyte.gz"]


GATHER = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from tiny_sets import tiny_set
from distingo.download.named import gather_set
gather_set(tiny_set("oxford-pets")[0], Path(sys.argv[1]), mirror=sys.argv[2], allow_private=True)
"""


def test_a_killed_process_is_gone_on_with(gather, site: LoopbackSite, tmp_path: Path) -> None:
    files = tiny_set("oxford-pets")[1]
    site.pages = {f"/{file}": content for file, content in files.items()}
    site.troubles["/images.tar.gz"] = [Trouble(stall_after=1500)]
    reached = threading.Event()
    site.on_sent = lambda path, _: reached.set() if path == "/images.tar.gz" else None
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parent / "datasets")]
    process = subprocess.Popen([sys.executable, "-c", GATHER, str(tmp_path / "out"), site.url, *paths])
    assert reached.wait(20)
    threading.Event().wait(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".distingo-download"]
    gather("oxford-pets")
    assert site.sent == {f"/{name}": len(content) for name, content in files.items()}
    assert counts(tmp_path / "out") == EXPECTED["oxford-pets"]


def test_the_command_fetches_and_says_license_and_citation(
    site: LoopbackSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named, files = tiny_set("eurosat")
    monkeypatch.setitem(SETS, "eurosat", named)
    site.pages = {f"/{file}": content for file, content in files.items()}
    words = ["download", "eurosat", "-o", str(tmp_path / "out"), "--mirror", site.url, "--attempts", "1"]
    assert main(words) == 1
    assert "--allow-private-addresses" in capsys.readouterr().err
    assert main([*words, "--allow-private-addresses"]) == 0
    said = capsys.readouterr().out
    assert "license: MIT" in said and "please cite: Patrick Helber" in said and "9 pictures" in said


def test_sets_are_listed_and_mistakes_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in SETS)
    assert main(["download"]) == 2
    with raises(UsageError, code="unknown_name", parameter="name"):
        find_set("mnits")


@pytest.mark.parametrize("named", SETS.values(), ids=SETS)
def test_records_are_whole(named: NamedSet) -> None:
    assert named.address.startswith(("https://", "http://fashion-mnist.s3-website")) and named.address.endswith("/")
    assert all(re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.checksum) for file in named.files)
    assert named.license and named.citation and named.checksums_from and sum(named.images.values()) > 1000
    assert len(set(named.classes)) == len(named.classes)


@pytest.mark.data
def test_the_real_fashion_mnist_agrees_with_its_record(site: LoopbackSite, real_data: Path, tmp_path: Path) -> None:
    files = {file.name: (real_data / "fashion-mnist" / file.name).read_bytes() for file in SETS["fashion-mnist"].files}
    site.pages = {f"/{name}": content for name, content in files.items()}
    gathered = gather_set(
        SETS["fashion-mnist"], tmp_path / "out", raw=True, mirror=site.url, limits=QUICK, allow_private=True
    )
    assert {outcome.status for outcome in gathered.outcomes} == {"fetched"}
    assert gzip.decompress((tmp_path / "out" / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:11] == bytes([9, 2, 1])
