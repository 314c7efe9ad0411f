"""Messages about files that are not used or have a fault: the reasons in ``manifest.csv`` and of failed predictions."""

from __future__ import annotations

from typing import Final

from distingo.messages.notes import Sentence, both, either, joined, plain, quoted, says

REASONS: Final[dict[str, Sentence]] = {
    # used in spite of a fault
    "used-despite": Sentence("%(faults)s", shows={"faults": joined}),
    "missing-end-marker": says("used: all its pixels are there, only the marker that ends the file is missing"),
    "profile-ignored": says("used: its color profile is broken or for another kind of image, and is ignored"),
    "decoder-warning": says("used, though the decoder complained"),
    # not decodable
    "with-complaints": says("%(reason)s; its decoder: %(complaints)s", complaints=joined),
    "unknown-format": says("not a picture in a known format"),
    "truncated": says("a truncated %(format)s file: it breaks off before the picture is complete"),
    "damaged": says("a damaged %(format)s file"),
    "damaged-because": says("a damaged %(format)s file (%(error)s)"),
    "no-pixels": says("a %(format)s file without any pixels"),
    "no-finite-value": says("none of its values is a finite number"),
    "unopened-file": says("can't be opened (%(error)s)"),
    "changed-while-read": says("changed while it was being read; run the same command again"),
    "out-of-memory": says("needs more memory than there is"),
    "no-such-entry": says("%(file)s: the file holds %(count)s pictures only", count=plain),
    # over the pixel limit
    "too-many-pixels": says(
        "%(width)s x %(height)s pixels are more than the limit of %(limit)s", width=plain, height=plain
    ),
    "too-many-pixels-to-decode": says("more than the %(limit)s pixels that can be decoded"),
    "too-many-pixels-inside": says(
        "holds an image of %(width)s x %(height)s pixels, more than the limit of %(limit)s", width=plain, height=plain
    ),
    "too-many-pixels-in-a-part": says(
        "%(width)s x %(height)s pixels in one strip or tile are more than the limit of %(limit)s",
        width=plain,
        height=plain,
    ),
    "too-much-memory": says(
        "%(width)s x %(height)s pixels take as much memory to decode as %(counted)s pixels of an ordinary file, more "
        "than the limit of %(limit)s",
        width=plain,
        height=plain,
    ),
    "too-much-memory-of-tiff": says(
        "%(width)s x %(height)s pixels (%(samples)s) take as much memory to decode as %(counted)s pixels, more than "
        "the limit of %(limit)s",
        width=plain,
        height=plain,
    ),
    # of a kind that is not read
    "unsupported-tiff": says("a TIFF with %(feature)s, which distingo does not read; save it as PNG"),
    "unsupported-tiff-raw": says(
        "a TIFF with %(feature)s, which distingo does not read; develop it and save it as PNG"
    ),
    "unsupported-tiff-slices": says(
        "a TIFF with %(count)s slices, which distingo does not read; save the slices as images of their own"
    ),
    "unsupported-sgi": says("an SGI image of 16 bits per color; save it as PNG or TIFF"),
    "unsupported-jpeg-2000": says("a JPEG 2000 file of %(count)s bands; save those that count as TIFF", count=plain),
    "unsupported-lossless-jpeg": says("a lossless JPEG, as medical and raw files hold; save it as PNG or TIFF"),
    "needs-tifffile": says(
        "a TIFF of %(samples)s samples, which takes tifffile and imagecodecs to read: run pip install "
        "'distingo-runtime[tiff]' (or pip install tifffile imagecodecs)"
    ),
    "needs-imagecodecs": says(
        "%(kind)s needs imagecodecs, which is not installed; pip install 'distingo-runtime[tiff]'"
    ),
    "svg": says("an SVG drawing; only pictures made of pixels can be used"),
    "pdf": says("a PDF document, not a picture; save its pages as PNG"),
    "postscript": says("a PostScript document, not a picture; save it as PNG"),
    "wmf": says("a Windows metafile (WMF), a drawing; save it as PNG"),
    "emf": says("a Windows metafile (EMF), a drawing; save it as PNG"),
    "psd": says("a Photoshop document; save it as PNG or TIFF"),
    "xcf": says("a GIMP document (XCF); export it as PNG or TIFF"),
    "openexr": says("an OpenEXR image of scene light; tone-map it and save it as PNG or TIFF"),
    "radiance-hdr": says("a Radiance HDR image of scene light; tone-map it and save it as PNG or TIFF"),
    "fits": says("a FITS file; save its image as TIFF"),
    "dicom": says("a DICOM file; save its image as PNG or TIFF (dcm2img, pydicom)"),
    "jpeg-xr": says("a JPEG XR image; save it as PNG or TIFF"),
    "camera-raw": says("a raw file of a camera; develop it and save it as JPEG, PNG or TIFF"),
    "bpg": says("a BPG image; save it as PNG"),
    "flif": says("a FLIF image; save it as PNG"),
    "djvu": says("a DjVu document; save its pages as PNG"),
    "sun-raster": says("a Sun raster image; save it as PNG"),
    "ktx": says("a KTX texture; save it as PNG"),
    "numpy-array": says("a NumPy array; save it as PNG or TIFF"),
    "hdf5": says("an HDF5 file; save its images as PNG or TIFF"),
    # no image
    "empty": says("an empty file"),
    "zero-bytes": says("only zero bytes, as after an interrupted copy or a power cut; copy it anew"),
    "html": says("an HTML page, not a picture"),
    "xml": says("an XML file, not a picture"),
    "json": says("a JSON file, not a picture"),
    "plain-text": says("a text file, not a picture"),
    "zip": says("a ZIP archive (or an Office document), not a picture; unpack it"),
    "gzip": says("a gzip archive, not a picture; unpack it"),
    "rar": says("a RAR archive, not a picture; unpack it"),
    "7z": says("a 7z archive, not a picture; unpack it"),
    "xz": says("an xz archive, not a picture; unpack it"),
    "mp4": says("an MP4 video, not a picture"),
    "avi": says("an AVI video, not a picture"),
    "wav": says("a WAV sound, not a picture"),
    "webm": says("a video, not a picture"),
    "appledouble": says("what macOS keeps beside a file (._NAME), not a picture"),
    "git-lfs-pointer": says("a Git LFS pointer; run 'git lfs pull' to get the picture itself"),
    # copies and contradictions
    "same-bytes": says("the same bytes as %(file)s"),
    "same-pixels": says("the same pixels as %(file)s"),
    "same-bytes-other-classes": says("the same bytes under %(count)s classes: %(names)s", names=joined),
    "same-pixels-other-classes": says("the same pixels under %(count)s classes: %(names)s", names=joined),
    "same-bytes-other-labels": says("the same bytes under %(count)s sets of labels: %(names)s", names=joined),
    "same-pixels-other-labels": says("the same pixels under %(count)s sets of labels: %(names)s", names=joined),
    # files that can't be images of the data set
    "link-in-a-circle": says("a link that leads back to a folder above it"),
    "link-to-nowhere": says("a link that leads nowhere"),
    "in-hidden-folder": says("in a hidden folder"),
    "in-check-folder": says("in a folder that `distingo check` wrote"),
    "in-run-folder": says("in a run folder of distingo's"),
    "unopened-folder": says("a folder that can't be opened (%(error)s)"),
    "hidden-file": says("a hidden file"),
    "no-regular-file": says("not a regular file"),
    "outside-splits": says("lies outside train, validation and test"),
    "outside-classes": says("lies in no class folder"),
    "outside-image-folder": says("lies outside the image folder %(folder)s"),
    "in-folder-without-label": says("lies in folder %(folder)s, which means no label"),
    "a-table": says("a table, not a picture"),
    "gives-no-labels": says("gives no labels"),
    "unused-idx-file": says("not one of the IDX files in use"),
    "packed-form": says("the packed form of %(file)s"),
    "holds-labels-of": says("holds the labels of %(file)s"),
    "holds-labels": says("holds the labels"),
    # distingo's own files
    "holds-corrections": says("holds corrections"),
    "holds-provenance": says("says where corrected pictures come from"),
    "kept-by-download": says("kept by `distingo download`"),
    "holds-labels-of-download": says("holds the labels that `distingo download` wrote"),
    # corrections
    "set-aside": says("set aside by line %(line)s of %(file)s", line=plain),
    "set-aside-for": says("set aside by line %(line)s of %(file)s (%(kinds)s)", line=plain),
    # rows of a table
    "line": says("line %(number)s", number=plain),
    "entry": says("entry %(number)s", number=plain),
    "row": says("row %(number)s", number=plain),
    "not-named": says("no row of %(table)s names it"),
    "no-such-file": says("%(table)s names it, but there is no such file"),
    "elsewhere-only": says("%(table)s names it, but it is in %(folder)s only, not where nearly all others are"),
    "names-nothing": says("%(said_place)s of %(table)s names no picture"),
    "no-label": says("%(said_place)s gives it no label"),
    "ambiguous-name": says("may mean %(names)s; write more of the path, or the ending", names=either),
    "ambiguous-name-of-many": says(
        "may mean %(names)s (%(count)s files); write more of the path, or the ending", names=either
    ),
    "maybe-named": says("%(table)s may mean this file by %(name)s, or another", name=quoted),
    "neither-0-nor-1": says("%(said_place)s says %(value)s for %(column)s, neither 0 nor 1", value=quoted),
    "contradicting-rows": Sentence("%(rows)s", shows={"rows": both}),
    "row-without-label": says("%(said_place)s says no label"),
    "row-with-labels": says("%(said_place)s says %(labels)s"),
    "row-with-side": says("%(said_place)s puts it on the %(said_side)s split"),
    # statuses
    "unusable": says("unusable"),
    "conflict": says("conflict"),
    "missing": says("missing"),
    "duplicate": says("duplicate"),
    "ignored": says("ignored"),
    # the three splits
    "train": says("train"),
    "validation": says("validation"),
    "test": says("test"),
}
"""Messages by code, including those that are parts of other messages."""
