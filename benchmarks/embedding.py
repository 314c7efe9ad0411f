"""Features of a frozen MobileNetV2: distingo's engines against Keras' `predict`, turn by turn in one run.

Every contender keeps the same uint8 images in memory and computes their pooled features; distingo takes the given
weights, Keras random ones of the same network (what is timed does not depend on them).

    python benchmarks/embedding.py --keras-python .venv-keras/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from turns import Contender, await_go, processor, say

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
WEIGHTS = DATA / "weights" / "mobilenetv2_100.tf_in1k"
RESULTS = ROOT / "benchmarks" / "results" / "embedding.json"
DISTINGO = ("openvino bfloat16", "openvino float32", "torch bfloat16", "torch float32")
KERAS = ("keras float32", "keras mixed_bfloat16")
GOAL = 6.0
IMAGES = 256


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 224, 224, 3), dtype=np.uint8)


def run_distingo(engine: str, precision: str, batch: int) -> None:
    from distingo.machine.process import configure_process

    configure_process()
    import torch

    from distingo.machine.process import prepare_process
    from distingo.models.backbones import find_backbone, load_backbone
    from distingo.models.saved import feature_extractor, join_backbone
    from distingo.prediction.engines import build_engine

    prepare_process()
    module, description = load_backbone(find_backbone(f"local-dir:{WEIGHTS}"))
    network = feature_extractor(join_backbone(description, module, torch.nn.Identity()))
    device = torch.device("cpu")
    run = build_engine(network, (224, 224, 3), name=engine, precision=precision, device=device).run
    take_turns(run, batch, {"torch": torch.__version__})


def run_keras(policy: str, batch: int) -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    keras.mixed_precision.set_global_policy(policy)
    inputs = keras.Input((224, 224, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    backbone = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    model = keras.Model(inputs, backbone(scaled))
    take_turns(lambda part: model.predict(part, batch_size=batch, verbose=0), IMAGES, {"keras": keras.__version__})


def take_turns(run: object, batch: int, versions: dict[str, str]) -> None:
    rows = images()

    def once() -> None:
        for start in range(0, len(rows), batch):
            run(rows[start : start + batch])  # type: ignore[operator]

    once()
    say(versions=versions)
    while await_go() != "stop":
        started = time.perf_counter()
        once()
        say(seconds=time.perf_counter() - started, images=len(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", default=".venv-keras/bin/python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--side", choices=(*DISTINGO, *KERAS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        kind, precision = options.side.split(" ")
        return run_keras(precision, 32) if kind == "keras" else run_distingo(kind, precision, options.batch)
    contenders = {}
    for name in (*DISTINGO, *KERAS):
        python = options.keras_python if name in KERAS else sys.executable
        contenders[name] = Contender([python, __file__, "--side", name, "--batch", str(options.batch)])
    for _ in range(options.rounds):
        for contender in contenders.values():
            contender.take_turn()
    medians = {name: statistics.median(contender.rates) for name, contender in contenders.items()}
    for name, rate in medians.items():
        print(f"{name:22} {rate:7.0f} images/s, {rate / medians['keras float32']:5.2f}x Keras float32 (goal {GOAL}x)")
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "images_per_second": {name: contender.rates for name, contender in contenders.items()},
        "median": medians,
        "versions": {name: contender.facts["versions"] for name, contender in contenders.items()},
    }
    for contender in contenders.values():
        contender.stop()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
