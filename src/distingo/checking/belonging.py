"""Which pictures of a data set belong together, so that a split must not tear them apart."""

from __future__ import annotations

from dataclasses import dataclass

from distingo.datasets.cache.products import Product
from distingo.datasets.cache.store import Cache
from distingo.datasets.splits.grouping import BURST_SECONDS, Links, find_bursts, link_column
from distingo.errors import UsageError, option
from distingo.near_duplicates.search import LOOSEST, SAME_SCENE, find_copies, signature_product
from distingo.records import Dataset


@dataclass(frozen=True, slots=True)
class Belonging:
    """What holds pictures together, besides the group column of their table.

    Attributes:
        near_duplicates: From which similarity on two pictures show the same scene (`find_copies`); None: not looked at.
        burst: Seconds from one picture of a camera to the next of the same burst; None: not looked at.

    Raises:
        UsageError: A number is out of range.
    """

    near_duplicates: float | None = SAME_SCENE
    burst: float | None = BURST_SECONDS

    def __post_init__(self) -> None:
        if self.near_duplicates is not None and not LOOSEST <= self.near_duplicates <= 1:
            raise UsageError(
                f"{option('near_duplicates')} {self.near_duplicates:g}: choose {LOOSEST:g} to 1, or none",
                code="out_of_range",
                parameter="near_duplicates",
            )
        if self.burst is not None and not self.burst >= 0:
            raise UsageError(
                f"{option('burst')} {self.burst:g}: choose 0 seconds or more, or none",
                code="out_of_range",
                parameter="burst",
            )

    def products(self, cache: Cache) -> list[Product]:
        """What is to be computed from every picture for it."""
        return [] if self.near_duplicates is None else [signature_product(cache)]

    def link(self, dataset: Dataset, cache: Cache, workers: int) -> list[Links]:
        """Find all links between a data set's pictures.

        Args:
            dataset: Read with these products.
            cache: The one that the products are in.
            workers: Threads.
        """
        links = [link_column(dataset)]
        pictures = dataset.pictures
        if self.near_duplicates is not None:
            signatures = signature_product(cache).store.rows([picture.row_key for picture in pictures])
            sides = [min(picture.width, picture.height) for picture in pictures]
            pairs = find_copies(signatures, sides, loosest=self.near_duplicates, workers=workers)
            links.append(Links("near-duplicate", [(pair.first, pair.second) for pair in pairs]))
        if self.burst is not None:
            links.append(find_bursts(pictures, within=self.burst, workers=workers))
        return links
