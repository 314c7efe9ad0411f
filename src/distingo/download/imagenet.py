"""Download of ImageNet images by synset, from one archive per synset.

The names of the synsets (WordNet nouns) are read from timm's package data.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from distingo.csv_files import write_table
from distingo.datasets.corrections import DOWNLOAD_FOLDER, LICENSE_NAME, METADATA_NAME
from distingo.datasets.decoding.formats import describe_unusable, detect_file_format
from distingo.datasets.walking import walk
from distingo.download.archives import extract_archive
from distingo.download.fetching import fetch
from distingo.download.folder import DownloadFolder, Gathered, open_folder
from distingo.download.records import IMAGES, CatalogClass, Limits, Outcome, RemoteFile, find_classes, folder_names
from distingo.errors import DataError, ResourceError, option
from distingo.files import write_text
from distingo.messages.notes import note

ARCHIVES = "https://image-net.org/data/winter21_whole"
"""Base URL of the archives, ``<WordNet id>.tar`` (release of winter 2021)."""

TERMS = """ImageNet, https://www.image-net.org

ImageNet does not own the copyright of the pictures. They may be used for non-commercial research and education only;
the terms of access are at https://www.image-net.org/download.php, and whoever fetches pictures agrees to them.

J. Deng, W. Dong, R. Socher, L.-J. Li, K. Li, L. Fei-Fei: ImageNet: A large-scale hierarchical image database. IEEE
Conference on Computer Vision and Pattern Recognition, 2009.
"""

_ARCHIVES = f"{DOWNLOAD_FOLDER}/archives"
_LARGEST = 16 << 30
_COLUMNS = ("file_name", "labels", "synset", "archive")


def gather_imagenet(
    names: Sequence[str],
    output: Path,
    limits: Limits | None = None,
    *,
    address: str | None = None,
    try_refused: bool = False,
    allow_private: bool = False,
) -> Gathered:
    """Download the images of some synsets into class folders, with ``metadata.csv`` next to them.

    Args:
        names: Any lemma of a synset, ignoring case (``rugby ball``), or its WordNet id (``n04118538``). The images are
            those of the synset itself, not of its hyponyms.
        output: A folder: new, empty, or started by the same request.
        limits: Limits of the download; None takes the defaults, with archives of up to 16 GiB.
        address: Base URL of the archives; None takes the official one.
        try_refused: As in `fetch`.
        allow_private: Whether `address` may be on a private network.

    Returns:
        One outcome per archive, and one per file in the archives that is not an image.

    Raises:
        DataError: No archive can be downloaded, or one is damaged.
        ResourceError: The folder can't be written, or timm's list of names is missing.
        UsageError: A synset is unknown, or the folder contains something else.
    """
    classes = find_synsets(names)
    folders = dict(zip(folder_names(classes), classes, strict=True))
    command = " ".join(["distingo download imagenet", *(f"--class {each.identifier}" for each in classes)])
    with open_folder(output, {"command": command, "imagenet": sorted(each.identifier for each in classes)}) as folder:
        archive_files = [_archive(each, address or ARCHIVES) for each in classes]
        missing = [file for name, file in zip(folders, archive_files, strict=True) if not (output / name).exists()]
        fetch(missing, folder, limits, description="archives", try_refused=try_refused, allow_private=allow_private)
        for name, file in zip(folders, archive_files, strict=True):
            _unpack(folder, file, name)
        if not any((output / name).is_dir() for name in folders):
            raise DataError(_first_reason(folder, archive_files), code="download_failed")
        write_text(output / LICENSE_NAME, TERMS)
        images, others = _list_files(folder, folders, archive_files)
        write_table(output / METADATA_NAME, _COLUMNS, images)
        folder.write_manifest()
        folder.finish()
        archives = [outcome for file in archive_files if (outcome := folder.outcome_of(file.name)) is not None]
    counts = Counter(row[1] for row in images)
    notes = tuple(note("images-of-class", name=name, count=counts[_labels(name)]) for name in folders)
    return Gathered(output, (*archives, *others), notes, folder.arrived)


def find_synsets(names: Sequence[str]) -> tuple[CatalogClass, ...]:
    """Find synsets by the names that `gather_imagenet` accepts.

    Raises:
        ResourceError: timm's list of names is missing.
        UsageError: A synset is unknown.
    """
    return find_classes(names, read_synsets(), "ImageNet")


def read_synsets() -> tuple[CatalogClass, ...]:
    """Read the 21,844 synsets of ImageNet with their lemmas and definitions (WordNet 3.0).

    The files of timm are located without importing it, which would load torch.

    Raises:
        ResourceError: timm is not installed, or no longer contains these files.
    """
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise ResourceError(
            "the names of ImageNet's classes come with timm, which is missing; run `pip install timm`",
            code="missing_extra",
        )
    folder = Path(spec.origin).parent / "data" / "_info"
    try:
        names = _read(folder / "imagenet_synset_to_lemma.txt")
        meanings = _read(folder / "imagenet_synset_to_definition.txt")
    except (OSError, ValueError) as error:
        problem = f"this version of timm has no list of ImageNet's classes ({error})"
        raise ResourceError(f"{folder}: {problem}; run `pip install timm==1.0.31`", code="missing_extra") from error
    return tuple(
        CatalogClass(identifier, tuple(lemmas.split(", ")), meanings.get(identifier, ""))
        for identifier, lemmas in names.items()
    )


def _read(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return {identifier: text for identifier, tab, text in (line.partition("\t") for line in lines) if tab}


def _archive(synset: CatalogClass, address: str) -> RemoteFile:
    return RemoteFile(
        f"{address.rstrip('/')}/{synset.identifier}.tar",
        f"{_ARCHIVES}/{synset.identifier}.tar",
        formats=frozenset({"unknown"}),  # the detected format of a tar file, unlike an HTML page
        largest=_LARGEST,
    )


def _unpack(folder: DownloadFolder, remote: RemoteFile, name: str) -> None:
    """Extract an archive into its class folder atomically and remove it, or record why it is missing."""
    outcome = folder.outcome_of(remote.name)
    if outcome is None:
        return
    if outcome.status != "fetched":
        folder.record(replace(outcome, reason=_missing_reason(outcome)))
        return
    if not outcome.file:
        return  # extracted by an earlier run; images that the user removed since are not restored
    if not (folder.root / name).exists():
        temporary = folder.own / "unpacked"
        shutil.rmtree(temporary, ignore_errors=True)  # left by a run that was killed
        extract_archive(folder.root / outcome.file, temporary / name)
        (temporary / name).rename(folder.root / name)
    (folder.root / remote.name).unlink(missing_ok=True)
    folder.record(replace(outcome, file="", reason=f"laid out as {name}"))


def _missing_reason(outcome: Outcome) -> str:
    advice = "; this release leaves some synsets out" if outcome.status == "absent" else ""
    if outcome.format == "HTML":
        advice = "; perhaps one to log in: ask for access at https://www.image-net.org/download.php"
    return outcome.reason.removesuffix(advice) + advice


def _first_reason(folder: DownloadFolder, archives: Sequence[RemoteFile]) -> str:
    outcome = folder.outcome_of(archives[0].name)
    if outcome is not None and outcome.status == "fetched":
        return (
            f"{folder.root}: its pictures were removed since they were fetched; name a new folder by {option('output')}"
        )
    if outcome is None:
        return f"{archives[0].url}: is not there"
    advice = (
        f"; run the same command again, or name another place by {option('mirror')}"
        if outcome.status == "failed"
        else ""
    )
    return f"{archives[0].url}: {outcome.reason}{advice}"


def _list_files(
    folder: DownloadFolder, folders: dict[str, CatalogClass], archives: Sequence[RemoteFile]
) -> tuple[list[tuple[str, ...]], list[Outcome]]:
    """Return a table row for every extracted image, and an outcome for every other extracted file."""
    rows: list[tuple[str, ...]] = []
    others: list[Outcome] = []
    for (name, synset), archive in zip(folders.items(), archives, strict=True):
        for extracted in walk(folder.root / name) if (folder.root / name).is_dir() else ():
            file = "/".join((name, *extracted.parts))
            kind = detect_file_format(extracted.path)
            if kind in IMAGES:
                rows.append((file, _labels(name), synset.identifier, archive.url))
                continue
            reason = describe_unusable(kind)
            others.append(Outcome(file, "refused", reason, file, archive.url, size=extracted.path.stat().st_size))
            folder.record(others[-1])
    return rows, others


def _labels(name: str) -> str:
    return json.dumps([name], ensure_ascii=False)
