"""The Python API, with one function per command; torch is imported when a function is called, not before."""

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

__all__ = [
    "Cleaning",
    "Run",
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
