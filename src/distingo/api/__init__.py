"""One Python call for each command; importing it loads no torch, calling it does."""

from distingo.api.checking import check
from distingo.api.cleaning import Cleaning, clean, undo_cleaning
from distingo.api.correcting import export_corrections
from distingo.api.crossvalidating import crossval
from distingo.api.downloading import (
    download_imagenet,
    download_open_images,
    download_set,
    download_urls,
    download_video,
    list_sets,
)
from distingo.api.explaining import explain
from distingo.api.judging import compare, evaluate, write_report
from distingo.api.learning import learning_curve
from distingo.api.models import fetch_weights, list_backbones, list_models
from distingo.api.pictures import inspect, show_augmentation
from distingo.api.predicting import load, predict
from distingo.api.reviewing import review
from distingo.api.serving import serve
from distingo.api.splitting import split
from distingo.api.training import Run, demo, train, train_several
from distingo.api.tuning import tune

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
    "export_corrections",
    "fetch_weights",
    "inspect",
    "learning_curve",
    "list_backbones",
    "list_models",
    "list_sets",
    "load",
    "predict",
    "review",
    "serve",
    "show_augmentation",
    "split",
    "train",
    "train_several",
    "tune",
    "undo_cleaning",
    "write_report",
]
