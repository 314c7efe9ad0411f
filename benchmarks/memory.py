"""The memory that training takes against what the guard estimates from two steps of two and of three images.

Each network is trained for one epoch of two batches, with validation and checkpoints, in a process of its own, whose
resident set at the peak is what counts; the estimate comes from another process. Run as

    python benchmarks/memory.py [--only resnet18] [--precision float32]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NETWORKS = {
    "small-cnn": (64, 128),
    "mobilenetv2_100": (160, 32),
    "resnet18": (160, 32),
    "efficientnet_b0": (160, 24),
    "vit_small_patch16_224": (160, 24),
    "convnext_tiny": (160, 16),
    "eva02_large_patch14_448": (448, 2),  # the preset `best`
}
"""Name to side of the images in pixels and images per step."""

PRECISIONS = ("float32", "bfloat16")
RESULTS = Path(__file__).parent / "results" / "memory.json"
CLASSES = 10
BATCHES = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=NETWORKS, help="one network; the others' results stay")
    parser.add_argument("--precision", choices=PRECISIONS, help="one precision, likewise")
    parser.add_argument(
        "--child", nargs=3, metavar=("estimate|measure", "NETWORK", "PRECISION"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.child:
        task, name, precision = options.child
        print(json.dumps((estimate if task == "estimate" else measure)(name, precision)), flush=True)
        return
    rows = []
    for name in [options.only] if options.only else NETWORKS:
        for precision in [options.precision] if options.precision else PRECISIONS:
            row = compare(name, precision)
            print(
                f"{name:22} {precision:9} measured {row['measured_mib']:6,.0f} MiB  estimated"
                f" {row['estimated_mib']:6,.0f} ({row['ratio']:.2f})  formerly {row['formerly_mib']:7,.0f}"
                f" ({row['formerly_ratio']:.1f})  in {row['seconds']:.1f} s of one core",
                flush=True,
            )
            rows.append(row)
    worst = write(rows)
    print(f"largest factor between estimate and measurement: {worst:.2f}")


def compare(name: str, precision: str) -> dict[str, Any]:
    measured, estimated = _in_a_process("measure", name, precision), _in_a_process("estimate", name, precision)
    mib = 2**20
    size, batch_size = NETWORKS[name]
    return {
        "network": name,
        "precision": precision,
        "image_size": size,
        "batch_size": batch_size,
        "measured_mib": measured["bytes"] / mib,
        "estimated_mib": estimated["bytes"] / mib,
        "ratio": estimated["bytes"] / measured["bytes"],
        "formerly_mib": estimated["formerly"] / mib,
        "formerly_ratio": estimated["formerly"] / measured["bytes"],
        "seconds": estimated["seconds"],
    }


def _in_a_process(task: str, name: str, precision: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", task, name, precision]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def write(rows: list[dict[str, Any]]) -> float:
    """Put rows into the results, in place of those of the same networks; returns the largest factor of all."""
    import torch

    known = json.loads(RESULTS.read_text(encoding="utf-8"))["networks"] if RESULTS.is_file() else []
    merged = {(row["network"], row["precision"]): row for row in [*known, *rows]}
    order = [(name, precision) for name in NETWORKS for precision in PRECISIONS]
    kept = [merged[key] for key in order if key in merged]
    worst = max(max(row["ratio"], 1 / row["ratio"]) for row in kept)
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    content = {"largest_factor": worst, "machine": machine, "networks": kept}
    RESULTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return worst


def estimate(name: str, precision: str) -> dict[str, Any]:
    """What the guard says, how long that took, and what it said before steps were measured."""
    from distingo.training.memory import TrainingPlan, activation_bytes

    recipe, network, device = _prepare(name)
    plan = TrainingPlan(recipe, CLASSES, "single-label", device, precision)
    begun = time.process_time()
    needed = plan.measure(network).needed(recipe.batch_size)
    seconds = time.process_time() - begun
    weights = sum(tensor.nbytes for tensor in network.parameters())
    formerly = 5 * weights + 3 * recipe.batch_size * activation_bytes(network, plan.shape, device)
    return {"bytes": needed, "seconds": seconds, "formerly": formerly}


def measure(name: str, precision: str) -> dict[str, Any]:
    """Train, and count by how much the resident set grew."""
    import numpy as np
    import torch

    from distingo.machine.memory import forget_peak_memory, peak_memory
    from distingo.machine.process import compiler_on_demand
    from distingo.runs.folder import RunFolder
    from distingo.training.loop import LabeledRows, Session, fit

    recipe, network, device = _prepare(name)

    class Noise:
        shape = (BATCHES * recipe.batch_size, recipe.height, recipe.width, recipe.channels)

        def __len__(self) -> int:
            return self.shape[0]

        def take(self, indices: np.ndarray) -> np.ndarray:
            return np.random.default_rng(0).integers(0, 256, (len(indices), *self.shape[1:]), np.uint8)

    rows = LabeledRows(Noise(), np.arange(Noise.shape[0]) % CLASSES, CLASSES)
    with tempfile.TemporaryDirectory() as folder, compiler_on_demand():
        session = Session(
            recipe, network, rows, rows, RunFolder(Path(folder)), torch.device(device), precision, lambda _: None
        )
        forget_peak_memory()
        before = peak_memory()
        fit(session, resume=False)
        after = peak_memory()
    assert before is not None
    assert after is not None
    return {"bytes": after - before}


def _prepare(name: str) -> tuple[Any, Any, Any]:
    """Recipe, network on the device, device."""
    import torch

    from distingo.machine.process import configure_process, prepare_process
    from distingo.training.recipe import Recipe

    configure_process()
    prepare_process()
    size, batch_size = NETWORKS[name]
    recipe = Recipe(
        model=name,
        height=size,
        width=size,
        epochs=1,
        batch_size=batch_size,
        optimizer="adamw",
        augment="light",
        ema_decay=0.99,
        mode="finetune",
    )
    torch.manual_seed(0)
    if name == "small-cnn":
        from distingo.models.catalog import build_network

        network = build_network(name, classes=CLASSES, height=size, width=size, channels=3, dropout=None)
    else:
        import timm

        settings = {"img_size": size} if name.startswith("vit") else {}
        network = timm.create_model(name, pretrained=False, num_classes=CLASSES, **settings)
    device = torch.device("cpu")
    return recipe, network.to(device, memory_format=torch.channels_last), device


if __name__ == "__main__":
    main()
