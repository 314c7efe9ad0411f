"""What gray levels in deep images are worth: ``python benchmarks/deep_images.py``.

The gray values of ``aerial`` (in the data folder that DISTINGO_TEST_DATA names) are written in 8 bits and as deep
images, with the same names: 12 bits in 16-bit PNG, numbers like Hounsfield units in int16 TIFF, and shares of white in
float TIFF with a border of -9999. A model is trained on each with the same seed, so that they differ in the files
alone; 12 bits are trained once more as if white were 65,535, which is how version 0.1 read them.

Prints test accuracies with n and writes benchmarks/results/deep_images.json, with the number of images of each class.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import distingo

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = Path(__file__).parent / "results" / "deep_images.json"
BORDER = 4
MODELS: dict[str, dict[str, object]] = {
    "descriptors": {},
    "small-cnn": {"image_size": 64, "epochs": 8, "channels": 1},
}


def with_border(gray: np.ndarray) -> np.ndarray:
    """Shares of white, float32, in a border of no data."""
    values = (gray / 255).astype(np.float32)
    framed = np.full_like(values, -9999)
    framed[BORDER:-BORDER, BORDER:-BORDER] = values[BORDER:-BORDER, BORDER:-BORDER]
    return framed


FORMS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], object]] = {
    "8 bits": ("png", lambda gray: gray, None),
    "12 bits in 16": ("png", lambda gray: np.rint(gray * (4095 / 255)).astype(np.uint16), None),
    "12 bits in 16, white 65,535": ("png", lambda gray: np.rint(gray * (4095 / 255)).astype(np.uint16), (0, 65535)),
    "int16, -1000 to 2000": ("tif", lambda gray: np.rint(gray * (3000 / 255) - 1000).astype(np.int16), None),
    "float32 in a border of -9999": ("tif", with_border, None),
}


def write_form(data: Path, root: Path, form: str, each: int) -> None:
    """Write class folders of one form, the first images of every class."""
    ending, convert, _ = FORMS[form]
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        (root / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[:each]:
            gray = np.asarray(Image.open(path).convert("L"))
            Image.fromarray(convert(gray)).save(root / folder.name / f"{path.stem}.{ending}")


def measure(each: int, models: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Test accuracy, its interval and n by model and form."""
    data = DATA / "aerial"
    found: dict[str, dict[str, dict[str, float]]] = {model: {} for model in models}
    with tempfile.TemporaryDirectory() as place:
        for form, (_, _, value_range) in FORMS.items():
            root = Path(place) / form
            write_form(data, root / "data", form, each)
            for model in models:
                run = distingo.train(
                    root / "data",
                    root / model,
                    model=model,
                    value_range=value_range,
                    cache=Path(place) / "cache",
                    **MODELS[model],
                )
                score = run.evaluation.scores["accuracy"]
                found[model][form] = {"accuracy": score.value, "low": score.low, "high": score.high, "n": score.n}
                print(
                    f"{model:12} {form:30} {score.value:.3f} ({score.low:.3f}-{score.high:.3f}) n {score.n}", flush=True
                )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy on deep images and on the same images in 8 bits.")
    parser.add_argument("--each", type=int, default=300, help="images per class")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    options = parser.parse_args()
    logging.getLogger("distingo").setLevel(logging.ERROR)
    found = measure(options.each, options.models)
    if options.models == list(MODELS):
        record = {"images_per_class": options.each, "test_accuracy": found}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
