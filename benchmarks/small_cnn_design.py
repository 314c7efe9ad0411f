"""The evidence for small-cnn's design: blocks and networks compared at equal processor time, on validation only.

    python benchmarks/small_cnn_design.py speed      # images per second of blocks and networks (2 minutes)
    python benchmarks/small_cnn_design.py fashion    # validation score of each network after equal time (half an hour)
    python benchmarks/small_cnn_design.py aerial     # of each augmentation after equal epochs (half an hour)

One thread, so that it can run next to other work. Each network gets as many images as it can learn from in the
same processor time, at the speed that is measured first; nobody else's load changes what it gets. The data folder
is named by DISTINGO_TEST_DATA (default ../shared/data). Results: benchmarks/results/small_cnn_design.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import pixels_product, read_dataset
from distingo.datasets.options import Reading
from distingo.datasets.splits.splitting import split_dataset
from distingo.machine.process import configure_process, prepare_process
from distingo.models.small_networks import NormalizedConvolution, Residual, SmallCNN
from distingo.records import ImageSpec
from distingo.training.augmentation import PRESETS, Augmentation, augment, mix
from distingo.training.recipe import Recipe
from distingo.training.step import WeightAverage, build_optimizer, learning_rate

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DISTINGO_TEST_DATA", ROOT / ".." / "shared" / "data")).resolve()
RESULTS = ROOT / "benchmarks" / "results" / "small_cnn_design.json"
Block = Callable[[int], nn.Module]


class Added(nn.Module):
    """What every block that is compared does: add its layers' output to its input."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        added: Tensor = maps + self.layers(maps)
        return added


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def bottleneck(width: int) -> Added:
    half = width // 2
    return Added(convolution(width, half, 1), convolution(half, half, 3), convolution(half, width, 1))


def inverted(width: int) -> Added:
    """As in MobileNetV2: the 3x3 convolution is depthwise."""
    wide = 2 * width
    project = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width))
    return Added(convolution(width, wide, 1), convolution(wide, wide, 3, groups=wide), project)


def grouped(width: int) -> Added:
    return Added(convolution(width, width, 3, groups=4), convolution(width, width, 1))


def dense(width: int) -> Residual:
    return Residual(NormalizedConvolution(width, width), NormalizedConvolution(width, width))


BLOCKS: dict[str, Block] = {
    "two dense 3x3 convolutions": dense,
    "bottleneck": bottleneck,
    "depthwise, expanded twice": inverted,
    "four groups": grouped,
}


class Body(nn.Module):
    """Layers, global average pooling, 10 logits."""

    def __init__(self, *layers: nn.Module, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(width, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.layers(images).mean(dim=(2, 3)))
        return logits


def network(stem: nn.Module, inputs: int, stages: Sequence[tuple[int, int]], block: Block = dense) -> nn.Module:
    """A stem, then stages of (width, blocks), each begun by a convolution of stride 2; 10 logits."""
    layers = [stem]
    for width, blocks in stages:
        layers.append(NormalizedConvolution(inputs, width, stride=2))
        layers.extend(block(width) for _ in range(blocks))
        inputs = width
    return Body(*layers, width=inputs)


def layer(inputs: int, outputs: int, *, pool: bool = False) -> NormalizedConvolution:
    return NormalizedConvolution(inputs, outputs, pool=pool)


def narrow(*last: nn.Module) -> nn.Module:
    """small-cnn's body up to its last block."""
    begin = (layer(1, 16), layer(16, 32, pool=True), layer(32, 64), layer(64, 64, pool=True), layer(64, 128))
    return Body(*begin, *last, width=128)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "small-cnn": lambda: SmallCNN(10, height=28, width=28, channels=1),
    "without a residual block": lambda: narrow(layer(128, 128)),
    "two convolutions in the block": lambda: narrow(dense(128)),
    "wider first layers": lambda: Body(
        layer(1, 32), layer(32, 32, pool=True), layer(32, 64), layer(64, 64, pool=True), layer(64, 128),
        layer(128, 128), width=128,
    ),
    "residual blocks after one pooling": lambda: Body(
        layer(1, 32, pool=True), layer(32, 64), dense(64), layer(64, 128, pool=True), dense(128), width=128
    ),
    "residual blocks on halved maps": lambda: network(layer(1, 32, pool=True), 32, ((64, 1), (128, 1))),
    "bottlenecks": lambda: network(layer(1, 32), 32, ((64, 1), (128, 1), (256, 1)), block=bottleneck),
}  # fmt: skip

AERIAL = {
    "light": PRESETS["light"],
    "standard": PRESETS["standard"],
    "overhead": PRESETS["overhead"],
    "none": PRESETS["none"],
}


@dataclass(frozen=True)
class Images:
    """uint8 (n, h, w, c) and int64 (n,) of the two splits that may be looked at."""

    train: np.ndarray
    train_targets: np.ndarray
    validation: np.ndarray
    validation_targets: np.ndarray


def load(name: str, image_spec: ImageSpec, validation: float) -> Images:
    cache = Cache()
    product = pixels_product(cache, image_spec)
    dataset = read_dataset(DATA / name, Reading(cache=cache), products=[product])
    split = split_dataset(dataset, seed=0, validation=validation)
    arrays = []
    for side in (split.train, split.validation):
        rows = product.store.rows([image.row_key for image in side])
        arrays.append(np.asarray(rows.take(np.arange(len(rows)))))
        arrays.append(np.array([dataset.classes.index(image.label) for image in side]))
    return Images(*arrays)


def as_images(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def images_per_second(model: nn.Module, batch: int, channels: int, size: int) -> float:
    """Training steps' median, in processor time."""
    model = model.to(memory_format=torch.channels_last)
    images = torch.rand(batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(7):
        started = time.process_time()
        model(images).sum().backward()
        seconds.append(time.process_time() - started)
    return batch / statistics.median(seconds)


def learn(model: nn.Module, data: Images, recipe: Recipe, augmentation: Augmentation, steps: int) -> dict[str, float]:
    """Train for a number of steps and evaluate the averaged weights on the validation split."""
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    model = model.to(memory_format=torch.channels_last)
    axes = (0, 1, 2)
    mean = torch.from_numpy(data.train.mean(axes) / 255).float()[:, None, None]
    std = torch.from_numpy(data.train.std(axes) / 255).float()[:, None, None]
    optimizer, average = build_optimizer(model, recipe), WeightAverage(model, recipe.ema_decay)
    passes = -(-steps * recipe.batch_size // len(data.train))
    orders = [torch.randperm(len(data.train), generator=generator) for _ in range(passes)]
    order = torch.cat(orders).numpy()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, -(-steps // recipe.epochs))
        indices = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        targets = F.one_hot(torch.from_numpy(data.train_targets[indices]), 10).float()
        images = augment(as_images(data.train[indices]), augmentation, generator)
        images, targets = mix(images, targets, augmentation, generator)
        loss = F.cross_entropy(model((images - mean) / std), targets, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(model, step)
    model.load_state_dict(average.state)
    model.eval()
    with torch.inference_mode():
        parts = np.array_split(data.validation, max(1, len(data.validation) // 100))
        logits = torch.cat([model((as_images(part) - mean) / std) for part in parts])
    targets = torch.from_numpy(data.validation_targets)
    accuracy = float((logits.argmax(1) == targets).float().mean())
    return {"accuracy": round(accuracy, 4), "log_loss": round(F.cross_entropy(logits, targets).item(), 4)}


def compare_speed() -> dict[str, float]:
    """Blocks at two sizes inside one and the same network, and whole networks, on 28x28."""
    speeds = {}
    for name, block in BLOCKS.items():
        model = network(nn.Identity(), 1, ((64, 1), (128, 1)), block)
        speeds[f"block: {name}"] = round(images_per_second(model, 128, 1, 28))
    for name, build in NETWORKS.items():
        speeds[f"network: {name}"] = round(images_per_second(build(), 128, 1, 28))
    return report(speeds)


def compare_on_fashion(seconds: float, names: Sequence[str]) -> dict[str, dict[str, float]]:
    data = load("fashion-mnist", ImageSpec(28, 28, 1), validation=0.1)
    recipe = Recipe(
        model="small-cnn", height=28, width=28, channels=1, epochs=1, batch_size=128, lr=0.2, optimizer="sgd",
        weight_decay=5e-4, schedule="one-cycle", label_smoothing=0.1, ema_decay=0.99,
    )  # fmt: skip
    scores = {}
    for name in names:
        torch.manual_seed(0)
        model = NETWORKS[name]()
        images = seconds * images_per_second(model, 128, 1, 28)
        score = learn(model, data, recipe, PRESETS["light"], int(images) // recipe.batch_size)
        scores.update(report({name: {"pictures": int(images), **score}}))
    return scores


def compare_on_aerial(epochs: int) -> dict[str, dict[str, float]]:
    data = load("aerial", ImageSpec(96, 96, 3), validation=0.15)
    recipe = Recipe(
        model="small-cnn", height=96, width=96, epochs=epochs, batch_size=32, lr=3e-3, optimizer="adamw",
        weight_decay=0.05, schedule="one-cycle", label_smoothing=0.1, ema_decay=0.99,
    )  # fmt: skip
    scores = {}
    for name, augmentation in AERIAL.items():
        torch.manual_seed(0)
        model = SmallCNN(10, height=96, width=96, channels=3)
        steps = epochs * (len(data.train) // recipe.batch_size)
        scores.update(report({name: learn(model, data, recipe, augmentation, steps)}))
    return scores


def report(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        print(f"{name:40} {value}", flush=True)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["speed", "fashion", "aerial"])
    parser.add_argument("--seconds", type=float, default=220, help="processor time per network on fashion")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="on fashion")
    parser.add_argument("--epochs", type=int, default=24, help="per augmentation on aerial")
    options = parser.parse_args()
    torch.set_num_threads(1)
    configure_process()
    prepare_process()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for part in options.parts:
        if part == "speed":
            results[part] = compare_speed()
        elif part == "fashion":
            key = f"{part}, {options.seconds:g} s"
            results[key] = results.get(key, {}) | compare_on_fashion(options.seconds, options.networks)
        else:
            results[part] = compare_on_aerial(options.epochs)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
