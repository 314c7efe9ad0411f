from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import encode, noise
from loopback_site import QUICK, LoopbackSite, Trouble

from distingo.cli import main
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import read_dataset
from distingo.datasets.options import Reading
from distingo.download.folder import Gathered, read_outcomes
from distingo.download.url_lists import UrlColumns, gather_urls, read_url_table, stem_of_address
from distingo.errors import DataError, ErrorCode, UsageError
from distingo.messages.notes import note
from distingo.runs.data import summarize_unused_files
from raising import raises

Gather = Callable[..., Gathered]


@pytest.fixture
def gather(site: LoopbackSite, tmp_path: Path) -> Gather:
    for number in range(12):
        site.pages[f"/p/{number}.jpg"] = encode(noise(number), "JPEG" if number % 2 else "PNG")

    def run(text: str, name: str = "list.csv", **options: object) -> Gathered:
        table = tmp_path / name
        table.write_text(text.replace("SITE", site.url), encoding="utf-8")
        options = {"limits": QUICK, "allow_private": True, **options}
        return gather_urls(table, tmp_path / "out", **options)

    return run


def listed(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "out" / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.glob("*/*") if not path.parent.name.startswith(".")}


ONE_LABEL = "url,label\n" + "".join(f"SITE/p/{n}.jpg,{'cat' if n % 3 else 'Kätzchen/klein'}\n" for n in range(9))


def test_one_label_each_gives_class_folders(gather: Gather, tmp_path: Path) -> None:
    gathered = gather(ONE_LABEL)
    assert gathered.counts == {"fetched": 9}
    assert files_in(tmp_path / "out") == {
        *(f"Kätzchen-klein/{n}.{'jpg' if n % 2 else 'png'}" for n in (0, 3, 6)),
        *(f"cat/{n}.{'jpg' if n % 2 else 'png'}" for n in (1, 2, 4, 5, 7, 8)),
    }
    assert {row["label"] for row in listed(tmp_path)} == {"cat", "Kätzchen/klein"}
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert Counter(image.label for image in dataset.images) == {"cat": 6, "Kätzchen/klein": 3}


def test_several_labels_give_one_folder_and_a_table_that_distingo_reads(gather: Gather, tmp_path: Path) -> None:
    rows = [("0", "ball|grass"), ("1", "ball"), ("2", ""), ("3", "grass, wet|ball"), ("4", "grass, wet")]
    gather("image url\tlabels\n" + "".join(f"SITE/p/{n}.jpg\t{labels}\n" for n, labels in rows), "list.tsv")
    assert files_in(tmp_path / "out") == {
        "images/0.png",
        "images/1.jpg",
        "images/2.png",
        "images/3.jpg",
        "images/4.png",
    }
    assert [json.loads(row["labels"]) for row in listed(tmp_path)][3] == ["ball", "grass, wet"]
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.task == "multi-label"
    found = {image.source.file: image.labels for image in dataset.images}
    assert found["images/3.jpg"] == ("ball", "grass, wet") and found["images/2.png"] == ()


def test_the_same_address_with_several_labels_is_fetched_once(gather: Gather, site: LoopbackSite) -> None:
    gathered = gather("url,label\nSITE/p/0.jpg,a\nSITE/p/0.jpg,b\nSITE/p/1.jpg,a\n")
    assert len(gathered.outcomes) == 2 == len(site.requests)
    assert note("rows-with-same-address", count=1) in gathered.notes


def test_every_address_is_accounted_for(gather: Gather, site: LoopbackSite, tmp_path: Path) -> None:
    site.pages["/page.jpg"] = b"<!doctype html><html>gone</html>"
    site.headers["/p/2.jpg"] = {"X-Robots-Tag": "noai"}
    site.always["/p/3.jpg"] = Trouble(status=503)
    rows = ["SITE/p/0.jpg,a", "SITE/gone.jpg,a", "SITE/page.jpg,b", "SITE/p/2.jpg,b", "SITE/p/3.jpg,b", "SITE/p/4.jpg,"]
    gathered = gather("url,label\n" + "\n".join([*rows, "ftp://h/x,b", ",b"]))
    assert gathered.counts == {"fetched": 1, "absent": 1, "refused": 4, "failed": 1}
    assert len(listed(tmp_path)) == 1
    reasons = {outcome.url.rpartition("/")[2]: outcome.reason for outcome in read_outcomes(gathered.manifest)}
    assert reasons["4.jpg"] == "line 7 of the table gives no label"
    assert reasons["page.jpg"] == "an HTML page, not a picture"
    assert len(reasons) == 7
    assert note("rows-without-address", count=1) in gathered.notes
    count = len(site.requests)
    site.always.clear()
    again = gather("url,label\n" + "\n".join([*rows, "ftp://h/x,b", ",b"]))
    assert again.counts == {"fetched": 2, "absent": 1, "refused": 4}
    assert len(site.requests) == count + 1


def test_images_that_a_person_took_out_stay_out(gather: Gather, tmp_path: Path) -> None:
    gather(ONE_LABEL)
    (tmp_path / "out" / "cat" / "1.jpg").unlink()
    gathered = gather(ONE_LABEL)
    assert note("removed-since-fetched", count=1, option="try_refused=True") in gathered.notes
    assert len(listed(tmp_path)) == 8
    gather(ONE_LABEL, try_refused=True)
    assert len(listed(tmp_path)) == 9


def test_names_come_from_the_table_or_the_address_and_never_collide(
    gather: Gather, site: LoopbackSite, tmp_path: Path
) -> None:
    site.pages |= {f"/{folder}/photo.php?x=1": encode(noise(40)) for folder in "abc"}
    site.pages |= {f"/{folder}/photo.php": encode(noise(40)) for folder in "abc"}
    table = "url,label\n" + "".join(f"SITE/{folder}/photo.php?x=1,k\n" for folder in "abc")
    gather(table)
    names = files_in(tmp_path / "out")
    assert len(names) == 3 and "k/photo.png" in names
    count = len(site.requests)
    gather(table)
    assert files_in(tmp_path / "out") == names and len(site.requests) == count


def test_file_names_of_the_table_stay_in_the_folder(gather: Gather, tmp_path: Path) -> None:
    gather("file_name,url,class\n../../evil.jpg,SITE/p/0.jpg,..\nmine.jpg,SITE/p/1.jpg,b\n")
    assert files_in(tmp_path / "out") == {"unnamed/evil.png", "b/mine.jpg"}
    assert not list(tmp_path.glob("evil*"))


def test_columns_can_be_named(gather: Gather, tmp_path: Path) -> None:
    text = "where,thumbnail,what,who\nSITE/p/0.jpg,SITE/p/9.jpg,a;b,x\nSITE/p/1.jpg,SITE/p/9.jpg,c,y\n"
    with raises(DataError, code="ambiguous_column", parameter="url_column"):
        gather(text)
    with raises(DataError, code="ambiguous_column", parameter="label_column"):
        gather(text, columns=UrlColumns(url="where"))
    with raises(UsageError, code="unknown_column", naming="'wat'"):
        gather(text, columns=UrlColumns(url="where", label="wat"))
    gather(text, columns=UrlColumns(url="where", label="what", delimiter=""))
    assert files_in(tmp_path / "out") == {"a;b/0.png", "c/1.jpg"}
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.classes == ("a;b", "c")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("name,label\na,b\n", "ambiguous_column"),
        ("url\nhttp://h/a\n", "ambiguous_column"),
        ("url,label\n", "empty_file"),
    ],
)
def test_tables_that_can_not_be_understood_are_said(tmp_path: Path, text: str, code: ErrorCode) -> None:
    (tmp_path / "list.csv").write_text(text)
    with raises(DataError, code=code):
        read_url_table(tmp_path / "list.csv", UrlColumns())


def test_the_command_says_what_came_and_what_did_not(
    gather: Gather, site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.always["/p/0.jpg"] = Trouble(status=503)
    table = tmp_path / "list.csv"
    table.write_text(ONE_LABEL.replace("SITE", site.url) + f"{site.url}/gone.jpg,cat\n", encoding="utf-8")
    words = ["download", "urls", str(table), "-o", str(tmp_path / "out"), "--allow-private-addresses"]
    assert main([*words, "--attempts", "1"]) == 3
    said = capsys.readouterr()
    assert "8 files" in said.out and "1 not fetched: the server answers 404" in said.out
    assert "1 files failed; run the same command again for them" in said.err
    site.always.clear()
    assert main(words) == 0
    assert main([*words, "--per-host", "0"]) == 2


def test_what_was_there_already_is_told_from_what_came(
    site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.pages = {f"/{at}.png": encode(noise(at)) for at in range(3)}
    table = tmp_path / "list.csv"
    table.write_text("url,label\n" + "".join(f"{site.url}/{at}.png,{'ab'[at % 2]}\n" for at in range(3)))
    words = ["download", "urls", str(table), "-o", str(tmp_path / "out"), "--allow-private-addresses"]
    assert main(words) == 0
    assert "there already" not in capsys.readouterr().out
    assert main(words) == 0
    assert "3 files" in (said := capsys.readouterr().out)
    assert "  0 fetched now, 3 were there already\n" in said
    next((tmp_path / "out" / "a").iterdir()).unlink()
    assert main(words) == 0
    assert "  0 fetched now, 2 were there already\n" in capsys.readouterr().out
    assert main([*words, "--try-refused"]) == 0
    assert "  1 fetched now, 2 were there already\n" in capsys.readouterr().out


def test_the_command_fails_where_nothing_came(
    site: LoopbackSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "list.csv"
    table.write_text(f"url,label\n{site.url}/a.png,a\n{site.url}/b.png,b\n")
    words = ["download", "urls", str(table), "-o", str(tmp_path / "out")]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "nothing came of 2 files; where private addresses are meant" in said
    assert "--allow-private-addresses --try-refused" in said
    assert main([*words, "--allow-private-addresses", "--try-refused"]) == 1
    assert "manifest.csv says why for each" in capsys.readouterr().err
    site.pages = {"/a.png": encode(noise(1)), "/b.png": encode(noise(2))}
    assert main([*words, "--allow-private-addresses", "--try-refused"]) == 0


def test_a_list_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "urls", str(tmp_path / "nope.csv"), "-o", str(tmp_path / "out")]) == 1
    assert "nope.csv: no such file; check the spelling\n" in capsys.readouterr().err


def test_the_files_of_a_download_are_not_counted(gather: Gather, tmp_path: Path) -> None:
    gather(ONE_LABEL)
    dataset = read_dataset(tmp_path / "out", Reading(cache=Cache(tmp_path / "cache")))
    assert dataset.file_count == len(dataset.images) == 9
    assert summarize_unused_files(dataset, "manifest.csv") == ()
    own = {row.file: str(row.reason) for row in dataset.manifest if row.is_own}
    assert own.keys() == {"manifest.csv", "metadata.csv", *own_files(tmp_path / "out")}
    assert own["manifest.csv"] == own[".distingo-download/finished"] == "kept by `distingo download`"
    assert own["metadata.csv"] == "holds the labels that `distingo download` wrote"
    assert not any(row.is_own for row in dataset.left_out)


def own_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in (folder / ".distingo-download").rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("url", "stem"),
    [
        ("https://h/a/cat.JPG?size=2", "cat"),
        ("https://h/a/caf%C3%A9.png", "café"),
        ("https://h/", "h"),
        ("https://h/..%2F..%2Fevil.jpg", "evil"),
        ("https://h/show.php?id=3", "show"),
        ("http://[bad", "unnamed"),
    ],
)
def test_addresses_name_their_images(url: str, stem: str) -> None:
    assert stem_of_address(url) == stem
