"""Folders to datasets: all accounted for, decoded once, the same the second time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawing import encode, noise
from PIL import Image

from deep_images import write_image
from distingo.datasets import examining
from distingo.datasets.cache.store import Cache
from distingo.datasets.gathering import Product, Survey, pixels_product, read_dataset, survey
from distingo.datasets.options import Reading
from distingo.datasets.tables.table import TableOptions
from distingo.errors import DataError, ResourceError, UsageError
from distingo.messages.notes import note
from distingo.records import Dataset, ImageSpec, ValueRange, ValueRanges
from note_texts import texts
from raising import raises

RENDITION = ImageSpec(8, 6, 3)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every decoding."""
    calls: list[int] = []
    decode = examining.decode

    def counted(data: bytes, *, max_pixels: int, enough: int | None, value_range: ValueRanges | None) -> object:
        calls.append(1)
        return decode(data, max_pixels=max_pixels, enough=enough, value_range=value_range)

    monkeypatch.setattr(examining, "decode", counted)
    return calls


def statuses(dataset: Dataset) -> dict[str, str]:
    return {row.file: row.status for row in dataset.manifest}


def test_a_folder_becomes_images_manifest_and_rows(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 3, "b/deep": 2})
    cache = Cache(tmp_path / "cache")
    product = pixels_product(cache, RENDITION)
    dataset = read_dataset(str(root), Reading(cache=cache), products=[product])
    assert (dataset.root, str(dataset.layout), dataset.task, dataset.classes) == (
        root,
        "class folders",
        "single-label",
        ("a", "b"),
    )
    assert [image.label for image in dataset.images] == ["a", "a", "a", "b", "b"]
    first = dataset.images[0]
    assert (first.width, first.height, first.predefined_split, first.source.path) == (
        12,
        10,
        None,
        root / "a" / "000.png",
    )
    rows = product.store.rows([image.content for image in dataset.images])
    expected = np.asarray(Image.open(first.source.path).resize((6, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(rows.take(np.array([0]))[0], expected)
    assert {row.status for row in dataset.manifest} == {"used"}
    assert dataset.manifest[0].content == first.content
    assert dataset.manifest[0].format == "PNG"


def test_nothing_is_decoded_twice(tmp_path: Path, class_folders: Callable[..., Path], decodings: list[int]) -> None:
    root = class_folders({"a": 20, "b": 20})
    (root / "a" / "page.jpg").write_bytes(b"<html>404</html>")
    (root / "b" / "copy.png").write_bytes((root / "b" / "000.png").read_bytes())

    def read(*image_specs: ImageSpec) -> Dataset:
        cache = Cache(tmp_path / "cache")
        return read_dataset(root, Reading(cache=cache), products=[pixels_product(cache, each) for each in image_specs])

    first = read(RENDITION)
    assert len(decodings) == 41
    assert read(RENDITION) == first
    assert len(decodings) == 41
    assert read(RENDITION, ImageSpec(5, 5, 1)) == first
    assert len(decodings) == 81  # the new size needs every image again, but no HTML page
    (root / "a" / "new.png").write_bytes(encode(noise(777)))
    assert len(read(RENDITION).images) == 41
    assert len(decodings) == 82


def test_a_corrupted_cache_is_rebuilt(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 5, "b": 5})
    first = read_dataset(
        root,
        Reading(cache=Cache(tmp_path / "cache")),
        products=[pixels_product(Cache(tmp_path / "cache"), RENDITION)],
    )
    for path in Cache(tmp_path / "cache").list_segments():
        content = bytearray(path.read_bytes())
        content[7] ^= 1
        path.write_bytes(content)
    cache = Cache(tmp_path / "cache")
    product = pixels_product(cache, RENDITION)
    assert read_dataset(root, Reading(cache=cache), products=[product]) == first
    assert product.store.rows([image.content for image in first.images]).take(np.arange(10)).any(axis=(1, 2, 3)).all()


def test_every_file_is_in_the_manifest_exactly_once(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 3, "b": 3})
    image = noise(500)
    (root / "a" / "UPPER.PNG").write_bytes(encode(image))
    (root / "a" / "same pixels.bmp").write_bytes(encode(image, "BMP"))
    (root / "b" / "x.jpeg").write_bytes((root / "a" / "000.png").read_bytes())
    (root / "b" / "empty.jpg").write_bytes(b"")
    (root / "b" / "half.jpg").write_bytes(encode(noise(501, (64, 64)), "JPEG")[:900])
    (root / "b" / "huge.png").write_bytes(encode(Image.new("1", (300, 300))))
    (root / "b" / ".DS_Store").write_bytes(b"x")
    (root / "b" / "gone.png").symlink_to(root / "nowhere")
    (root / "note.txt").write_text("about")
    os.mkfifo(root / "b" / "pipe")
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), max_pixels=80_000))
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    assert Counter(row.file for row in dataset.manifest) == Counter(found)
    by_file = {row.file: row for row in dataset.manifest}
    expected = {
        "a/UPPER.PNG": ("used", "", "PNG", ""),
        "a/same pixels.bmp": ("duplicate", "the same pixels as a/UPPER.PNG", "BMP", "a/UPPER.PNG"),
        "a/000.png": ("conflict", "the same bytes under 2 classes: a; b", "PNG", "b/x.jpeg"),
        "b/x.jpeg": ("conflict", "the same bytes under 2 classes: a; b", "PNG", "a/000.png"),
        "b/empty.jpg": ("unusable", "an empty file", "empty", ""),
        "b/half.jpg": (
            "unusable",
            "a truncated JPEG file: it breaks off before the picture is complete",
            "JPEG",
            "",
        ),
        "b/huge.png": ("unusable", "300 x 300 pixels are more than the limit of 80,000", "PNG", ""),
        "b/.DS_Store": ("ignored", "a hidden file", "", ""),
        "b/gone.png": ("ignored", "a link that leads nowhere", "", ""),
        "b/pipe": ("ignored", "not a regular file", "", ""),
        "note.txt": ("ignored", "is in no class folder", "", ""),
    }
    for file, (status, reason, stored_as, same_as) in expected.items():
        row = by_file[file]
        why = str(row.reason or "")
        assert (row.status, why, row.format, row.same_as) == (status, reason, stored_as, same_as), file
    assert {image.source.file for image in dataset.images} == {
        row.file for row in dataset.manifest if row.status == "used"
    }


def test_the_pixel_limit_can_change_between_runs(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "b" / "large.png").write_bytes(encode(Image.new("1", (300, 300))))
    cache = Cache(tmp_path / "cache")
    for limit, status in ((80_000, "unusable"), (90_000, "used"), (80_000, "unusable")):
        assert statuses(read_dataset(root, Reading(cache=cache, max_pixels=limit)))["b/large.png"] == status


def test_gray_and_colored_storage_of_the_same_pixels_are_duplicates(
    tmp_path: Path, class_folders: Callable[..., Path]
) -> None:
    root = class_folders({"a": 1, "b": 1})
    gray = noise(600, channels=1)
    (root / "a" / "grey.png").write_bytes(encode(gray))
    (root / "a" / "rgb.png").write_bytes(encode(gray.convert("RGB")))
    assert statuses(read_dataset(root, Reading(cache=Cache(tmp_path / "cache"))))["a/rgb.png"] == "duplicate"


def test_a_copy_of_a_test_image_is_taken_out_of_train(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    (root / "train" / "a" / "leak.png").write_bytes((root / "test" / "a" / "000.png").read_bytes())
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache")))
    rows = {row.file: row for row in dataset.manifest}
    assert (rows["test/a/000.png"].status, rows["train/a/leak.png"].status) == ("used", "duplicate")
    assert rows["train/a/leak.png"].split == "train"
    assert Counter(image.predefined_split for image in dataset.images) == {"train": 4, "test": 2}


def test_a_file_linked_under_two_classes_is_a_conflict(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 2, "b": 2})
    (root / "b" / "linked.png").symlink_to(root / "a" / "000.png")
    found = statuses(read_dataset(root, Reading(cache=Cache(tmp_path / "cache"))))
    assert found["b/linked.png"] == found["a/000.png"] == "conflict"


def test_idx_files_become_images(tmp_path: Path, idx_folder: Callable[..., Path]) -> None:
    root = idx_folder(30, 12)
    cache = Cache(tmp_path / "cache")
    products = [pixels_product(cache, image_spec) for image_spec in (ImageSpec(6, 5, 1), ImageSpec(9, 9, 3))]
    products.append(Product(cache.store("mean", (1,), "float32"), lambda drawn: np.array([np.mean(drawn)], np.float32)))
    dataset = read_dataset(root, Reading(cache=cache), products=products)
    assert len(dataset.images) == 42
    assert Counter(row.status for row in dataset.manifest) == {"used": 42, "ignored": 2}
    image = dataset.images[20]
    assert (image.source.index, image.width, image.height) == (8, 5, 6)
    keys = [image.content for image in dataset.images]
    exact, enlarged, means = (product.store.rows(keys).take(np.arange(42)) for product in products)
    assert np.allclose(exact.mean(axis=(1, 2, 3)), means[:, 0])
    reference = Image.fromarray(exact[20, ..., 0]).resize((9, 9), Image.Resampling.BILINEAR).convert("RGB")
    assert np.array_equal(enlarged[20], np.asarray(reference))
    assert read_dataset(root, Reading(cache=Cache(tmp_path / "cache")), products=products) == dataset


def test_a_class_without_usable_image_is_named(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 3, "b": 0})
    for number in range(4):
        (root / "b" / f"{number}.jpg").write_bytes(b"<html>gone</html>" * (number + 1))
    with raises(DataError, code="empty_class") as caught:
        read_dataset(root, Reading(cache=Cache(tmp_path / "cache")))
    assert str(caught.value) == (
        f"{root}: class 'b' has no usable picture (4 files tried; most often: an HTML page, not a picture); "
        "fix it or move its folder away"
    )


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises(ResourceError, code="cannot_write"):
        read_dataset(class_folders({"a": 2, "b": 2}), Reading(cache=Cache(tmp_path / "file" / "cache")))


def test_a_file_that_cannot_be_opened_is_listed_and_tried_again_next_time(
    tmp_path: Path, class_folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders({"a": 3, "b": 3})
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == root / "a" / "001.png":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        rows = {row.file: row for row in read_dataset(root, Reading(cache=Cache(tmp_path / "cache"))).manifest}
    assert (rows["a/001.png"].status, str(rows["a/001.png"].reason)) == (
        "unusable",
        "can't be opened (Permission denied)",
    )
    assert statuses(read_dataset(root, Reading(cache=Cache(tmp_path / "cache"))))["a/001.png"] == "used"


def test_results_do_not_pile_up(
    tmp_path: Path, class_folders: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "_CHUNK", 2)
    root = class_folders({"a": 40, "b": 40}, size=(4, 4))
    cache = Cache(tmp_path / "cache")
    waiting, most = 0, 0
    array_store = cache.store("rows", (1,), "uint8")
    add = type(array_store.writer()).add

    def compute(image: Image.Image) -> np.ndarray:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        return np.array([1], np.uint8)

    def counted_add(self: object, key: str, row: np.ndarray) -> None:
        nonlocal waiting
        waiting -= row.shape == (1,)
        add(self, key, row)  # type: ignore[arg-type]

    monkeypatch.setattr(type(array_store.writer()), "add", counted_add)
    read_dataset(root, Reading(cache=cache, workers=2), products=[Product(array_store, compute)])
    assert most <= 2 * (2 * 2 + 2) + 2
    assert waiting == 0


def test_a_table_becomes_a_dataset_of_several_labels(tmp_path: Path) -> None:
    root = tmp_path / "posters"
    root.mkdir()
    contents = {name: encode(noise(seed)) for seed, name in enumerate("abcde")}
    contents |= {"copy": contents["a"], "other": contents["b"], "bad": b"<html>"}
    for name, content in contents.items():
        (root / f"{name}.png").write_bytes(content)
    table = "Id,Comedy,Drama,News,War\na,1,1,0,0\nb,1,0,0,0\nc,0,0,0,0\nd,0,1,0,0\ne,1,1,0,0\n"
    table += "copy,1,1,0,0\nother,0,0,0,0\nbad,1,0,1,0\n"
    (root / "train.csv").write_text(table, encoding="utf-8")
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache")))
    assert (dataset.task, dataset.classes, dataset.root) == ("multi-label", ("Comedy", "Drama"), root)
    assert {image.source.file: image.labels for image in dataset.images} == {
        "a.png": ("Comedy", "Drama"),
        "c.png": (),
        "d.png": ("Drama",),
        "e.png": ("Comedy", "Drama"),
    }
    rows = {row.file: (row.status, str(row.reason), row.lines) for row in dataset.manifest if row.status != "used"}
    assert rows == {
        "b.png": ("conflict", "the same bytes under 2 sets of labels: Comedy; no label", (3,)),
        "other.png": ("conflict", "the same bytes under 2 sets of labels: Comedy; no label", (8,)),
        "copy.png": ("duplicate", "the same bytes as a.png", (7,)),
        "bad.png": ("unusable", "an HTML page, not a picture", (9,)),
        "train.csv": ("ignored", "holds the labels", ()),
    }
    assert texts(dataset.notes)[2:] == (
        "label War is dropped: no picture has it",
        "label News is dropped: no usable picture has it",
    )
    assert read_dataset(root / "train.csv", Reading(cache=Cache(tmp_path / "cache"))) == dataset


def test_a_table_of_single_labels_still_needs_every_class(tmp_path: Path) -> None:
    for name, content in {"a": encode(noise(1)), "b": b"", "c": encode(noise(2))}.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    (tmp_path / "labels.tsv").write_text("file\tlabel\na.png\tx\nb.png\ty\nc.png\tx\n", encoding="utf-8")
    with raises(DataError, code="empty_class", naming="'y'"):
        read_dataset(tmp_path, Reading(cache=Cache(tmp_path / "cache")))


def test_options_for_a_table_reach_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for seed, name in enumerate("abc"):
        (root / f"{name}.png").write_bytes(encode(noise(seed)))
    text = "file,first,second\na.png,x,u\nb.png,y,v\nc.png,x,u\nd.png,x,u\ne.png,x,u\nf.png,x,u\n"
    (root / "labels.csv").write_text(text, encoding="utf-8")
    options = TableOptions(label_column="second")
    with raises(DataError, code="missing_images"):
        read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), table=options))
    dataset = read_dataset(root, Reading(cache=Cache(tmp_path / "cache"), table=options, allow_missing=True))
    assert dataset.classes == ("u", "v")
    assert [row.file for row in dataset.manifest if row.status == "missing"] == ["d.png", "e.png", "f.png"]
    assert survey(root, reading=Reading(table=options, allow_missing=True)).classes == ("u", "v")


def test_a_product_can_be_finished_in_batches(tmp_path: Path, class_folders: Callable[..., Path]) -> None:
    root, cache = class_folders({"a": 9, "b": 8}), Cache(tmp_path / "cache")
    batches: list[tuple[int, ...]] = []

    def means(pixels: np.ndarray) -> np.ndarray:
        batches.append(pixels.shape)
        return pixels.mean(axis=(1, 2), dtype=np.float32)

    product = Product(cache.store("means", (3,), "float32"), np.array, finish=means, batch_size=5)
    dataset = read_dataset(root, Reading(cache=cache, workers=2), products=[product])
    assert [shape[0] for shape in batches] == [5, 5, 5, 2]
    rows = product.store.rows([image.content for image in dataset.images]).take(np.arange(17))
    for image, row in zip(dataset.images, rows, strict=True):
        assert row == pytest.approx(np.array(Image.open(image.source.path)).mean(axis=(0, 1)), rel=1e-5)
    read_dataset(root, Reading(cache=cache), products=[product])
    assert len(batches) == 4


def test_large_jpegs_are_decoded_smaller_once_their_pixels_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "0.jpg").write_bytes(encode(noise(ord(label), (200, 160)), "JPEG"))
    seen: list[tuple[int, int]] = []
    decode = examining.decode

    def watch(*data: bytes, **options: object) -> object:
        decoded = decode(*data, **options)  # type: ignore[arg-type]
        seen.append(decoded.image.size)
        return decoded

    monkeypatch.setattr(examining, "decode", watch)
    cache = Cache(tmp_path / "cache")
    first = read_dataset(
        tmp_path / "data", Reading(cache=cache), products=[pixels_product(cache, ImageSpec(16, 16, 3))]
    )
    second = read_dataset(
        tmp_path / "data", Reading(cache=cache), products=[pixels_product(cache, ImageSpec(20, 20, 3))]
    )
    assert seen == [(200, 160)] * 2 + [(50, 40)] * 2
    assert first.images == second.images


def mean_product(cache: Cache) -> Product:
    return Product(cache.store("means", (1,), "float64"), lambda image: np.array([np.asarray(image).mean()]))


def means(product: Product, dataset: Dataset) -> list[float]:
    rows = product.store.rows([image.row_key for image in dataset.images])
    return [float(value) for value in rows.take(slice(None))[:, 0]]


def test_deep_images_are_scaled_by_the_range_of_all_of_them(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    product = mean_product(cache)
    write_image(tmp_path / "data/a/dim.png", np.full((8, 8), 819, np.uint16))
    write_image(tmp_path / "data/a/bright.png", np.full((8, 8), 4095, np.uint16))
    write_image(tmp_path / "data/b/plain.png", np.full((8, 8), 51, np.uint8))
    dataset = read_dataset(tmp_path / "data", Reading(cache=cache), products=[product])
    assert dataset.value_ranges == ValueRanges(unsigned=ValueRange(0.0, 4095.0))
    assert [image.source.value_range for image in dataset.images] == [ValueRange(0.0, 4095.0)] * 2 + [None]
    assert means(product, dataset) == [255.0, 51.0, 51.0]
    assert (
        "2 deep images (uint16): the value range 0 to 4095 is shown as black to white, as found in the data"
        in texts(dataset.notes)
    )


def test_two_data_sets_with_different_ranges_share_no_row(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    product = mean_product(cache)
    for name, other in (("ten", 1000), ("twelve", 4000)):
        write_image(tmp_path / name / "a/same.png", np.full((8, 8), 500, np.uint16))
        write_image(tmp_path / name / "b/other.png", np.full((8, 8), other, np.uint16))
    ten, twelve = (
        read_dataset(tmp_path / name, Reading(cache=cache), products=[product]) for name in ("ten", "twelve")
    )
    assert ten.images[0].content == twelve.images[0].content
    assert means(product, ten) == [125.0, 249.0]
    assert means(product, twelve) == [31.0, 249.0]


def test_deep_images_are_decoded_once_more_only_where_all_of_them_decide_what_is_computed(
    tmp_path: Path, decodings: list[int]
) -> None:
    cache = Cache(tmp_path / "cache")
    product = mean_product(cache)
    for at in range(3):
        write_image(tmp_path / f"data/{'ab'[at % 2]}/{at}.png", np.full((8, 8), 1000 + at, np.uint16))
    write_image(tmp_path / "data/b/plain.png", np.full((8, 8), 51, np.uint8))
    read_dataset(tmp_path / "data", Reading(cache=Cache(tmp_path / "other")))
    assert len(decodings) == 4
    read_dataset(tmp_path / "data", Reading(cache=cache), products=[product])
    assert len(decodings) == 4 + 4 + 3
    read_dataset(tmp_path / "data", Reading(cache=cache), products=[product])
    assert len(decodings) == 11
    given = ValueRanges(unsigned=ValueRange(0.0, 2000.0))
    read_dataset(tmp_path / "data", Reading(cache=cache, value_range=given), products=[product])
    assert len(decodings) == 11 + 3


def test_a_range_that_is_given_is_used_at_first_sight(tmp_path: Path, decodings: list[int]) -> None:
    cache = Cache(tmp_path / "cache")
    product = mean_product(cache)
    write_image(tmp_path / "data/a/1.png", np.full((8, 8), 1000, np.uint16))
    write_image(tmp_path / "data/b/2.tif", np.full((8, 8), 0.5, np.float32))
    given = ValueRanges(unsigned=ValueRange(0.0, 2000.0))
    dataset = read_dataset(tmp_path / "data", Reading(cache=cache, value_range=given), products=[product])
    assert len(decodings) == 2
    assert dataset.value_ranges == given
    assert means(product, dataset) == [128.0, 128.0]  # nothing is known of floats, so the image decides


def test_copies_of_deep_images_are_known_by_their_values_whatever_the_range(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    write_image(tmp_path / "data/a/1.png", values)
    write_image(tmp_path / "data/a/2.tif", values)
    write_image(tmp_path / "data/a/3.png", values + 1)  # the same 8 bits where white is 65535
    write_image(tmp_path / "data/b/4.png", values[::-1])
    for white in (65535.0, 100.0):
        given = ValueRanges(unsigned=ValueRange(0.0, white))
        dataset = read_dataset(tmp_path / "data", Reading(cache=Cache(tmp_path / "cache"), value_range=given))
        assert statuses(dataset) == {
            "a/1.png": "used",
            "a/2.tif": "duplicate",
            "a/3.png": "used",
            "b/4.png": "used",
        }


def test_small_faults_and_kinds_that_are_not_read_are_noted(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.png").write_bytes(encode(noise(ord(name))))
    (tmp_path / "data" / "a" / "cut.jpg").write_bytes(encode(noise(9, (40, 40)), "JPEG")[:-2])
    (tmp_path / "data" / "a" / "layers.psd").write_bytes(b"8BPS" + bytes(40))
    (tmp_path / "data" / "a" / "large.png").write_bytes(encode(noise(4, (50, 41))))
    for _ in range(2):  # the second time from the cache
        dataset = read_dataset(tmp_path / "data", Reading(cache=Cache(tmp_path / "cache"), max_pixels=2000))
        rows = {row.file: (row.status, row.notes) for row in dataset.manifest}
        assert rows["a/cut.jpg"] == ("used", ("missing-end-marker",))
        assert rows["a/layers.psd"] == ("unusable", ("unsupported",))
        assert rows["a/large.png"] == ("unusable", ("too-many-pixels",))
        assert rows["a/1.png"] == ("used", ())
        assert texts(dataset.notes) == (
            "files used in spite of a small fault: 1 without an end marker (the manifest names them)",
            "images of kinds that are not read, which need not be damaged: 1 PSD (see the manifest)",
        )
    with raises(UsageError, code="out_of_range", parameter="max_pixels"):
        read_dataset(tmp_path / "data", Reading(cache=Cache(tmp_path / "cache"), max_pixels=0))


def test_what_deep_images_hold_is_recalled_from_the_cache(tmp_path: Path, decodings: list[int]) -> None:
    cache = Cache(tmp_path / "cache")
    for at in range(2):
        values = np.linspace(0, 2 + at, 400).reshape(20, 20)
        values[0] = -7777
        write_image(tmp_path / f"data/{'ab'[at]}/{at}.tif", values.astype(np.float32))
    write_image(tmp_path / "data/b/empty.tif", np.full((20, 20), -7777, np.float32))
    first = read_dataset(tmp_path / "data", Reading(cache=cache))
    again = read_dataset(tmp_path / "data", Reading(cache=cache))
    assert len(decodings) == 3
    assert first.value_ranges == again.value_ranges
    assert texts(first.notes) == texts(again.notes)
    assert first.value_ranges.to_json() == {"floating": [pytest.approx(40 / 399), 3.0]}


def test_medians_and_color(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 3, "b": 2}, size=(30, 20))
    (root / "a" / "odd.png").write_bytes(encode(noise(1, (300, 200))))
    (root / "b" / "page.html").write_bytes(b"<html>")
    assert survey(root) == Survey(note("class-folders"), ("a", "b"), 7, height=20, width=30, gray=False)


def test_all_gray(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encode(noise(ord(name), channels=1)))
    assert survey(tmp_path).gray


def test_the_sample_is_spread_over_the_classes(class_folders: Callable[..., Path]) -> None:
    root = class_folders({"a": 40}, size=(10, 10))
    class_folders({"b": 4}, size=(90, 90))
    assert survey(root, limit=9).width in {10, 90}
    assert survey(root, limit=8).width == 50


def test_idx_files(idx_folder: Callable[..., Path]) -> None:
    found = survey(idx_folder())
    assert (found.layout.code, found.count, found.height, found.width, found.gray) == ("idx-files", 42, 6, 5, True)


def test_no_image_at_all(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"text")
    with raises(DataError, code="no_images"):
        survey(tmp_path)
