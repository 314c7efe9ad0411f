"""What a download came to, as a person is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from distingo.datasets.own_files import MANIFEST_NAME
from distingo.download.records import FetchStatus, Outcome


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a download came to.

    Attributes:
        folder: Where everything is.
        outcomes: One per file that was wanted.
        notes: What a person should know.
        arrived: Names (`Outcome.name`) of the files that this call fetched; an earlier one fetched the others.
    """

    folder: Path
    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()
    arrived: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def manifest(self) -> Path:
        """Where every file stands with its outcome."""
        return self.folder / MANIFEST_NAME

    @property
    def counts(self) -> Counter[FetchStatus]:
        """How many files ended how."""
        return Counter(outcome.status for outcome in self.outcomes)

    @property
    def fetched_now(self) -> int:
        """How many files this call fetched."""
        return sum(outcome.status == "fetched" and outcome.name in self.arrived for outcome in self.outcomes)

    @property
    def there_already(self) -> int:
        """How many files an earlier call had fetched that are still there."""
        return sum(
            outcome.status == "fetched"
            and outcome.name not in self.arrived
            and (not outcome.file or (self.folder / outcome.file).exists())
            for outcome in self.outcomes
        )

    @property
    def size(self) -> int:
        """Of all fetched files, in bytes."""
        return sum(outcome.size for outcome in self.outcomes)

    @property
    def has_gaps(self) -> bool:
        """Whether some file is not there."""
        return any(outcome.status != "fetched" for outcome in self.outcomes)

    def reasons(self, most: int) -> list[tuple[str, int]]:
        """Why files are not there, and how many for each reason, the most frequent first.

        Args:
            most: How many reasons to give; the rest are counted together.
        """
        counts = Counter(outcome.reason for outcome in self.outcomes if outcome.status != "fetched").most_common()
        rest = sum(count for _, count in counts[most:])
        return counts[:most] + ([("other reasons", rest)] if rest else [])
