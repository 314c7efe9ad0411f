"""Building timm's architectures without weights, and asking them what they take and give."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from distingo.errors import DistingoError, ModelError, escape_controls
from distingo.models.architecture_arguments import check_architecture
from distingo.models.compiler_on_demand import without_fresh_weights, without_values
from distingo.models.timm_import import import_timm

_TRIES = 4
_MOST_PARAMETERS = 1 << 34
"""Twice as many as timm's largest architecture has."""

_SMALL = 1 << 28
"""Numbers that any machine has room for."""

_MOST_CALLS = 100_000
"""Of torch's functions while an architecture is built: timm's own take 20,000 at most."""
_QUICK = 10e6 * 224 * 224
"""Up to so many parameters times pixels a pass with values is sooner done than torch has imported what it takes to
make one without (0.3 s)."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What an architecture is found to be.

    Attributes:
        features: Width of the pooled output.
        parameters: How many numbers are learned, without a classifier.
    """

    features: int
    parameters: int


def create_architecture(architecture: str, arguments: dict[str, Any], *, classes: int = 0, **loading: Any) -> nn.Module:
    """Build an architecture with timm.

    Args:
        architecture: timm's name.
        arguments: For its constructor, JSON values.
        classes: Outputs of a classifier; 0 for pooled features.
        **loading: timm's options for pretrained weights; none are loaded without them.

    Returns:
        A module from normalised float (n, 3, height, width) to (n, features) or (n, classes).

    Raises:
        ModelError: timm knows no such architecture, an argument does more than shape it, or it never ends.
        Exception: Whatever the architecture's own code raises on arguments that it refuses.
    """
    check_architecture(architecture, arguments)
    create = import_timm().create_model
    values = {
        name: tuple(value) if name == "img_size" and isinstance(value, list) else value
        for name, value in arguments.items()
    }
    with _bounded(architecture):
        module: nn.Module = create(architecture, num_classes=classes, in_chans=3, **values, **loading)
    return module


def _bounded(architecture: str) -> AbstractContextManager[Any]:
    """Within, what is built comes to an end, also where arguments that are each allowed multiply."""
    from torch.overrides import TorchFunctionMode

    class Counted(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls += 1
            if self.calls > _MOST_CALLS:
                raise ModelError(f"{architecture}: its arguments make it larger than any of timm's; leave them out")
            return function(*args, **(kwargs or {}))

    return Counted()


def measure_architecture(architecture: str, arguments: dict[str, Any], height: int, width: int) -> Measures:
    """Find the width of the pooled output at a size of picture, by a pass: of a large one without values.

    timm's own ``num_features`` is another number where a hidden layer follows the pooling (MobileNetV3, VGG).

    Args:
        architecture: timm's name.
        arguments: For its constructor, without ``img_size``, unless it is fixed at creation.
        height: In pixels.
        width: In pixels.

    Raises:
        ModelError: The backbone refuses the size (says which sizes work), or gives no pooled vector.
    """
    reason = _refusal(architecture, arguments, height, width)
    if isinstance(reason, Measures):
        return reason
    works = _sizes_that_work(architecture, arguments, height, width)
    if not works:
        raise ModelError(f"{architecture}: can't be used ({reason}); choose another backbone")
    raise ModelError(f"{architecture}: refuses pictures of {height}x{width} ({reason}); sizes that work are {works}")


def require_room(module: nn.Module, stored: int) -> None:
    """Refuse an architecture that would take far more memory than the weights that are there for it.

    Args:
        module: Built without values.
        stored: How many numbers the weights file holds.

    Raises:
        ValueError: It has more than four times as many (position tables may be made larger) and more than a machine has
            room for, or so many entries in tables that it computes itself.
    """
    for what, tensors in (("parameters", module.parameters()), ("entries in tables", module.buffers())):
        count = sum(tensor.numel() for tensor in tensors)
        if count > max(4 * stored, _SMALL):
            raise ValueError(f"it has {count:,} {what} for {stored:,} stored numbers")


def count_parameters(architecture: str, arguments: dict[str, Any]) -> int:
    """How many parameters an architecture has without a classifier; built without memory for them."""
    with without_values():
        module = create_architecture(architecture, arguments)
    return sum(parameter.numel() for parameter in module.parameters())


def _refusal(architecture: str, arguments: dict[str, Any], height: int, width: int) -> Measures | str:
    """What the architecture is at this size, or why it refuses it."""
    try:
        return _measure(architecture, arguments, height, width)
    except DistingoError:
        raise
    except Exception as error:  # an architecture's own code refuses odd arguments and sizes in any way that it likes
        return first_line(error)


def _measure(architecture: str, arguments: dict[str, Any], height: int, width: int) -> Measures:
    with without_values():
        module = create_architecture(architecture, arguments).eval()
    _check_grid(module, height, width)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    if parameters > _MOST_PARAMETERS:
        raise ModelError(f"{architecture}: its arguments give it {parameters:,} parameters; leave them out")
    if parameters * height * width <= _QUICK:
        return Measures(_pass_with_values(architecture, arguments, height, width), parameters)
    try:
        with without_values():
            return Measures(_pass(module, height, width), parameters)
    except RuntimeError:  # of a refusal, and of an operation that needs values; a pass that has them tells which
        return Measures(_pass_with_values(architecture, arguments, height, width), parameters)


def _check_grid(module: nn.Module, height: int, width: int) -> None:
    step, least = _grid(module)
    if height % step or width % step:
        raise ValueError(f"its patches are {step} pixels wide")
    if min(height, width) < least:
        raise ValueError(f"it divides a side by {least}")


def _pass_with_values(architecture: str, arguments: dict[str, Any], height: int, width: int) -> int:
    with without_fresh_weights():
        module = create_architecture(architecture, arguments).eval()
    return _pass(module, height, width)


def _pass(module: nn.Module, height: int, width: int) -> int:
    """The width of what the module gives."""
    with torch.inference_mode():
        output = module(torch.zeros(1, 3, height, width))
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ValueError("it gives no pooled vector")
    return int(output.shape[1])


def _grid(module: nn.Module) -> tuple[int, int]:
    """The patch that sizes must be a multiple of, and the stride that they must not be below."""
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None) or 1
    step = max(patch) if isinstance(patch, tuple | list) else int(patch)
    levels = getattr(module, "feature_info", None) or []
    try:
        least = max((int(level["reduction"]) for level in levels), default=1)
    except (TypeError, KeyError, AttributeError):
        least = 1
    return step, max(step, least)


def _sizes_that_work(architecture: str, arguments: dict[str, Any], height: int, width: int) -> str:
    """A few square sizes around the wished one that the backbone takes, in words; empty where none is found."""
    try:
        with without_values():
            step, least = _grid(create_architecture(architecture, {**arguments, **_without_size(arguments)}))
    except DistingoError:
        raise
    except Exception:  # it is not the size that it refuses
        return ""
    spacing = max(step, least)
    middle = round(max(height, width, least) / spacing)
    around = sorted({number * spacing for number in range(max(1, middle - 1), middle + _TRIES)})
    good = [side for side in around if _works(architecture, arguments, side)]
    return ", ".join(str(side) for side in good[:_TRIES])


def _without_size(arguments: dict[str, Any]) -> dict[str, Any]:
    """Leaves the size to timm where it is fixed at creation, so that the architecture can be looked at."""
    return {"img_size": (224, 224)} if "img_size" in arguments else {}


def _works(architecture: str, arguments: dict[str, Any], side: int) -> bool:
    sized = {**arguments, "img_size": [side, side]} if "img_size" in arguments else arguments
    return isinstance(_refusal(architecture, sized, side, side), Measures)


def first_line(error: BaseException) -> str:
    """Why an architecture's own code refused something, as a part of a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return escape_controls(lines[0][:200]).rstrip(".")
