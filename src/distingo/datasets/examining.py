"""Hash every image, and decode those whose facts or product rows are not in the cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from distingo.datasets.cache.products import (
    Examined,
    Facts,
    Product,
    facts_of,
    facts_of_failure,
    facts_store,
    pack_facts,
    unpack_facts,
)
from distingo.datasets.cache.store import Cache, RowWriter
from distingo.datasets.decoding import idx
from distingo.datasets.decoding.decode import (
    TooManyPixelsError,
    UndecodableError,
    UnreadableError,
    decode,
    read_bytes,
)
from distingo.datasets.decoding.failures import caught
from distingo.datasets.decoding.value_ranges import choose_range, decide_ranges
from distingo.datasets.decoding.value_summaries import ValueSummary
from distingo.datasets.walking import Candidate
from distingo.files import content_hash
from distingo.messages.notes import note
from distingo.progress import progress_bar
from distingo.records import Source, ValueRanges, row_key

_CHUNK = 16
_IDX_CHUNK = 1024  # IDX entries are so small that dispatching them one by one would cost more than the work itself
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Task:
    """A content to decode, the indices of the products that lack its row, and whether its facts are cached.

    If the facts of a deep image are cached, its source has a value range.
    """

    content: str
    source: Source
    products: tuple[int, ...]
    has_facts: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The facts from decoding (None: cached before), whether to cache them, and a row for each requested product.

    The rows' key combines the content and, for a deep image, its value range; empty means the content's key.
    """

    facts: Facts | None
    rows: tuple[np.ndarray, ...] = ()
    cacheable: bool = True
    key: str = ""


class Examiner:
    """Examines candidates with several threads, a few chunks ahead of the writer.

    Attributes:
        cache: Where facts are stored.
        products: What is computed from every usable image.
        max_pixels: As for `decoding.decode`.
        workers: Number of threads.
        value_ranges: The ranges that deep images (more than 8 bits, signed or float) are scaled by. None computes them
            from the examined images, decoding these a second time, and is replaced by the result.
    """

    def __init__(
        self,
        cache: Cache,
        products: Sequence[Product],
        *,
        max_pixels: int,
        workers: int,
        value_ranges: ValueRanges | None = None,
    ) -> None:
        self.value_ranges = value_ranges
        self.cache = cache
        self.products = products
        self.max_pixels = max_pixels
        self.workers = workers

    def examine(self, candidates: Sequence[Candidate]) -> list[Examined]:
        """Determine the facts of every candidate, and fill the products.

        Args:
            candidates: All candidates of a dataset.

        Returns:
            One entry for each, in the same order; the sources of deep images have their value range.

        Raises:
            DataError: An IDX file is damaged.
            ResourceError: The cache can't be read or written, or the disk is full.
        """
        with caught(), ThreadPoolExecutor(self.workers) as pool:
            hashed = self._hash(pool, candidates)
            facts = {content: hashed_facts for content, hashed_facts in hashed if content and hashed_facts is not None}
            sources: dict[str, Source] = {}
            for candidate, (content, _) in zip(candidates, hashed, strict=True):
                if content:
                    sources.setdefault(content, candidate.source)
            facts |= self._load_facts([content for content in sources if content not in facts])
            self._decode(pool, self._tasks(sources, facts), facts)
            if self.value_ranges is None:
                self.value_ranges = decide_ranges([each.values for each in facts.values() if each.values is not None])
            self._decode(pool, self._deep_tasks(sources, facts), facts)
        return [
            self._examined(candidate, content, hashed_facts or facts[content])
            for candidate, (content, hashed_facts) in zip(candidates, hashed, strict=True)
        ]

    def _examined(self, candidate: Candidate, content: str, facts: Facts) -> Examined:
        if facts.values is not None:
            candidate = replace(candidate, source=self._with_range(candidate.source, facts.values))
        return Examined(candidate, content, facts)

    def _with_range(self, source: Source, values: ValueSummary) -> Source:
        return replace(source, value_range=choose_range(self.value_ranges, values))

    def _hash(self, pool: ThreadPoolExecutor, candidates: Sequence[Candidate]) -> list[tuple[str, Facts | None]]:
        """Hash every content (empty if it can't be opened), with facts if hashing already reveals them."""
        hashed: list[tuple[str, Facts | None]] = []
        sources = [candidate.source for candidate in candidates]
        with progress_bar("Reading", len(sources)) as advance:
            for chunk in self._in_order(pool, _hash_chunk, sources, _chunk_size(sources)):
                hashed += chunk
                advance(len(chunk))
        return hashed

    def _load_facts(self, contents: Sequence[str]) -> dict[str, Facts]:
        store = facts_store(self.cache)
        unknown = set(store.missing(contents))
        cached = [content for content in contents if content not in unknown]
        rows = store.rows(cached).take(np.arange(len(cached)))
        cached_facts = dict(zip(cached, map(unpack_facts, rows), strict=True))
        # An image above the current pixel limit is decoded again, to be rejected with a current message.
        return {key: facts for key, facts in cached_facts.items() if facts.width * facts.height <= self.max_pixels}

    def _tasks(self, sources: dict[str, Source], facts: dict[str, Facts]) -> list[_Task]:
        """The tasks for all contents except those already known to be deep images."""
        sources = {content: source for content, source in sources.items() if not _is_deep(facts.get(content))}
        promising = [content for content in sources if content not in facts or facts[content].usable]
        lacking = [set(product.store.missing(promising)) for product in self.products]
        tasks = []
        for content, source in sources.items():
            product_indices = tuple(at for at, keys in enumerate(lacking) if content in keys)
            if product_indices or content not in facts:
                tasks.append(_Task(content, source, product_indices, has_facts=content in facts))
        return tasks

    def _deep_tasks(self, sources: dict[str, Source], facts: dict[str, Facts]) -> list[_Task]:
        """The tasks for deep images, whose product rows are cached by content and value range."""
        deep = {}
        for content, source in sources.items():
            if (values := facts[content].values) is not None:
                deep[content] = self._with_range(source, values)
        keys = {content: row_key(content, source.value_range) for content, source in deep.items()}
        lacking = [set(product.store.missing(keys.values())) for product in self.products]
        tasks = []
        for content, source in deep.items():
            if product_indices := tuple(at for at, lacked in enumerate(lacking) if keys[content] in lacked):
                tasks.append(_Task(content, source, product_indices, has_facts=True))
        return tasks

    def _decode(self, pool: ThreadPoolExecutor, tasks: Sequence[_Task], facts: dict[str, Facts]) -> None:
        """Perform the tasks; adds to `facts` and writes the products' rows."""
        if not tasks:
            return
        size = _chunk_size([task.source for task in tasks])
        with ExitStack() as stack:
            title = "Embedding" if any(product.finish for product in self.products) else "Decoding"
            advance = stack.enter_context(progress_bar(title, len(tasks)))
            facts_writer = stack.enter_context(facts_store(self.cache).writer())
            keepers = [stack.enter_context(row_keeper(product)) for product in self.products]
            for chunk in self._in_order(pool, self._perform_all, tasks, size):
                for task, outcome in chunk:
                    if outcome.facts is not None:
                        if outcome.cacheable and task.content not in facts:
                            facts_writer.add(task.content, pack_facts(outcome.facts))
                        facts[task.content] = outcome.facts
                    for index, row in zip(task.products, outcome.rows, strict=False):
                        keepers[index].add(outcome.key or task.content, row)
                advance(len(chunk))

    def _perform_all(self, tasks: Sequence[_Task]) -> list[tuple[_Task, _Outcome]]:
        outcomes = []
        images = _IdxImages()
        for task in tasks:
            row = images.entry(task.source)
            if row is None:
                outcomes.append((task, self._perform(task)))
            else:
                rows = tuple(self.products[at].row_from_array(row) for at in task.products)
                outcomes.append((task, _Outcome(None, rows)))
        return outcomes

    def _perform(self, task: _Task) -> _Outcome:
        try:
            data = read_bytes(task.source)
            if content_hash(data) != task.content:
                raise UnreadableError(note("changed-while-read"), "unknown", code="changed_meanwhile")
            value_range = task.source.value_range or self.value_ranges
            decoded = decode(data, max_pixels=self.max_pixels, enough=self._enough(task), value_range=value_range)
        except UndecodableError as error:
            temporary = isinstance(error, TooManyPixelsError | UnreadableError)
            return _Outcome(facts_of_failure(error), cacheable=not temporary)
        facts = None if task.has_facts else facts_of(decoded)
        if decoded.values is None:
            return _Outcome(facts, self._compute(task, decoded.image))
        if value_range is None:
            return _Outcome(facts)  # its products wait for the value range computed from all images
        key = row_key(task.content, choose_range(value_range, decoded.values))
        return _Outcome(facts, self._compute(task, decoded.image), key=key)

    def _enough(self, task: _Task) -> int | None:
        """The smallest size to decode an image to; at first all pixels are needed, as their hash identifies copies."""
        sizes = [self.products[at].enough for at in task.products]
        if not task.has_facts or None in sizes:
            return None
        return max((size for size in sizes if size is not None), default=None)

    def _compute(self, task: _Task, image: Image.Image) -> tuple[np.ndarray, ...]:
        return tuple(self.products[at].compute(image) for at in task.products)

    def _in_order(
        self,
        pool: ThreadPoolExecutor,
        work: Callable[[Sequence[_Item]], list[_Result]],
        items: Sequence[_Item],
        size: int,
    ) -> Iterator[list[_Result]]:
        """Map chunks over the pool in order, a few at a time, so that results never accumulate in memory."""
        pending: deque[Future[list[_Result]]] = deque()
        try:
            for at in range(0, len(items), size):
                pending.append(pool.submit(work, items[at : at + size]))
                if len(pending) > 2 * self.workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


class RowKeeper:
    """Writes a product's computed rows to its store: immediately, or in the product's batch size."""

    def __init__(self, product: Product, writer: RowWriter) -> None:
        self._product = product
        self._writer = writer
        self._waiting: dict[str, np.ndarray] = {}

    def add(self, content: str, row: np.ndarray) -> None:
        """Add one row under its key (`distingo.records.row_key`)."""
        if self._product.finish is None:
            self._writer.add(content, row)
            return
        self._waiting[content] = row
        if len(self._waiting) >= self._product.batch_size:
            self.finish()

    def finish(self) -> None:
        """Write the rows of an incomplete last batch."""
        if self._waiting and self._product.finish is not None:
            rows = self._product.finish(np.stack(list(self._waiting.values())))
            for content, row in zip(self._waiting, rows, strict=True):
                self._writer.add(content, row)
            self._waiting.clear()


@contextmanager
def row_keeper(product: Product) -> Iterator[RowKeeper]:
    """Write computed rows to a product's store within the block; the last batch is written at its end."""
    with product.store.writer() as writer:
        keeper = RowKeeper(product, writer)
        yield keeper
        keeper.finish()


def _is_deep(facts: Facts | None) -> bool:
    return facts is not None and facts.values is not None


def _chunk_size(sources: Sequence[Source]) -> int:
    return _IDX_CHUNK if sources and sources[0].index is not None else _CHUNK


class _IdxImages:
    """Entries of IDX files; the array is looked up only when the path changes, as that may switch threads."""

    def __init__(self) -> None:
        self._path = Path()
        self._images = np.empty((0, 0, 0), np.uint8)

    def entry(self, source: Source) -> np.ndarray | None:
        """The image as uint8 of shape (height, width), or None if the source is not an IDX entry."""
        if source.index is None:
            return None
        if source.path is not self._path:
            self._path, self._images = source.path, idx.load_images(source.path)
        entry: np.ndarray = self._images[source.index]
        return entry


def _hash_chunk(sources: Sequence[Source]) -> list[tuple[str, Facts | None]]:
    hashed: list[tuple[str, Facts | None]] = []
    images = _IdxImages()
    for source in sources:
        row = images.entry(source)
        if row is None:
            hashed.append(_hash_file(source))
        else:
            content = content_hash(b"IDX %d %d\n" % row.shape, row.data)
            hashed.append((content, _idx_facts(content, row)))
    return hashed


def hash_content(source: Source) -> str:
    """Hash the content of a source, as in `Image.content`.

    Raises:
        DataError: An IDX file is damaged.
        UndecodableError: The file can't be opened.
    """
    if source.index is None:
        return content_hash(read_bytes(source))
    ((content, _),) = _hash_chunk([source])
    return content


def _hash_file(source: Source) -> tuple[str, Facts | None]:
    try:
        return content_hash(read_bytes(source)), None
    except UndecodableError as error:
        return "", facts_of_failure(error)


def _idx_facts(content: str, row: np.ndarray) -> Facts:
    height, width = row.shape
    return Facts(usable=True, reason=None, format="IDX", width=width, height=height, pixels=content)
