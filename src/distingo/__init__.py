"""distingo: from a folder of images to an image classifier that can be trusted and put to work."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from distingo.version import __version__

if TYPE_CHECKING:
    from distingo.api.curation import Cleaning, check, clean, export_corrections, review, undo_cleaning
    from distingo.api.data import inspect, show_augmentation, split
    from distingo.api.downloading import (
        download_imagenet,
        download_open_images,
        download_set,
        download_urls,
        download_video,
        list_sets,
    )
    from distingo.api.evaluation import compare, evaluate, explain, write_report
    from distingo.api.experiments import crossval, learning_curve, tune
    from distingo.api.prediction import export, load, predict, predict_stream, serve, undo_sorting
    from distingo.api.training import Run, demo, fetch_weights, list_backbones, list_models, train, train_several
    from distingo.errors import DistingoError

__all__ = [
    "Cleaning",
    "DistingoError",
    "Run",
    "__version__",
    "check",
    "clean",
    "compare",
    "crossval",
    "demo",
    "download_imagenet",
    "download_open_images",
    "download_set",
    "download_urls",
    "download_video",
    "evaluate",
    "explain",
    "export",
    "export_corrections",
    "fetch_weights",
    "inspect",
    "learning_curve",
    "list_backbones",
    "list_models",
    "list_sets",
    "load",
    "predict",
    "predict_stream",
    "review",
    "serve",
    "show_augmentation",
    "split",
    "train",
    "train_several",
    "tune",
    "undo_cleaning",
    "undo_sorting",
    "write_report",
]

_MODULES = {
    "distingo.api.curation": "Cleaning check clean export_corrections review undo_cleaning",
    "distingo.api.data": "inspect show_augmentation split",
    "distingo.api.downloading": (
        "download_imagenet download_open_images download_set download_urls download_video list_sets"
    ),
    "distingo.api.evaluation": "compare evaluate explain write_report",
    "distingo.api.experiments": "crossval learning_curve tune",
    "distingo.api.prediction": "export load predict predict_stream serve undo_sorting",
    "distingo.api.training": "Run demo fetch_weights list_backbones list_models train train_several",
    "distingo.errors": "DistingoError",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a public call on first access, so that ``import distingo`` stays light."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'distingo' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
