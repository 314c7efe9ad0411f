"""The result of a check with its files, and the estimate of how many labels are wrong.

The labels are modeled as a mixture (`estimate_noise`). Most are drawn from the models' out-of-fold probabilities,
sharpened or softened by one slope; a share of them, the noise, is drawn uniformly from all classes. Both parameters are
maximum likelihood estimates. The label of an ambiguous image is explained by its probabilities without noise; an almost
impossible label is not. One minus the posterior probability of noise is a local false discovery rate (Efron,
Tibshirani, Storey and Tusher 2001): labels with a posterior of at least one half are more probably wrong than right. In
data without noise no label is doubted, as noise does not raise the likelihood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distingo.curation.findings import (
    FINDING_KINDS,
    FINDINGS_NAME,
    Finding,
    FindingKind,
    read_findings,
    resolve_thresholds,
    write_findings,
)
from distingo.curation.shortcuts import Shortcut
from distingo.errors import RunError
from distingo.files import read_json, write_json
from distingo.messages.notes import Note, note, read_notes
from distingo.metrics.intervals import NORMAL_QUANTILE, wilson
from distingo.metrics.logits import log_softmax
from distingo.near_duplicates.search import NearDuplicateSearch
from distingo.records import NO_VALUE_RANGES, Task, ValueRanges
from distingo.version import __version__

Floats = npt.NDArray[np.float64]

MARGIN = 0.1
"""Minimum gain of the models over guessing, relative to a perfect score, at the lower end of a 95 % interval."""

MOST_WRONG = 0.1
"""Maximum share of the images that counts as wrongly labeled."""

LOW_ERROR_RATE = 0.02
"""Highest error rate of models whose confident contradictions count even if no noise is detected."""

CONFIDENT_MARGIN = 0.75
"""Minimum difference between the probabilities of the predicted and the labeled class of such a contradiction."""

_SIGNIFICANT = 3.841458820694124  # the 95 % quantile of chi squared with one degree of freedom

_LEAST = 1e-6

_NEVER = -40.0
"""The log odds of no noise."""


@dataclass(frozen=True, slots=True)
class LabelBasis:
    """Basis of the label findings.

    Attributes:
        score: Out-of-fold score of the models. Single-label: accuracy; multi-label: mean area under the ROC curve.
        baseline: Single-label: accuracy of always predicting the most frequent class; multi-label: 0.5.
        gain: Score minus baseline, at the lower end of a 95 % interval.
        low: Lower end of the score's 95 % interval.
        high: Upper end of the score's 95 % interval.
        n: Number of images behind the score.
        is_better: Whether the gain is at least `MARGIN` of the way to a perfect score; if not, no label is doubted.
        noise: Estimated share of random labels; 0 if it is not significant.
        wrong: Number of images with a label that is more probably wrong than right. If there is no significant noise
            and the models hardly ever err, the number of confident contradictions (`LOW_ERROR_RATE`,
            `CONFIDENT_MARGIN`).
        counted: How many of these count, at most a share `MOST_WRONG` of all images.
        false_alarms: Expected share of correct labels among the counted ones; 0 if there are none, None if they are too
            few for an estimate.
    """

    score: float
    baseline: float
    gain: float
    low: float
    high: float
    n: int
    is_better: bool
    noise: float = 0.0
    wrong: int = 0
    counted: int = 0
    false_alarms: float | None = 0.0

    @property
    def is_cut(self) -> bool:
        """Whether more labels look wrong than count."""
        return self.wrong > self.counted


def estimate_label_basis(
    probabilities: Floats, indicator: npt.NDArray[np.bool_], score: float, task: Task
) -> LabelBasis:
    """Evaluate labels against out-of-fold probabilities.

    Args:
        probabilities: Float64 (n, classes), of labeled images (single-label) or all images (multi-label).
        indicator: Bool (n, classes): the labels.
        score: As in `LabelBasis`.
        task: ``single-label`` or ``multi-label``.
    """
    baseline, gain, low, high = _gain(probabilities, indicator, task)
    basis = LabelBasis(score, baseline, gain, min(low, score), max(high, score), len(indicator), is_better=False)
    if not len(indicator) or gain < MARGIN * (1 - baseline):
        return basis
    noise, posterior = estimate_noise(probabilities, indicator, task)
    if noise == 0 and task == "single-label" and score >= 1 - LOW_ERROR_RATE:
        excess = probabilities.max(axis=1) - probabilities[np.arange(len(indicator)), indicator.argmax(axis=1)]
        contradicted = int((excess >= CONFIDENT_MARGIN).sum())
        return replace(
            basis, is_better=True, wrong=contradicted, counted=contradicted, false_alarms=None if contradicted else 0.0
        )
    wrong = int((posterior >= 0.5).sum())
    counted = min(wrong, int(MOST_WRONG * len(indicator)))
    most_doubtful = np.sort(posterior)[len(posterior) - counted :]
    alarms = float(1 - most_doubtful.mean()) if counted else 0.0
    return replace(basis, is_better=True, noise=noise, wrong=wrong, counted=counted, false_alarms=alarms)


def estimate_noise(probabilities: Floats, indicator: npt.NDArray[np.bool_], task: Task) -> tuple[float, Floats]:
    """Estimate the share of random labels, and the probability that each image has one.

    Args:
        probabilities: Float64 (n, classes), of models that were not fitted on the images.
        indicator: Bool (n, classes): the labels.
        task: ``single-label`` or ``multi-label``; in the latter case each label of an image is one of two classes.

    Returns:
        The share, and float64 (n,): the posterior probability of noise (multi-label: of the most doubtful label). Both
        are 0 if noise does not raise the likelihood significantly (a likelihood ratio test at 5 %).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    if task == "single-label":
        logits, given = np.log(np.clip(probabilities, _LEAST, 1)), indicator.argmax(axis=1)
        kinds, rows = indicator.shape[1], np.arange(len(indicator))

        def logarithms(slope: float) -> Floats:
            return np.asarray(log_softmax(slope * logits)[rows, given])
    else:
        inside = np.clip(probabilities, _LEAST, 1 - _LEAST)
        odds = np.where(indicator, 1.0, -1.0) * (np.log(inside) - np.log1p(-inside))
        kinds = 2

        def logarithms(slope: float) -> Floats:
            return np.asarray(-np.logaddexp(0, -slope * odds))

    def loss(packed: npt.NDArray[np.float64]) -> float:
        slope, share = float(np.exp(packed[0])), float(expit(max(packed[1], _NEVER)))
        return float(-np.logaddexp(np.log1p(-share) + logarithms(slope), np.log(share / kinds)).mean())

    options = {"xatol": 1e-4, "fatol": 1e-9, "maxiter": 400}
    plain = minimize(lambda slope: loss(np.array([slope[0], _NEVER])), [0.0], method="Nelder-Mead", options=options)
    starts = ([float(plain.x[0]), odds_of_noise] for odds_of_noise in (-6.0, -3.0))
    best = min((minimize(loss, start, method="Nelder-Mead", options=options) for start in starts), key=lambda m: m.fun)
    evaluated = len(indicator) if task == "single-label" else indicator.size
    if 2 * evaluated * (plain.fun - best.fun) < _SIGNIFICANT:
        return 0.0, np.zeros(len(indicator))
    slope, share = float(np.exp(best.x[0])), float(expit(best.x[1]))
    likely = (1 - share) * np.exp(logarithms(slope))
    posterior = share / kinds / (likely + share / kinds)
    return share, posterior if task == "single-label" else posterior.max(axis=1)


def describe_basis(basis: LabelBasis, task: Task) -> list[Note]:
    """Notes on the label findings, or on the reason why there are none."""
    single = task == "single-label"
    values = {"score": basis.score, "count": basis.n, "low": basis.low, "high": basis.high}
    worth = Note("right-on" if single else "area-on", values)
    floor = note("commonest-on" if single else "guessing-reaches", score=basis.baseline)
    if not basis.is_better:
        return [note("labels-not-doubted", worth=worth, floor=floor)]
    if not basis.counted:
        return [note("labels-as-chance", worth=worth, floor=floor)]
    alarms = note("alarms-unknown") if basis.false_alarms is None else note("alarms", share=basis.false_alarms)
    notes = [note("labels-look-wrong", count=basis.counted, alarms=alarms, worth=worth, floor=floor)]
    if basis.is_cut:
        notes.append(note("labels-cut", wrong=basis.wrong, count=basis.counted, most=MOST_WRONG))
    return notes


def _gain(probabilities: Floats, indicator: npt.NDArray[np.bool_], task: Task) -> tuple[float, float, float, float]:
    """The baseline, the lower end of the gain's 95 % interval, and both ends of the score's 95 % interval."""
    if not len(indicator):
        return 0.0, 0.0, 0.0, 1.0
    if task == "single-label":
        classes = indicator.argmax(axis=1)
        most_frequent = classes == np.bincount(classes).argmax()
        right = probabilities.argmax(axis=1) == classes
        gains = right.astype(np.float64) - most_frequent
        gain = float(gains.mean() - NORMAL_QUANTILE * gains.std() / sqrt(len(gains)))
        return float(most_frequent.mean()), gain, *wilson(int(right.sum()), len(right))
    areas, errors = _areas(probabilities, indicator)
    if not len(areas):
        return 0.5, 0.0, 0.0, 1.0
    spread = float(np.sqrt((errors**2).sum())) / len(areas)
    low, high = (float(areas.mean() + split * NORMAL_QUANTILE * spread) for split in (-1, 1))
    return 0.5, low - 0.5, max(low, 0.0), min(high, 1.0)


def _areas(probabilities: Floats, indicator: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Area under the ROC curve and its standard error, for each label that some but not all images have.

    The error is that of Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982.
    """
    from sklearn.metrics import roc_auc_score

    mixed: Sequence[int] = np.flatnonzero(indicator.any(axis=0) & ~indicator.all(axis=0)).tolist()
    areas = np.array([roc_auc_score(indicator[:, at], probabilities[:, at]) for at in mixed], np.float64)
    yes = indicator[:, mixed].sum(axis=0).astype(np.float64)
    no = len(indicator) - yes
    first, second = areas / (2 - areas), 2 * areas**2 / (1 + areas)
    variance = areas * (1 - areas) + (yes - 1) * (first - areas**2) + (no - 1) * (second - areas**2)
    return areas, np.sqrt(np.maximum(variance, 0) / (yes * no))


SUMMARY_NAME = "check.json"

PAGE_NAME = "check.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of a check.

    Attributes:
        data: The data set as requested.
        root: Base folder of the file names.
        against: The other data set that was searched for duplicates; None if there is none.
        layout: As in `Dataset.layout`.
        task: ``single-label`` or ``multi-label``.
        classes: Class names.
        files: Number of files.
        images: Number of usable and distinct images.
        findings: All findings, grouped by kind, the worst first.
        shortcuts: How well properties other than the subject distinguish the classes.
        embedded_by: Features that images were compared by: a backbone, ``descriptors`` or ``none``.
        label_score: Score of the models that evaluated labels (single-label: accuracy; multi-label: area under the ROC
            curve); None if labels were not evaluated.
        notes: Notes for the user.
        seconds: Duration of the check.
        value_ranges: Ranges by which images with more than 8 bits were scaled.
        label_basis: Basis of the label findings; None if labels were not evaluated, or in checks of older versions.
        near_duplicates: Scope of the search for near-duplicates; None in checks of older versions.
    """

    data: Path
    root: Path
    against: Path | None
    layout: Note
    task: str
    classes: tuple[str, ...]
    files: int
    images: int
    findings: tuple[Finding, ...]
    shortcuts: tuple[Shortcut, ...]
    embedded_by: str
    label_score: float | None
    notes: tuple[Note, ...]
    seconds: float
    value_ranges: ValueRanges = NO_VALUE_RANGES
    label_basis: LabelBasis | None = None
    near_duplicates: NearDuplicateSearch | None = None

    def __repr__(self) -> str:
        counts = ", ".join(f"{number:,} {kind}" for kind, number in self.counts.items()) or "no findings"
        return f"Check({str(self.data)!r}, {self.images:,} images: {counts})"

    def counting(self, kind: FindingKind) -> tuple[Finding, ...]:
        """The findings of a kind at or above its threshold."""
        return tuple(finding for finding in self.findings if finding.kind == kind and finding.counts)

    @property
    def counts(self) -> dict[FindingKind, int]:
        """Number of findings at or above the threshold, by kind; kinds without any are left out."""
        numbers = {kind: len(self.counting(kind)) for kind in FINDING_KINDS}
        return {kind: number for kind, number in numbers.items() if number}

    def with_thresholds(self, options: dict[str, float]) -> Check:
        """Return the same check with other thresholds.

        Args:
            options: Thresholds by kind; other kinds keep their threshold.

        Raises:
            UsageError: There is no such kind, or a value is out of its range.
        """
        thresholds = resolve_thresholds(options)
        changed = {kind: value for kind, value in thresholds.items() if kind in options}
        findings = tuple(
            replace(finding, threshold=changed.get(finding.kind, finding.threshold)) for finding in self.findings
        )
        search = self.near_duplicates
        if search is not None:
            search = replace(search, similarity=changed.get("near-duplicate", search.similarity))
        return replace(self, findings=findings, near_duplicates=search)


def write_check(check: Check, folder: Path) -> None:
    """Write ``findings.csv`` and ``check.json``.

    Raises:
        ResourceError: The folder can't be written.
    """
    write_findings(check.findings, folder / FINDINGS_NAME)
    content: dict[str, object] = {
        "distingo": __version__,
        "data": str(check.data.resolve()),
        "root": str(check.root.resolve()),
        "against": None if check.against is None else str(check.against.resolve()),
        "counts": check.counts,
        "value_ranges": check.value_ranges.to_json(),
        "shortcuts": [asdict(shortcut) for shortcut in check.shortcuts],
        "label_basis": None if check.label_basis is None else asdict(check.label_basis),
        "near_duplicates": None if check.near_duplicates is None else asdict(check.near_duplicates),
        "layout": asdict(check.layout),
        "notes": [asdict(each) for each in check.notes],
    }
    same = ("task", "classes", "files", "images", "embedded_by", "label_score", "seconds")
    write_json(folder / SUMMARY_NAME, content | {name: getattr(check, name) for name in same})


def read_value_ranges(findings: Path) -> ValueRanges:
    """Read the value ranges of the check that a table of findings belongs to.

    Args:
        findings: The table, or its folder.

    Returns:
        The ranges; empty if there is no check next to the table, which may have been moved.

    Raises:
        RunError: ``check.json`` is damaged.
    """
    path = (findings if findings.is_dir() else findings.parent) / SUMMARY_NAME
    if not path.is_file():
        return NO_VALUE_RANGES
    try:
        return ValueRanges.from_json(read_json(path).get("value_ranges"))
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged or from another version of distingo ({error})", code="damaged_file") from error


def read_check(folder: Path) -> Check:
    """Read a check that `write_check` wrote.

    Raises:
        RunError: There is no check, or it is damaged.
        DataError: The table of findings is missing.
    """
    path = folder / SUMMARY_NAME
    if not path.is_file():
        raise RunError(f"{folder}: holds no check; `distingo check DATA -o {folder}` makes one", code="wrong_folder")
    content = read_json(path)
    try:
        return Check(
            data=Path(content["data"]),
            root=Path(content["root"]),
            against=None if content["against"] is None else Path(content["against"]),
            layout=Note.from_json(content["layout"]),
            task=content["task"],
            classes=tuple(content["classes"]),
            files=content["files"],
            images=content.get("images", content.get("pictures")),
            findings=read_findings(folder / FINDINGS_NAME),
            shortcuts=tuple(Shortcut(**entry) for entry in content["shortcuts"]),
            embedded_by=content["embedded_by"],
            label_score=content["label_score"],
            notes=read_notes(content["notes"]),
            seconds=content["seconds"],
            value_ranges=ValueRanges.from_json(content.get("value_ranges")),
            label_basis=LabelBasis(**content["label_basis"]) if content.get("label_basis") else None,
            near_duplicates=NearDuplicateSearch(**searched) if (searched := content.get("near_duplicates")) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged or from another version of distingo ({error})", code="damaged_file") from error
