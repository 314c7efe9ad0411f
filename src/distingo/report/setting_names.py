"""The names of a recipe's and an environment's settings."""

from __future__ import annotations

from typing import Final

from distingo.language import translated
from distingo.report.recorded_sentences import marked

SETTINGS: Final[tuple[str, ...]] = (
    *(marked("model"), marked("height"), marked("width"), marked("channels"), marked("epochs"), marked("batch size")),
    *(marked("lr"), marked("optimizer"), marked("momentum"), marked("weight decay"), marked("schedule")),
    *(marked("warmup epochs"), marked("loss"), marked("label smoothing"), marked("dropout"), marked("class weights")),
    *(marked("positive weights"), marked("augment"), marked("normalise"), marked("ema decay"), marked("mode")),
    *(marked("weights"), marked("head"), marked("views"), marked("layer decay"), marked("batch norm")),
    *(marked("unfreeze epochs"), marked("monitor"), marked("patience"), marked("threshold aim")),
    *(marked("threshold wanted"), marked("seed"), marked("validation"), marked("test"), marked("precision")),
    *(marked("engine"), marked("device"), marked("folder"), marked("layout"), marked("task"), marked("classes")),
    *(marked("compared"), marked("too small to compare"), marked("from similarity"), marked("pairs"), marked("groups")),
    *(marked("largest group"), marked("changed sides for it"), marked("groups taken apart")),
    marked("pairs on two sides"),
    *(marked("system"), marked("processor"), marked("cores"), marked("threads")),
)


def setting_name(key: str) -> str:
    """A setting's name as a person reads it; that of a library, or one that is not known, as it is.

    Args:
        key: As in ``config.json``.
    """
    name = key.replace("_", " ")
    return translated(name) if name in SETTINGS else name
