"""torch's compiler, imported only where something is compiled.

Importing it takes longer than everything else that a command loads. torchvision imports it to have one function that
only code on Apple's processors calls, timm to mark a method that is not to be compiled, and torch itself to mark its
optimizers and what computes without values. While they do, a stand-in provides what they need; anything else that is
requested of it imports the compiler at once. There are stand-ins only where
`distingo.machine.process.configure_process` was called.
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
"""Initialisers of weights, of `torch.nn.init` and of tensors themselves, that return the tensor that they fill."""


@contextmanager
def compiler_on_demand() -> Iterator[None]:
    """Within, what only names the compiler does not import it; nothing changes where it is imported already.

    Nor does anything where this process was not configured (`distingo.machine.process`).
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
    """Within, new tensors have shapes, and neither memory nor values."""
    import torch

    with torch.device("meta"), without_fresh_weights(), compiler_on_demand():
        yield


def without_fresh_weights() -> AbstractContextManager[Any]:
    """Within, weights keep whatever is in memory: no time and no random numbers go into drawing them."""
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(function, "__name__", "") in _DRAWING:
                return args[0] if args else kwargs["tensor"]
            return function(*args, **(kwargs or {}))

    return Undrawn()


class _StandIn(ModuleType):
    """Becomes the real module as soon as anything but what it provides is requested of it."""

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
    """As `torch._dynamo.disable`; where the compiler was never imported, nothing is being compiled."""

    @functools.wraps(function)
    def uncompiled(*args: Any, **named: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        if compiler is None or isinstance(compiler, _StandIn):
            return function(*args, **named)
        return compiler.disable(function, *options, **named_options)(*args, **named)

    return uncompiled


def _nothing(*_: Any, **__: Any) -> None:
    """A break in a compiled graph, where nothing is being compiled."""


def _forget_stand_ins() -> None:
    for name in (_COMPILER, _TOOLS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
