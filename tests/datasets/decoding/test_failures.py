"""Complaints of decoders: with the image, not on the terminal."""

from __future__ import annotations

import csv
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from drawing import encode, noise

from distingo.datasets.decoding.failures import complaints_of_decoding


def _damaged_tiff() -> bytes:
    """A fax, which libtiff reads, with codes that there are none of: it complains and gives an image."""
    data = bytearray(encode(noise(5, (64, 64)).convert("1"), "TIFF", compression="group4"))
    data[40:140] = bytes(100)
    return bytes(data)


def test_what_packages_log_is_gathered_in_its_thread(capfd: pytest.CaptureFixture[str]) -> None:
    with complaints_of_decoding() as complaints:
        logging.getLogger("tifffile").warning("odd  %s", "tag")
        logging.getLogger("tifffile").warning("odd  %s", "tag")
        logging.getLogger("PIL.TiffImagePlugin").error("more")
        logging.getLogger("tifffile").info("nothing")
    assert complaints == ["odd tag", "more"]
    logging.getLogger("tifffile").warning("nobody listens")
    assert capfd.readouterr().err == ""


def test_a_library_of_c_that_writes_to_standard_error_is_caught_in_a_command(tmp_path: Path) -> None:
    for name, color in (("a", 1), ("b", 2)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "data" / name / f"{number}.png").write_bytes(encode(noise(10 * color + number, (32, 32))))
    (tmp_path / "data" / "a" / "bad.tif").write_bytes(_damaged_tiff())
    program = (
        "import sys, os, logging; from distingo.cli.terminal import prepare; prepare(networks=False);"
        "from pathlib import Path; import distingo; from distingo.runs.data import write_manifest;"
        "dataset = distingo.inspect(sys.argv[1]); logging.getLogger('distingo').info('heard after');"
        "write_manifest(dataset.manifest, Path(sys.argv[2])); os.write(2, b'and from C\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data"), str(tmp_path / "manifest.csv")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DISTINGO_CACHE": str(tmp_path / "cache")},
    )
    assert done.stderr == "heard after\nand from C\n"
    rows = {row["file"]: row for row in csv.DictReader((tmp_path / "manifest.csv").open(encoding="utf-8"))}
    assert (rows["a/bad.tif"]["status"], rows["a/bad.tif"]["notes"]) == ("used", "decoder-warning")
    assert rows["a/bad.tif"]["reason"] == "used-despite"
    assert "Fax4Decode: Bad code word at line 0 of strip 0 (x 76)." in rows["a/bad.tif"]["values"]
    assert rows["a/0.png"]["reason"] == rows["a/0.png"]["notes"] == ""
