"""How many bytes of tensors are alive after every operation of torch, on any device and in their true types."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, follows the storages that operations of this thread make on one device.

    What a kernel takes and gives back within one operation is not seen.

    Args:
        device: Storages elsewhere do not count.
        known: Tensors that exist already; their storages do not count.
    """

    def __init__(self, device: torch.device, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device.type
        self._storages: dict[int, int] = {}
        self._points: list[int] | None = None
        self.live = 0
        """Bytes that are alive now."""
        for tensor in known:
            self._storages[tensor.untyped_storage()._cdata] = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, inputs: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        results = function(*inputs, **(options or {}))
        for result in tree_leaves(results):
            if isinstance(result, Tensor) and result.device.type == self._device:
                self._count(result.untyped_storage())
        if self._points is not None:
            self._points.append(self.live)
        return results

    @contextmanager
    def record(self) -> Iterator[list[int]]:
        """Within, `live` after every operation is appended to the list."""
        points = [self.live]
        self._points = points
        try:
            yield points
        finally:
            self._points = None

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._storages:
            return
        self._storages[key] = storage.nbytes()
        self.live += self._storages[key]
        # torch keeps the Python object of a storage for as long as its memory is held
        weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self.live -= self._storages.pop(key, 0)
