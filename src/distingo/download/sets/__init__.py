"""The well-known sets: one record each, in files that say what a set is and nothing else."""

from __future__ import annotations

from distingo.download.sets.flowers102 import FLOWERS102
from distingo.download.sets.records import (
    CIFAR10,
    CIFAR100,
    EUROSAT,
    FASHION_MNIST,
    IMAGENETTE,
    IMAGENETTE_160,
    IMAGENETTE_320,
    MNIST,
    OXFORD_PETS,
    NamedSet,
)
from distingo.errors import UsageError, name_the_nearest

SETS: dict[str, NamedSet] = {
    each.name: each
    for each in (
        FASHION_MNIST,
        MNIST,
        CIFAR10,
        CIFAR100,
        EUROSAT,
        FLOWERS102,
        OXFORD_PETS,
        IMAGENETTE,
        IMAGENETTE_320,
        IMAGENETTE_160,
    )
}


def find_set(name: str) -> NamedSet:
    """The set of a name.

    Raises:
        UsageError: There is none; names the nearest.
    """
    if name not in SETS:
        raise UsageError(
            f"no set is called {name!r}; {name_the_nearest(name, list(SETS))}", code="unknown_name", parameter="name"
        )
    return SETS[name]
