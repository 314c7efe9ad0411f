from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from drawing import encode, noise
from loopback_site import QUICK, LoopbackSite, Trouble

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.download.folder import Gathered, read_outcomes
from distingo.download.imagenet import gather_imagenet, read_synsets
from distingo.errors import DataError, UsageError
from distingo.messages.notes import Note, note
from raising import raises

RUGBY, GOLF = "n04118538", "n03445777"


def archive(synset: str, count: int, **others: bytes) -> bytes:
    buffer = io.BytesIO()
    files = {f"{synset}_{number}.JPEG": encode(noise(int(synset[1:]) + number), "JPEG") for number in range(count)}
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in {**files, **others}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def imagenet(site: LoopbackSite) -> LoopbackSite:
    site.pages = {f"/data/{RUGBY}.tar": archive(RUGBY, 5), f"/data/{GOLF}.tar": archive(GOLF, 4)}
    return site


def get(site: LoopbackSite, output: Path, *names: str) -> Gathered:
    classes = names or ("Rugby Ball", "golf_ball")
    return gather_imagenet(classes, output, QUICK, address=f"{site.url}/data", allow_private=True)


def reasons(gathered: Gathered) -> dict[str, str]:
    return {outcome.name: outcome.reason for outcome in gathered.outcomes if outcome.status != "fetched"}


def counted(rugby: int, golf: int) -> tuple[Note, Note]:
    return note("images-of-class", name="rugby ball", count=rugby), note(
        "images-of-class", name="golf ball", count=golf
    )


def test_class_folders_with_every_image_accounted_for(imagenet: LoopbackSite, tmp_path: Path) -> None:
    result = get(imagenet, tmp_path / "out")
    assert result.notes == counted(5, 4)
    assert reasons(result) == {}
    with (tmp_path / "out" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert rows[0] == {
        "file_name": f"rugby ball/{RUGBY}_0.JPEG",
        "labels": '["rugby ball"]',
        "synset": RUGBY,
        "archive": f"{imagenet.url}/data/{RUGBY}.tar",
    }
    assert "non-commercial research" in (tmp_path / "out" / "LICENCE-AND-CITATION.txt").read_text(encoding="utf-8")
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.classes == ("golf ball", "rugby ball")
    assert len(dataset.images) == 9
    assert not list((tmp_path / "out").rglob("*.tar"))


def test_nothing_is_fetched_twice(imagenet: LoopbackSite, tmp_path: Path) -> None:
    first = get(imagenet, tmp_path / "out")
    assert get(imagenet, tmp_path / "out") == first
    assert len(imagenet.requests) == 2


def test_what_a_person_took_out_stays_out(imagenet: LoopbackSite, tmp_path: Path) -> None:
    get(imagenet, tmp_path / "out")
    (tmp_path / "out" / "rugby ball" / f"{RUGBY}_0.JPEG").unlink()
    shutil.rmtree(tmp_path / "out" / "golf ball")
    assert get(imagenet, tmp_path / "out").notes == counted(4, 0)
    assert not (tmp_path / "out" / "golf ball").exists()
    assert len(imagenet.requests) == 2


def test_a_broken_archive_is_gone_on_with(imagenet: LoopbackSite, tmp_path: Path) -> None:
    path = f"/data/{RUGBY}.tar"
    imagenet.troubles[path] = [Trouble(break_after=3000), Trouble(status=503)]
    assert reasons(get(imagenet, tmp_path / "out")) == {}
    assert imagenet.sent[path] <= len(imagenet.pages[path])


def test_a_run_killed_between_fetching_and_unpacking_goes_on(imagenet: LoopbackSite, tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from distingo.download import imagenet\n"
        "from distingo.download.records import Limits\n"
        "def killed(archive, folder):\n"
        "    folder.mkdir(parents=True); (folder / 'half').write_text('half'); os._exit(9)\n"
        "imagenet.extract_archive = killed\n"
        "imagenet.gather_imagenet(['rugby ball', 'golf ball'], Path(sys.argv[2]), Limits(), address=sys.argv[1],"
        " allow_private=True)"
    )
    words = [sys.executable, "-c", program, f"{imagenet.url}/data", str(tmp_path / "out")]
    assert subprocess.run(words, check=False).returncode == 9
    assert get(imagenet, tmp_path / "out").notes == counted(5, 4)
    assert len(imagenet.requests) == 2
    assert not list((tmp_path / "out").rglob("half"))


def test_a_page_to_log_in_is_told_from_an_archive(imagenet: LoopbackSite, tmp_path: Path) -> None:
    imagenet.redirects[f"/data/{RUGBY}.tar"] = "/login"
    imagenet.pages["/login"] = b"<!DOCTYPE html><html><body>Log in</body></html>"
    result = get(imagenet, tmp_path / "out")
    assert result.notes == counted(0, 4)
    (reason,) = reasons(result).values()
    assert re.search("an HTML page, .*; perhaps one to log in: ask for access at https", reason)
    assert reasons(get(imagenet, tmp_path / "out")) == reasons(result)
    with raises(DataError, code="download_failed"):
        get(imagenet, tmp_path / "alone", "rugby ball")


def test_a_synset_without_an_archive(imagenet: LoopbackSite, tmp_path: Path) -> None:
    result = get(imagenet, tmp_path / "out", RUGBY, "soccer ball")
    assert list(reasons(result).values()) == ["the server answers 404; this release leaves some synsets out"]
    imagenet.pages["/data/n04254680.tar"] = archive("n04254680", 2)
    assert reasons(get(imagenet, tmp_path / "again", RUGBY, "soccer ball")) == {}


def test_what_is_no_image_is_said_and_not_in_the_table(imagenet: LoopbackSite, tmp_path: Path) -> None:
    page = b"<html>gone</html>"
    imagenet.pages[f"/data/{RUGBY}.tar"] = archive(RUGBY, 2, **{f"{RUGBY}_9.JPEG": page, "empty.JPEG": b""})
    result = get(imagenet, tmp_path / "out")
    assert result.notes[0] == counted(2, 0)[0]
    assert reasons(result) == {
        "rugby ball/empty.JPEG": "an empty file",
        f"rugby ball/{RUGBY}_9.JPEG": "an HTML page, not a picture",
    }
    listed = {outcome.name: outcome for outcome in read_outcomes(result.manifest)}
    assert listed["rugby ball/empty.JPEG"].reason == "an empty file"


def test_a_hostile_archive_writes_nothing_elsewhere(imagenet: LoopbackSite, tmp_path: Path) -> None:
    imagenet.pages[f"/data/{RUGBY}.tar"] = archive(RUGBY, 1, **{"../../escaped.JPEG": b"x"})
    with raises(DataError, code="unsafe_archive"):
        get(imagenet, tmp_path / "out")
    assert not list(tmp_path.rglob("escaped*"))
    assert not (tmp_path / "out" / "rugby ball").exists()


def test_names_and_identifiers_and_the_nearest() -> None:
    known = {each.identifier: each for each in read_synsets()}
    assert len(known) > 21_000
    assert known[RUGBY].names == ("rugby ball",)
    assert known["n02084071"].names == ("dog", "domestic dog", "Canis familiaris")


def test_a_mistaken_name(imagenet: LoopbackSite, tmp_path: Path) -> None:
    with raises(UsageError, code="unknown_name", parameter="classes", naming="'rugbyball'"):
        get(imagenet, tmp_path / "out", "rugbyball")
    with raises(UsageError, code="ambiguous_name", parameter="classes"):
        get(imagenet, tmp_path / "out", "crane")
    assert not (tmp_path / "out").exists()


def test_reading_the_names_loads_no_torch() -> None:
    program = (
        "import sys; from distingo.download.imagenet import read_synsets; read_synsets();"
        "assert not {'torch', 'timm'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
