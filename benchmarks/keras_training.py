"""Training speed of the three reference networks: distingo against Keras 3 with TensorFlow, side by side.

Every contender is a process of its own that keeps uint8 images in memory, trains one warm-up epoch and
then waits. Each round lets the contenders train two short epochs in turn, the second of which counts, so that
whatever else the machine does hits all of them; an epoch is shuffling, gathering batches, scaling to [0, 1],
forward and backward pass and Adam.

    python benchmarks/keras_training.py --keras-python .venv-keras/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from turns import Contender, await_go, processor, say

RESULTS = Path(__file__).parent / "results" / "keras_training.json"
SEED = 0


@dataclass(frozen=True)
class Workload:
    network: str
    batch: int
    height: int
    width: int
    channels: int
    outputs: int
    steps: dict[str, int]  # per epoch, by contender: slow ones take fewer
    goals: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.network}, batch {self.batch}"


CONTENDERS = ("distingo", "keras float32", "keras mixed_bfloat16")


def workload(network: str, batch: int, shape: tuple[int, ...], outputs: int, steps: str, goals: str) -> Workload:
    by_contender = dict(zip(CONTENDERS, map(int, steps.split()), strict=True))
    goal_of = dict(zip(CONTENDERS[1:], map(float, goals.split()), strict=True))
    return Workload(network, batch, *shape, outputs, by_contender, goal_of)


WORKLOADS = (
    workload("sports-cnn", 32, (224, 224, 3), 2, "20 10 10", "2.2 1.15"),
    workload("fashion-cnn", 128, (28, 28, 1), 10, "160 80 80", "2.5 1.15"),
    workload("fashion-cnn", 512, (28, 28, 1), 10, "40 20 20", "2.5 1.15"),
    workload("poster-cnn", 64, (400, 300, 3), 25, "3 2 2", "1.9 1.0"),
)


def images_and_targets(load: Workload, contender: str) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(SEED)
    n = load.batch * load.steps[contender]
    images = generator.integers(0, 256, (n, load.height, load.width, load.channels), dtype=np.uint8)
    if load.network == "poster-cnn":
        return images, (generator.random((n, load.outputs)) < 0.1).astype(np.float32)
    return images, generator.integers(0, load.outputs, n)


# --- contenders, each in its own process ------------------------------------------------------------------


def run_distingo(load: Workload) -> None:
    from distingo.machine.process import configure_process

    configure_process()
    import torch

    from distingo.machine.device import choose_precision
    from distingo.machine.process import bind_this_thread
    from distingo.prediction.networks import autocast

    torch.manual_seed(SEED)
    device = torch.device("cpu")
    precision, reason = choose_precision(device)
    with bind_this_thread():
        network = build_network(load)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        images, targets = images_and_targets(load, "distingo")
        train_epoch = epoch_trainer(network, optimizer, load, lambda: autocast(device, precision))
        train_epoch(images, targets)
        versions = {"torch": torch.__version__, "precision": f"{precision}: {reason}"}
        say(versions=versions, threads=torch.get_num_threads())
        while (command := await_go()) != "stop":
            if command == "profile":
                say(profile=profile(lambda: train_epoch(images, targets), steps=load.steps["distingo"]))
                continue
            train_epoch(images, targets)  # while the others worked, caches grew cold and pages went
            started = time.perf_counter()
            train_epoch(images, targets)
            say(seconds=time.perf_counter() - started, images=len(images))


def build_network(load: Workload) -> Any:
    import torch

    from distingo.models.small_networks import FashionCNN, PosterCNN, SportsCNN

    kinds = {"sports-cnn": SportsCNN, "fashion-cnn": FashionCNN, "poster-cnn": PosterCNN}
    network = kinds[load.network](load.outputs, height=load.height, width=load.width, channels=load.channels)
    return network.to(memory_format=torch.channels_last).train()


def epoch_trainer(network: Any, optimizer: Any, load: Workload, autocast: Any) -> Any:
    """The steps of distingo's training loop, with a loss for several labels an image where poster-cnn needs it."""
    import torch
    import torch.nn.functional as F

    from distingo.prediction.networks import to_tensor

    loss_of = F.binary_cross_entropy_with_logits if load.network == "poster-cnn" else F.cross_entropy

    def train_epoch(images: np.ndarray, targets: np.ndarray) -> float:
        total = 0.0
        order = torch.randperm(len(images)).numpy()
        for indices in np.split(order, len(order) // load.batch):
            images, truth = to_tensor(images[indices]), torch.from_numpy(targets[indices])
            with autocast():
                logits = network(images).float()
            loss = loss_of(logits, truth)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return train_epoch


def profile(work: Any, steps: int, rows: int = 15) -> list[str]:
    """The operations that take most time, by shapes.

    torch's own profiler allocates between the operations, so that memory which training keeps is handed out anew:
    then the largest maps seem to take several times as long as they do.
    """
    from torch.utils._python_dispatch import TorchDispatchMode

    seconds: dict[str, float] = {}

    class Stopwatch(TorchDispatchMode):
        def __torch_dispatch__(self, operation: Any, types: Any, inputs: Any = (), options: Any = None) -> Any:
            started = time.perf_counter()
            result = operation(*inputs, **(options or {}))
            shapes = [list(value.shape) for value in inputs if hasattr(value, "shape")][:3]
            name = f"{operation} {shapes}"
            seconds[name] = seconds.get(name, 0) + time.perf_counter() - started
            return result

    started = time.perf_counter()
    with Stopwatch():
        work()
    total = time.perf_counter() - started
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:rows]
    lines = [f"{taken / total:6.1%} {taken / steps * 1e3:8.2f} ms a step  {name}" for name, taken in largest]
    inside = sum(seconds.values())
    return [*lines, f"{1 - inside / total:6.1%} {(total - inside) / steps * 1e3:8.2f} ms a step  between operations"]


def run_keras(load: Workload, contender: str) -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    policy = contender.removeprefix("keras ")
    keras.utils.set_random_seed(SEED)
    keras.mixed_precision.set_global_policy(policy)
    model = keras_network(load)
    # without XLA, which is several times slower for these networks on a processor
    loss = "binary_crossentropy" if load.network == "poster-cnn" else "sparse_categorical_crossentropy"
    model.compile(optimizer="adam", loss=loss, jit_compile=False)
    images, targets = images_and_targets(load, contender)

    class TurnTaking(keras.callbacks.Callback):
        """Waits before each odd epoch, which warms up as the very first does, and says how long each even one took."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            if epoch % 2 == 1 and await_go() == "stop":
                os._exit(0)  # an epoch can't be left before its first step
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            if epoch == 0:
                say(
                    versions={"keras": keras.__version__, "tensorflow": tf.__version__},
                    threads=os.cpu_count(),
                )
            elif epoch % 2 == 0:
                say(seconds=time.perf_counter() - self.started, images=len(images))

    model.fit(images, targets, batch_size=load.batch, epochs=10**6, verbose=0, callbacks=[TurnTaking()])


def keras_network(load: Workload) -> Any:
    from keras import Sequential, layers

    model = Sequential([layers.Input((load.height, load.width, load.channels)), layers.Rescaling(1 / 255)])
    filters = {"sports-cnn": (32, 32, 64), "fashion-cnn": (32, 64, 128), "poster-cnn": (16, 32, 64, 64)}
    posters = load.network == "poster-cnn"
    for count in filters[load.network]:
        model.add(layers.Conv2D(count, 5 if posters else 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
        if posters:
            model.add(layers.Dropout(0.25))
    if load.network == "sports-cnn":
        model.add(layers.Dropout(0.4))
    model.add(layers.Flatten())
    for units in (128, 64) if posters else (128,):
        model.add(layers.Dense(units, activation="relu"))
        if posters:
            model.add(layers.Dropout(0.5))
    model.add(layers.Dense(load.outputs, activation="sigmoid" if posters else "softmax", dtype="float32"))
    return model


# --- the one who lets them take turns -----------------------------------------------------------------------


def measure(position: int, rounds: int, keras_python: str) -> dict[str, Any]:
    load = WORKLOADS[position]
    contenders: dict[str, Contender] = {}
    for name in CONTENDERS:  # one after another: warm-ups must not disturb each other
        python = sys.executable if name == "distingo" else keras_python
        contenders[name] = Contender([python, __file__, "--side", name, "--position", str(position)])
    for _ in range(rounds):
        for contender in contenders.values():
            contender.take_turn()
    medians = {name: statistics.median(contender.rates) for name, contender in contenders.items()}
    ratios = {name: medians["distingo"] / medians[name] for name in CONTENDERS[1:]}
    best = {name: max(contender.rates) for name, contender in contenders.items()}
    result: dict[str, Any] = {
        "workload": asdict(load),
        "facts": {name: contender.facts for name, contender in contenders.items()},
        "images_per_second": {name: contender.rates for name, contender in contenders.items()},
        "median_images_per_second": medians,
        "ratios": ratios,
        # on some machines Keras' two threads share one core for whole epochs, and then it takes twice as long
        "ratios_of_best_turns": {name: best["distingo"] / best[name] for name in CONTENDERS[1:]},
        "goals": load.goals,
        "met": {name: ratios[name] >= goal for name, goal in load.goals.items()},
        "load_average": os.getloadavg()[0],
    }
    if not all(result["met"].values()):
        result["profile"] = contenders["distingo"].ask("profile")["profile"]
    for contender in contenders.values():
        contender.stop()
    return result


def show(result: dict[str, Any]) -> None:
    load = result["workload"]
    medians, ratios, goals = result["median_images_per_second"], result["ratios"], result["goals"]
    cells = [f"{load['network']}, batch {load['batch']:<4}", f"distingo {medians['distingo']:8.1f} images/s"]
    cells += [f"{name} {medians[name]:8.1f}: {ratios[name]:5.2f}x of {goals[name]}x" for name in CONTENDERS[1:]]
    print(" | ".join(cells), flush=True)
    print("    best turns:", *(f"{name} {ratio:.2f}x" for name, ratio in result["ratios_of_best_turns"].items()))
    for line in result.get("profile", []):
        print("   ", line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", default=".venv-keras/bin/python", help="Python with keras and tensorflow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", choices=sorted({load.network for load in WORKLOADS}), help="only this one")
    parser.add_argument("--side", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--position", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "distingo":
        return run_distingo(WORKLOADS[options.position])
    if options.side:
        return run_keras(WORKLOADS[options.position], options.side)
    if not Path(options.keras_python).is_file():
        parser.error(
            f"--keras-python {options.keras_python}: no such file; make one with "
            "`python -m venv .venv-keras && .venv-keras/bin/pip install keras tensorflow-cpu`"
        )
    chosen = [i for i, load in enumerate(WORKLOADS) if options.network in (None, load.network)]
    results = []
    for position in chosen:
        results.append(measure(position, options.rounds, options.keras_python))
        show(results[-1])
    write(results, options.rounds)
    return None


def write(results: list[dict[str, Any]], rounds: int) -> None:
    """Replace the networks measured now, keep what an earlier run on this processor said of the others."""
    machine = {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)}
    earlier = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    kept = earlier.get("results", []) if earlier.get("machine") == machine else []
    measured = {result["workload"]["network"] for result in results}
    kept = [result for result in kept if result["workload"]["network"] not in measured]
    content = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "python": platform.python_version(),
        "seed": SEED,
        "rounds": rounds,
        "results": [*kept, *results],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
