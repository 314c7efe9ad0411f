"""Cleaning plans: which files are to be moved and why, and which duplicates are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distingo.curation.findings import Finding, FindingKind, is_resolved
from distingo.datasets.corrections import Corrections
from distingo.datasets.decoding.decode import NO_LIMIT, UndecodableError, read_bytes, read_header
from distingo.datasets.examining import hash_content
from distingo.datasets.walking import display_name, source_of, split_of_path
from distingo.errors import DataError
from distingo.messages.notes import Note, note, text_note
from distingo.progress import progress_bar
from distingo.records import SPLITS
from distingo.safe_paths import find_path_fault

Pair = tuple[str, str]

Rank = Callable[[str], Any]


def choose_copies(same: Iterable[Pair], alike: Iterable[Pair], rank: Rank) -> dict[str, str]:
    """Choose which duplicates to remove, so that each of them has a duplicate that is kept.

    Identity is transitive: of a = b and b = c, one file is kept. Similarity is not: an image is removed only if it is
    itself similar to one that is kept.

    Args:
        same: Pairs of files with the same image.
        alike: Pairs of files with similar images.
        rank: Unique rank of a file; the file with the lower rank is kept.

    Returns:
        The kept duplicate by removed file.
    """
    originals = {file: group[0] for group in _groups(same, rank) for file in group[1:]}
    near: dict[str, set[str]] = defaultdict(set)
    for pair in alike:
        one, other = (originals.get(file, file) for file in pair)
        if one != other:
            near[one].add(other)
            near[other].add(one)
    stays: set[str] = set()
    replacements: dict[str, str] = {}
    for file in sorted(near, key=rank):
        if kept := near[file] & stays:
            replacements[file] = min(kept, key=rank)
        else:
            stays.add(file)
    return {**{file: replacements.get(kept, kept) for file, kept in originals.items()}, **replacements}


def _groups(pairs: Iterable[Pair], rank: Rank) -> list[list[str]]:
    """Group identical files, the kept file first."""
    above: dict[str, str] = {}

    def top(file: str) -> str:
        while above.setdefault(file, file) != file:
            above[file] = above[above[file]]
            file = above[file]
        return file

    for one, other in pairs:
        above[top(one)] = top(other)
    groups = defaultdict(list)
    for file in above:
        groups[top(file)].append(file)
    return [sorted(group, key=rank) for group in groups.values()]


PAIR_KINDS: tuple[FindingKind, ...] = ("duplicate", "near-duplicate", "leak")
"""Kinds of findings for which one file of a pair is removed and one kept."""

_STAYS_FIRST = {"test": 0, "validation": 1, "train": 2}


@dataclass(frozen=True, slots=True)
class Move:
    """One file to be moved.

    Attributes:
        file: As in `Source.file`.
        path: Path of the file.
        kinds: Kinds of findings for which it is moved.
        reason: Explanation for the user.
        content: Content hash; empty if the file can't be read.
        stays: The duplicate that is kept; empty if the file is moved for another reason.
    """

    file: str
    path: Path
    kinds: tuple[FindingKind, ...]
    reason: Note
    content: str
    stays: str = ""


@dataclass(frozen=True, slots=True)
class UnmovedFile:
    """One file with findings that is not moved, and the reason."""

    file: str
    kinds: tuple[FindingKind, ...]
    reason: Note


@dataclass(frozen=True, slots=True)
class CleaningPlan:
    """A plan for cleaning a data set.

    Attributes:
        root: Resolved root of the data set.
        moves: Files to be moved, sorted by name.
        unmoved: Files that are not moved, sorted by name.
        notes: Notes for the user.
    """

    root: Path
    moves: tuple[Move, ...]
    unmoved: tuple[UnmovedFile, ...]
    notes: tuple[Note, ...] = ()


def plan_cleaning(root: Path, findings: Sequence[Finding], corrections: Corrections | None = None) -> CleaningPlan:
    """Plan which files to move; nothing is changed.

    One of several duplicates, near-duplicates or leaks is always kept. Files that need not be moved for another reason
    come first, then files of the test, validation and train splits in this order, then (for near-duplicates) those with
    more pixels, then the first by name. Both images of a contradiction are moved, as the correct one is unknown.

    Args:
        root: Root of the data set.
        findings: The findings to act on.
        corrections: Decisions of the user; kept and relabeled images are not moved.

    Returns:
        The plan.
    """
    root = root.resolve()
    open_findings, resolved = _sort_out(findings, corrections)
    reasons: dict[str, list[Finding]] = defaultdict(list)
    for finding in open_findings:
        if finding.kind not in PAIR_KINDS or finding.other_root:
            reasons[finding.file].append(finding)
        if finding.kind == "contradiction" and finding.other and not finding.other_root:
            reasons[finding.other].append(_turned(finding))
    pairs = [finding for finding in open_findings if finding.kind in PAIR_KINDS and not finding.other_root]
    stays = _choose(root, pairs, set(reasons))
    for finding in pairs:
        for file, view in ((finding.file, finding), (finding.other, _turned(finding))):
            if file in stays:
                reasons[file].append(view)
    contents = _contents(findings)
    moves: list[Move] = []
    left = list(resolved)
    with progress_bar("Comparing with the check", len(reasons)) as advance:
        for file in sorted(reasons):
            kept_copy = "" if any(each.kind not in PAIR_KINDS for each in reasons[file]) else stays.get(file, "")
            outcome = _decide(root, file, reasons[file], contents, kept_copy)
            if isinstance(outcome, Move):
                moves.append(outcome)
            else:
                left.append(outcome)
            advance()
    left.sort(key=lambda each: each.file)
    return CleaningPlan(root, tuple(moves), tuple(left), _emptied(root, moves))


def _sort_out(
    findings: Sequence[Finding], corrections: Corrections | None
) -> tuple[list[Finding], dict[UnmovedFile, None]]:
    """Divide findings into those to act on and those that were already resolved."""
    unresolved: list[Finding] = []
    resolved: dict[UnmovedFile, None] = {}
    by_file = corrections.by_file if corrections else {}
    for finding in findings:
        correction = by_file.get(finding.file)
        if not is_resolved(finding, corrections) or (correction and correction.action == "quarantine"):
            unresolved.append(finding)
            continue
        name = corrections.path.name if corrections else ""
        decided = note("decided-with", table=name, file=finding.other)
        if correction:
            decided = note("decided", table=name, action=correction.action, line=correction.line)
        resolved[UnmovedFile(finding.file, (finding.kind,), decided)] = None
    return unresolved, resolved


def _turned(finding: Finding) -> Finding:
    """The same finding with the two images swapped."""
    return Finding(
        finding.kind,
        finding.other,
        finding.score,
        finding.threshold,
        finding.other_labels,
        finding.other_split,
        finding.other_content,
        finding.file,
        finding.labels,
        reason=finding.reason,
        other_split=finding.split,
        other_content=finding.content,
    )


def _contents(findings: Sequence[Finding]) -> dict[str, str]:
    """Content hashes by file, according to the findings."""
    hashes = {finding.other: finding.other_content for finding in findings if not finding.other_root}
    hashes |= {finding.file: finding.content for finding in findings if finding.content or finding.file not in hashes}
    return hashes


def _choose(root: Path, pairs: Sequence[Finding], going: set[str]) -> dict[str, str]:
    splits = {pair.file: pair.split for pair in pairs}
    splits |= {pair.other: pair.other_split for pair in pairs if not splits.get(pair.other)}
    alike = [(pair.file, pair.other) for pair in pairs if pair.kind != "duplicate"]
    pixels = {file: _pixels(root, file) for file in {file for pair in alike for file in pair}}

    def rank(file: str) -> tuple[bool, int, int, str]:
        split = splits[file] or split_of_path(file) or ""
        return file in going, _STAYS_FIRST.get(split, len(SPLITS)), -pixels.get(file, 0), file

    return choose_copies([(pair.file, pair.other) for pair in pairs if pair.kind == "duplicate"], alike, rank)


def _pixels(root: Path, file: str) -> int:
    if find_path_fault(file):
        return 0
    try:
        header = read_header(read_bytes(source_of(root, file)), max_pixels=NO_LIMIT)
    except DataError:
        return 0
    return header.width * header.height


def _decide(
    root: Path, file: str, findings: Sequence[Finding], contents: dict[str, str], stays: str
) -> Move | UnmovedFile:
    kinds = tuple(dict.fromkeys(finding.kind for finding in findings))
    if find_path_fault(file):
        return UnmovedFile(file, kinds, note("outside-folder", folder=str(root)))
    source = source_of(root, file)
    if source.index is not None:
        return UnmovedFile(file, kinds, note("inside-file-of-images"))
    if why := _why_immovable(root, source.path):
        return UnmovedFile(file, kinds, why)
    content, why = _unchanged(root, file, contents.get(file, ""))
    if not why and stays:
        copy, changed = _unchanged(root, stays, contents.get(stays, ""))
        if changed or not copy:
            why = note("copy-not-kept", file=stays, said=changed or note("not-there"))
    if why:
        return UnmovedFile(file, kinds, why)
    reasons = tuple(dict.fromkeys(finding.reason or _describe(finding) for finding in findings))
    reason = reasons[0] if len(reasons) == 1 else note("several-reasons", reasons=reasons)
    return Move(file, source.path, kinds, reason, content, stays)


def _describe(finding: Finding) -> Note:
    if finding.other:
        return note("finding-of-pair", kind=finding.kind, file=finding.other)
    return note("finding", kind=finding.kind)


def _why_immovable(root: Path, path: Path) -> Note | None:
    """Describe why a file below the root can't be moved; None if it can."""
    for parent in (path, *path.parents):
        if parent == root:
            break
        if parent.is_symlink():
            return note("reached-through-link" if parent != path else "is-a-link")
    if not path.exists():
        return note("not-there-any-more")
    return None if path.is_file() else note("no-regular-file-now")


def _unchanged(root: Path, file: str, expected: str) -> tuple[str, Note | None]:
    """The content hash of a file, and a description of the fault if it has changed since the check."""
    if find_path_fault(file):
        return "", note("outside-folder", folder=str(root))
    try:
        content = hash_content(source_of(root, file))
    except UndecodableError as error:
        return "", error.reason if expected else None
    except DataError as error:
        return "", text_note(str(error))
    return content, note("changed-since-check") if expected and content != expected else None


def _emptied(root: Path, moves: Sequence[Move]) -> tuple[Note, ...]:
    """Notes on the folders that would become empty."""
    going: dict[Path, set[str]] = defaultdict(set)
    for move in moves:
        going[move.path.parent].add(move.path.name)
    return tuple(
        note("folder-left-empty", folder=display_name(folder.relative_to(root).parts))
        for folder in sorted(going)
        if folder != root and all(path.name in going[folder] for path in folder.iterdir())
    )
