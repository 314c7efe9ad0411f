"""The line below a cell's heading: how many pictures it has, in which order, and how many of them are on the page."""

from __future__ import annotations

from distingo.language import gettext
from distingo.report.wording import count, counted


def cell_note(number: int, shown: int, *, agrees: bool) -> str:
    """Say what is seen when a cell is opened.

    Args:
        number: The cell's pictures.
        shown: How many of them the page holds.
        agrees: Whether the model was right about them, so that the least sure ones are worth seeing first.
    """
    pictures = counted(number, "picture", "pictures")
    if not shown:
        return gettext("%(pictures)s. The run folder has no predictions.parquet to show them from.", pictures=pictures)
    if number == 1:
        return gettext("%(pictures)s.", pictures=pictures)
    if shown == number:
        if agrees:
            return gettext("%(pictures)s, least sure first.", pictures=pictures)
        return gettext("%(pictures)s, surest first.", pictures=pictures)
    if agrees:
        return gettext(
            "%(pictures)s, least sure first; the first %(shown)s are here.", pictures=pictures, shown=count(shown)
        )
    return gettext("%(pictures)s, surest first; the first %(shown)s are here.", pictures=pictures, shown=count(shown))
