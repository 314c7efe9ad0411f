"""A folder to a dataset: every file examined once, every array computed once."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
from PIL import Image

from distingo.datasets import idx
from distingo.datasets.decoding import (
    DEFAULT_MAX_PIXELS,
    TooManyPixelsError,
    UndecodableError,
    decode,
    read_bytes,
)
from distingo.datasets.duplicates import Examined, Verdict, judge
from distingo.datasets.facts import Facts, facts_of, facts_of_failure, facts_store, pack_facts, unpack_facts
from distingo.datasets.layouts import Candidate, Layout, find_layout
from distingo.datasets.rendering import render
from distingo.datasets.store import ArrayStore, Cache
from distingo.errors import DataError
from distingo.files import content_hash
from distingo.progress import progress_bar
from distingo.records import Dataset, ManifestRow, Picture, Rendition, Source

_CHUNK = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Product:
    """An array to compute from every picture.

    Attributes:
        store: Where its rows are kept.
        compute: From a decoded picture (mode ``RGB`` or ``L``) to a row; called from several threads.
    """

    store: ArrayStore
    compute: Callable[[Image.Image], np.ndarray]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """One decoded content: its facts, whether to remember them, and a row for each product that lacked it."""

    content: str
    facts: Facts
    memorable: bool
    rows: tuple[tuple[int, np.ndarray], ...]


def pixels_product(cache: Cache, rendition: Rendition) -> Product:
    """The pictures themselves at one size.

    Args:
        cache: Where the rows are kept.
        rendition: Size, channels and way of fitting.

    Returns:
        A product with uint8 rows of shape (height, width, channels).
    """
    fitting = rendition.fit if rendition.fit == "stretch" else f"crop-{rendition.crop_fraction!r}"
    kind = f"pixels-{fitting}-{rendition.interpolation}-pillow-{PIL.__version__}"
    shape = (rendition.height, rendition.width, rendition.channels)
    return Product(cache.store(kind, shape, "uint8"), lambda image: render(image, rendition))


def read_dataset(
    root: Path | str,
    *,
    cache: Cache,
    products: Sequence[Product] = (),
    max_pixels: int = DEFAULT_MAX_PIXELS,
    workers: int | None = None,
) -> Dataset:
    """Read a folder of pictures: find, examine and account for every file, and fill the products.

    Bytes are hashed first; only contents that the cache does not know, or that a product lacks, are decoded,
    each once.

    Args:
        root: The folder, in one of the layouts of `find_layout`.
        cache: Where facts are kept between runs.
        products: What to compute from every usable picture; afterwards none of the dataset is missing in
            them.
        max_pixels: As for `decoding.decode`.
        workers: Threads; default: one per processor that this process may use.

    Returns:
        The usable pictures and the manifest of every file found.

    Raises:
        DataError: As `find_layout`; or no picture of a class is usable.
        ResourceError: The cache can't be read or written, or the disk is full.
    """
    root = Path(root)
    layout = find_layout(root)
    with ThreadPoolExecutor(workers or count_processors()) as pool:
        contents, failures = _hash_all(pool, layout)
        facts = _examine(pool, layout, contents, cache, products, max_pixels)
    examined = [
        Examined(candidate, content, failure or facts[content])
        for candidate, content, failure in zip(layout.candidates, contents, failures, strict=True)
    ]
    verdicts = judge(examined)
    _check_every_class(root, layout, examined, verdicts)
    return _assemble(root, layout, examined, verdicts)


def count_processors() -> int:
    """Count the processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on Linux
        return os.cpu_count() or 1


def _hash_all(pool: ThreadPoolExecutor, layout: Layout) -> tuple[list[str], list[Facts | None]]:
    """Hash every candidate's content; for what can't be opened, an empty hash and the reason."""
    contents: list[str] = []
    failures: list[Facts | None] = []
    with progress_bar("Reading", len(layout.candidates)) as advance:
        for chunk in _in_order(pool, _hash_chunk, layout.candidates):
            contents += [content for content, _ in chunk]
            failures += [failure for _, failure in chunk]
            advance(len(chunk))
    return contents, failures


def _hash_chunk(candidates: Sequence[Candidate]) -> list[tuple[str, Facts | None]]:
    return [_hash(candidate.source) for candidate in candidates]


def _hash(source: Source) -> tuple[str, Facts | None]:
    if source.index is not None:
        row = idx.load_images(source.path)[source.index]
        return content_hash(b"IDX %d %d\n" % row.shape, row.tobytes()), None
    try:
        return content_hash(read_bytes(source)), None
    except UndecodableError as error:
        return "", facts_of_failure(error)


def _examine(
    pool: ThreadPoolExecutor,
    layout: Layout,
    contents: Sequence[str],
    cache: Cache,
    products: Sequence[Product],
    max_pixels: int,
) -> dict[str, Facts]:
    """Know the facts of every content, decoding only what the cache can't answer."""
    sources: dict[str, Source] = {}
    for candidate, content in zip(layout.candidates, contents, strict=True):
        if content:
            sources.setdefault(content, candidate.source)
    facts = _recall(facts_store(cache), sources, max_pixels)
    lacking = [
        set(
            product.store.missing(
                content for content in sources if content not in facts or facts[content].usable
            )
        )
        for product in products
    ]
    todo = [
        (content, source, [at for at, keys in enumerate(lacking) if content in keys])
        for content, source in sources.items()
        if content not in facts or any(content in keys for keys in lacking)
    ]

    def work(chunk: Sequence[tuple[str, Source, list[int]]]) -> list[_Decoded]:
        return [_decode(content, source, wanted, products, max_pixels) for content, source, wanted in chunk]

    with ExitStack() as stack:
        advance = stack.enter_context(progress_bar("Decoding", len(todo)))
        remember = stack.enter_context(facts_store(cache).writer())
        writers = [stack.enter_context(product.store.writer()) for product in products]
        for chunk in _in_order(pool, work, todo):
            for result in chunk:
                if result.memorable and result.content not in facts:
                    remember.add(result.content, pack_facts(result.facts))
                facts[result.content] = result.facts
                for at, row in result.rows:
                    writers[at].add(result.content, row)
            advance(len(chunk))
    return facts


def _recall(store: ArrayStore, sources: dict[str, Source], max_pixels: int) -> dict[str, Facts]:
    files = [content for content, source in sources.items() if source.index is None]
    unknown = set(store.missing(files))
    known = [content for content in files if content not in unknown]
    rows = store.rows(known).take(np.arange(len(known)))
    recalled = {content: unpack_facts(row) for content, row in zip(known, rows, strict=True)}
    # A picture over today's limit is looked at again, to be refused in today's words.
    return {content: facts for content, facts in recalled.items() if facts.width * facts.height <= max_pixels}


def _decode(
    content: str, source: Source, wanted: Sequence[int], products: Sequence[Product], max_pixels: int
) -> _Decoded:
    if source.index is not None:
        image = Image.fromarray(idx.load_images(source.path)[source.index])
        facts = Facts(
            usable=True, reason="", format="IDX", width=image.width, height=image.height, pixels=content
        )
        return _Decoded(content, facts, memorable=False, rows=_compute(image, wanted, products))
    try:
        data = read_bytes(source)
        if content_hash(data) != content:
            raise UndecodableError("changed while it was being read; run the same command again", "unknown")
        decoded = decode(data, max_pixels=max_pixels)
    except UndecodableError as error:
        memorable = not isinstance(error, TooManyPixelsError) and not error.reason.startswith(
            ("changed", "can't", "needs")
        )
        return _Decoded(content, facts_of_failure(error), memorable=memorable, rows=())
    facts = facts_of(decoded.image, decoded.format)
    return _Decoded(content, facts, memorable=True, rows=_compute(decoded.image, wanted, products))


def _compute(
    image: Image.Image, wanted: Sequence[int], products: Sequence[Product]
) -> tuple[tuple[int, np.ndarray], ...]:
    return tuple((at, products[at].compute(image)) for at in wanted)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Sequence[_Item]], list[_Result]], items: Sequence[_Item]
) -> Iterator[list[_Result]]:
    """Map chunks over the pool in order, a few at a time, so that results never pile up in memory."""
    chunks: Iterable[Sequence[_Item]] = (items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK))
    waiting: deque[Future[list[_Result]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > 2 * pool._max_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _check_every_class(
    root: Path, layout: Layout, examined: Sequence[Examined], verdicts: Sequence[Verdict]
) -> None:
    used = {
        label
        for entry, verdict in zip(examined, verdicts, strict=True)
        if verdict.status == "used"
        for label in entry.candidate.labels
    }
    for name in layout.classes:
        if name in used:
            continue
        tried = [at for at, entry in enumerate(examined) if name in entry.candidate.labels]
        why = Counter(verdicts[at].reason for at in tried).most_common(1)[0][0]
        raise DataError(
            f"{root}: class {name!r} has no usable picture ({len(tried)} files tried; most often: {why}); "
            f"mend it or move its folder away"
        )


def _assemble(
    root: Path, layout: Layout, examined: Sequence[Examined], verdicts: Sequence[Verdict]
) -> Dataset:
    pictures, manifest = [], list(layout.ignored)
    for entry, verdict in zip(examined, verdicts, strict=True):
        candidate, facts = entry.candidate, entry.facts
        manifest.append(
            ManifestRow(
                candidate.source.file,
                verdict.status,
                verdict.reason,
                candidate.labels,
                candidate.side,
                facts.format,
                facts.width,
                facts.height,
                entry.content,
                verdict.same_as,
            )
        )
        if verdict.status == "used":
            pictures.append(
                Picture(
                    candidate.source,
                    candidate.labels,
                    entry.content,
                    facts.pixels,
                    facts.width,
                    facts.height,
                    candidate.side,
                )
            )
    return Dataset(root, layout.name, "single-label", layout.classes, tuple(pictures), tuple(manifest))
