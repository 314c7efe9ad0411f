"""Stand-ins for torch's compiler, so that it is imported only if something is compiled.

Importing the compiler takes longer than all other imports of a command. torchvision imports it for a function that is
only called on Apple processors, timm to exclude a method from compilation, and torch to mark its optimizers and fake
tensors. A stand-in provides what these need; any other attribute access imports the real compiler. Stand-ins are used
only after `distingo.machine.process.configure_process` was called.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

from distingo.machine.process import is_configured

_COMPILER = "torch._dynamo"

_TOOLS = f"{_COMPILER}.utils"

_DRAWING = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_"})
"""Weight initializers, of `torch.nn.init` and of tensors, that return the tensor that they fill."""


@contextmanager
def compiler_on_demand() -> Iterator[None]:
    """Context manager in which modules that only refer to the compiler do not import it.

    It has no effect if the compiler is already imported or the process was not configured (`distingo.machine.process`).
    """
    if _COMPILER in sys.modules or not is_configured():
        yield
        return
    sys.modules[_COMPILER] = _StandIn(_COMPILER, disable=_disable, graph_break=_nothing)
    sys.modules[_TOOLS] = _StandIn(_TOOLS, is_compile_supported=_is_compile_supported)
    try:
        yield
    finally:
        _forget_stand_ins()


@contextmanager
def without_values() -> Iterator[None]:
    """Context manager in which new tensors have a shape, but no memory and no values."""
    import torch

    with torch.device("meta"), without_fresh_weights(), compiler_on_demand():
        yield


def without_fresh_weights() -> AbstractContextManager[Any]:
    """Context manager in which weights stay uninitialized, which saves time and draws no random numbers."""
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__name__", "") in _DRAWING:
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    return Undrawn()


class _StandIn(ModuleType):
    """Stand-in module that replaces itself by the real module on access to any other attribute."""

    def __init__(self, name: str, **provided: Callable[..., Any]) -> None:
        super().__init__(name)
        vars(self).update(provided)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _forget_stand_ins()
        return getattr(importlib.import_module(self.__name__), name)


def _is_compile_supported(device_type: str) -> bool:
    return bool(importlib.import_module(_TOOLS).is_compile_supported(device_type))


def _disable(function: Callable[..., Any], *options: Any, **named_options: Any) -> Callable[..., Any]:
    """Replace `torch._dynamo.disable`, which has no effect unless the compiler is imported."""

    @functools.wraps(function)
    def uncompiled(*args: Any, **named: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        if compiler is None or isinstance(compiler, _StandIn):
            return function(*args, **named)
        return compiler.disable(function, *options, **named_options)(*args, **named)

    return uncompiled


def _nothing(*_: Any, **__: Any) -> None:
    """Replace `torch._dynamo.graph_break`, which has no effect unless the compiler is imported."""


def _forget_stand_ins() -> None:
    for name in (_COMPILER, _TOOLS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
