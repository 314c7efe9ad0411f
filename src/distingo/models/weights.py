"""Weights files of backbones: safetensors only, matched to their architecture tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from distingo.errors import ModelError, first_line, option
from distingo.files import content_hash
from distingo.machine.process import without_values
from distingo.models.architectures import create_architecture, require_room
from distingo.models.presets import BackboneSettings
from distingo.progress import quiet_loggers

Shapes = dict[str, tuple[int, ...]]

_MISMATCHES = (RuntimeError, KeyError, ValueError, AttributeError, IndexError, AssertionError, TypeError)
_SEED = 7_046_029_254  # any number that nobody trains with


def find_weights_file(folder: Path) -> Path:
    """The weights of a hub folder: ``model.safetensors``, else the only safetensors file there.

    Raises:
        ModelError: There is none, or there are several.
    """
    paths = sorted(folder.glob("*.safetensors"))
    preferred = folder / "model.safetensors"
    if preferred in paths:
        return preferred
    if len(paths) == 1:
        return paths[0]
    if paths:
        names = ", ".join(path.name for path in paths)
        raise ModelError(
            f"{folder}: holds several weights files ({names}); name one of them in {option('weights')}",
            code="ambiguous_weights",
            parameter="weights",
        )
    raise ModelError(
        f"{folder}: holds no .safetensors file (pickled weights are never loaded); give another folder",
        code="no_weights",
    )


def read_shapes(path: Path) -> Shapes:
    """The names and shapes of all tensors in a safetensors file, without reading their values.

    Raises:
        ModelError: The file is missing, damaged, cut short, or of another kind.
    """
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path}: not a .safetensors file (pickled weights are never loaded); convert it first", code="wrong_format"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; give a .safetensors file or a folder that holds one", code="not_found"
        ) from error
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path}: damaged or cut short ({error}); fetch or copy it again", code="damaged_file"
        ) from error


def load_weights(path: Path, settings: BackboneSettings, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a backbone with the weights of a file, through timm's own conversion of names and position embeddings.

    The file may hold a classifier of any number of classes, or none; it is left out.

    Args:
        path: A safetensors file.
        settings: The pretrained configuration that belongs to it.
        arguments: For the architecture's constructor.

    Returns:
        The same module as `create_architecture` builds, filled.

    Raises:
        ModelError: The file is damaged, or of another architecture (names a tensor that doesn't fit).
    """
    shapes = read_shapes(path)
    _require_room(path, shapes, settings.architecture, arguments)
    state, fresh = _read_state(path, shapes, settings, arguments)
    expected: dict[str, Tensor] = fresh.state_dict()
    if _mostly_untouched(fresh, state):
        raise ModelError(_describe_mismatch(path, settings.architecture, shapes, expected), code="weights_differ")
    fresh.load_state_dict({name: state[name] for name in expected}, assign=True)
    return fresh.eval()


def _require_room(path: Path, shapes: Shapes, architecture: str, arguments: Mapping[str, Any]) -> None:
    """Raise an error for weights of another architecture, before allocating memory for it."""
    try:
        with without_values():
            require_room(create_architecture(architecture, arguments), sum(map(math.prod, shapes.values())))
    except ModelError:
        raise
    except Exception as error:  # an architecture's own code refuses odd arguments in any way that it likes
        raise ModelError(
            f"{path}: weights of another architecture than {architecture} ({first_line(error)}); name the one they fit",
            code="weights_differ",
        ) from error


def _read_state(
    path: Path, shapes: Shapes, settings: BackboneSettings, arguments: Mapping[str, Any]
) -> tuple[dict[str, Tensor], nn.Module]:
    """The converted tensors, and the backbone as it was before them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        fresh = create_architecture(settings.architecture, arguments)
        for classes in _possible_classes(shapes, settings):
            loading = {"pretrained": True, "pretrained_cfg": _loading_from(path, settings, classes)}
            torch.manual_seed(_SEED)
            try:
                with quiet_loggers("timm.models._builder"):  # it lists every tensor that doesn't fit
                    complete = create_architecture(settings.architecture, arguments, classes=classes, **loading)
            except SafetensorError as error:
                raise ModelError(
                    f"{path}: damaged or cut short ({error}); fetch or copy it again", code="damaged_file"
                ) from error
            except _MISMATCHES:
                continue
            state = complete.state_dict()
            if state.keys() >= fresh.state_dict().keys():
                return state, fresh
    raise ModelError(_describe_mismatch(path, settings.architecture, shapes, fresh.state_dict()), code="weights_differ")


def _possible_classes(shapes: Shapes, settings: BackboneSettings) -> list[int]:
    """How many classes the file's classifier may have. timm loads strictly only where it is told the right number."""
    names = settings.configuration.get("classifier") or ()
    for name in (names,) if isinstance(names, str) else names:
        if f"{name}.weight" in shapes:
            return [shapes[f"{name}.weight"][0]]
    return list(dict.fromkeys((0, int(settings.configuration.get("num_classes") or 0))))


def _loading_from(path: Path, settings: BackboneSettings, classes: int) -> dict[str, object]:
    """A pretrained configuration for timm, with this file as the only source."""
    sources = {"url": None, "hf_hub_id": None, "hf_hub_filename": None, "state_dict": None, "source": None}
    local = {"file": str(path), "custom_load": False, "num_classes": classes, "label_offset": 0}
    return {**settings.configuration, **sources, **local}


def _mostly_untouched(fresh: nn.Module, state: dict[str, Tensor]) -> bool:
    """Whether most parameters still have the values that the seed gave them.

    timm lets a few architectures load whatever is there; without this they would resume random weights.
    """
    random_count = untouched = 0
    for name, parameter in fresh.named_parameters():
        values = parameter.detach()
        if values.numel() > 1 and not torch.all(values == values.flatten()[0]):
            random_count += 1
            untouched += bool(torch.equal(values, state[name]))
    return random_count > 0 and untouched > random_count / 2


def _describe_mismatch(path: Path, architecture: str, shapes: Shapes, expected: dict[str, Tensor]) -> str:
    missing = [name for name in expected if name not in shapes]
    other = [name for name in expected if name in shapes and shapes[name] != tuple(expected[name].shape)]
    unexpected = [name for name in shapes if name not in expected]
    if other:
        name = other[0]
        example = f"{name} is {_size(shapes[name])} where {_size(tuple(expected[name].shape))} is wanted"
    elif missing:
        example = f"{missing[0]} is missing"
    else:
        example = f"{unexpected[0]} is not part of it" if unexpected else "timm can't convert them"
    counts = f"{len(missing)} tensors missing, {len(other)} of another shape, {len(unexpected)} unexpected"
    return f"{path}: weights of another architecture than {architecture}: {example} ({counts}); name the one they fit"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def hash_weights(module: nn.Module, architecture: str, arguments: Mapping[str, Any]) -> str:
    """Return a hash that identifies a module's outputs, as a key for cached results.

    Architecture and arguments count as well: the same tensors with another padding give other features.

    Args:
        module: With its weights.
        architecture: timm's name.
        arguments: As it was built with, without the image's size.

    Returns:
        BLAKE2b (128 bits, hexadecimal) over architecture, arguments and every tensor's name, type, shape and bytes.
    """
    settings = repr((architecture, sorted((name, repr(value)) for name, value in arguments.items())))
    return content_hash(settings.encode(), *_tensor_bytes(module))


def _tensor_bytes(module: nn.Module) -> Iterator[bytes | memoryview]:
    state: dict[str, Tensor] = module.state_dict()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        yield f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
