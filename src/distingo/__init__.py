"""distingo: from a folder of images to an image classifier that can be trusted and put to work."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from distingo.version import __version__

if TYPE_CHECKING:
    from distingo.api import (
        Cleaning,
        Run,
        check,
        clean,
        compare,
        crossval,
        demo,
        download_imagenet,
        download_open_images,
        download_set,
        download_urls,
        download_video,
        evaluate,
        explain,
        export,
        export_corrections,
        fetch_weights,
        inspect,
        learning_curve,
        list_backbones,
        list_models,
        list_sets,
        load,
        predict,
        predict_stream,
        review,
        serve,
        show_augmentation,
        split,
        train,
        train_several,
        tune,
        undo_cleaning,
        undo_sorting,
        write_report,
    )
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


def __getattr__(name: str) -> Any:
    """Import a public call on first access, so that ``import distingo`` stays light."""
    if name not in __all__:
        raise AttributeError(f"module 'distingo' has no attribute {name!r}")
    module = "distingo.errors" if name == "DistingoError" else "distingo.api"
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
