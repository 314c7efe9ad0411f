"""The call that makes a data set of the corrections that people sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distingo.serving.corrected_data import CorrectedData


def export_corrections(corrections: str | Path, output: str | Path, *, model: str | None = None) -> CorrectedData:
    """Make a data set of the corrections that people sent from the page of `distingo serve`.

    Of each picture the latest correction counts. With one label per picture there is a folder for each class, with
    several ``labels.csv`` beside the pictures; `train` takes both. ``provenance.csv`` says of every picture which
    model had said what, when it was corrected and how often.

    Args:
        corrections: The file that was named by ``--corrections``; it is only read, also while it is being written.
        output: A new or empty folder.
        model: Whose corrections to take; needed where the file holds those of several models.

    Returns:
        What was written.

    Raises:
        DataError: The file is missing, damaged, something else, or holds no correction.
        UsageError: There is no such model, or there are several and none is named.
        ResourceError: Something is in the folder, or it can't be written.
    """
    from distingo.serving.corrected_data import export_store

    return export_store(Path(corrections), Path(output), model)
