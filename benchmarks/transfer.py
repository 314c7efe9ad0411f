"""From a folder to an evaluated model with a frozen backbone, against the published 500 epochs of forward passes.

2,448 images (as many as the published run had) in two classes: ball sports and aerial photos. Measured: a whole
`distingo train` process with an empty cache, the same with a filled one, and one epoch of the published Keras
procedure (frozen MobileNetV2, `fit`), which is multiplied by its 500.

    python benchmarks/transfer.py --keras-python .venv-keras/bin/python
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from turns import processor

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = DATA / "weights" / "mobilenetv2_100.tf_in1k"
RESULTS = ROOT / "benchmarks" / "results" / "transfer.json"
IMAGES = 2448
PUBLISHED_EPOCHS = 500

KERAS_EPOCH = """
import os, sys, time
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
data = keras.utils.image_dataset_from_directory(sys.argv[1], image_size=(224, 224), batch_size=32, verbose=False)
base = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
base.trainable = False
inputs = keras.Input((224, 224, 3))
features = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(features))
model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(pooled))
model.compile(optimizer=keras.optimizers.Adam(1e-5), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(data.take(2), verbose=0)
started = time.perf_counter()
model.fit(data, verbose=0)
print("SECONDS", time.perf_counter() - started)
"""


def gather_images(folder: Path) -> Path:
    """Links to 2,448 different images in two class folders."""
    ball_sports = sorted((DATA / "ball-sports").glob("*/*.jpg"))
    aerial = sorted((DATA / "aerial").glob("*/*"))
    for name, files in (("ball-sports", ball_sports), ("aerial", aerial[:1118])):
        (folder / name).mkdir(parents=True)
        for number, file in enumerate(files):
            shutil.copy(file, folder / name / f"{number:05}{file.suffix}")
    surplus = sorted(folder.glob("*/*"))
    for file in itertools.islice(reversed(surplus), max(0, len(surplus) - IMAGES)):
        file.unlink()
    return folder


def train(data: Path, output: Path, cache: Path) -> float:
    words = [sys.executable, "-m", "distingo", "train", str(data), "-o", str(output), "--cache", str(cache)]
    started = time.perf_counter()
    subprocess.run([*words, "--model", f"local-dir:{WEIGHTS}"], check=True, capture_output=True)
    return time.perf_counter() - started


def keras_epoch(python: str, data: Path) -> float:
    done = subprocess.run([python, "-c", KERAS_EPOCH, str(data)], check=True, capture_output=True, text=True)
    return float(done.stdout.split("SECONDS")[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", default=".venv-keras/bin/python")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    first, second, epochs = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = gather_images(place / "data")
        images = len(list(data.glob("*/*")))
        for number in range(options.rounds):
            cache = place / f"cache-{number}"
            first.append(train(data, place / f"first-{number}", cache))
            epochs.append(keras_epoch(options.keras_python, data))
            second.append(train(data, place / f"second-{number}", cache))
        accuracy = json.loads((place / "first-0" / "evaluation.json").read_text())["scores"]["accuracy"]
    published = statistics.median(epochs) * PUBLISHED_EPOCHS
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "pictures": images,
        "accuracy": accuracy,
        "first_run_seconds": first,
        "second_run_seconds": second,
        "keras_epoch_seconds": epochs,
        "published_seconds": published,
        "ratio": published / statistics.median(first),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{images:,} pictures, folder to evaluated model: {statistics.median(first):.1f} s")
    print(f"second run: {statistics.median(second):.1f} s (goal: under 5 s)")
    print(
        f"Keras: {statistics.median(epochs):.1f} s an epoch, {published / 3600:.1f} h for {PUBLISHED_EPOCHS}: ", end=""
    )
    print(f"{result['ratio']:,.0f}x (goal 1,000x)")


if __name__ == "__main__":
    main()
