from __future__ import annotations

from pathlib import Path

from distingo.download.imagenet import ARCHIVES
from distingo.download.open_images_tables import OPEN_IMAGES_SPLITS, OpenImagesAddresses

SOURCES = Path(__file__).resolve().parents[2] / "docs" / "sources.md"


def test_every_address_that_is_asked_stands_in_the_documentation() -> None:
    documented = SOURCES.read_text(encoding="utf-8")
    addresses = OpenImagesAddresses()
    tables = {addresses.classes(boxable=boxable) for boxable in (True, False)}
    for split in OPEN_IMAGES_SPLITS:
        tables |= {addresses.labels(split), addresses.boxes(split)}
        tables |= {addresses.images(split, boxable=boxable) for boxable in (True, False)}
    assert len(tables) == 12
    assert f"<{addresses.tables}/>" in documented
    short = {table: table.removeprefix(f"{addresses.tables}/") for table in tables}
    for split in ("val", "test"):  # written as `-val-`, `-test-` after the first
        assert f"`-{split}-`" in documented
        short = {table: path for table, path in short.items() if f"oidv7-{split}-annotations" not in path}
    for path in short.values():
        assert f"`{path}`" in documented
    assert addresses.picture("test", "ID").replace("/test/", "/SPLIT/") in documented
    assert f"{ARCHIVES}/WNID.tar" in documented
