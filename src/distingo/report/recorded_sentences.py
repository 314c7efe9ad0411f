"""The patterns of what other rooms write into a run folder for a person: notes, choices, reasons and layouts.

A place is ``%(name)s``; one whose name begins with ``said`` holds another sentence of this list.

Sentences that other commands wrote into the run folder, in the language of the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from distingo.language import current_language, gettext
from distingo.report.text.wording import count


def marked(message: str) -> str:
    """Mark a sentence for the catalogues; it is translated where it is shown."""
    return message


RECORDED: Final[tuple[str, ...]] = (
    # layouts
    marked("class folders"),
    marked("split folders"),
    marked("one class folder"),
    marked("split folders, labels from %(tables)s"),
    marked("IDX files"),
    marked("%(table)s, one 0/1 column per label"),
    marked("%(table)s, a list of labels per row"),
    marked("%(table)s, labels joined by %(delimiter)s"),
    marked("%(table)s, one row per picture and label"),
    marked("%(table)s, one label per row"),
    # choices of a recipe
    marked("model: %(model)s, because no --model was given and %(said)s"),
    marked("the median picture is %(size)s, too small for pretrained backbones"),
    marked("the pretrained weights of %(model)s could not be had (%(error)s)"),
    marked("pictures are large enough for a pretrained backbone, and its weights can be had"),
    marked("image size: %(size)s (height x width), because %(said)s"),
    marked("published with it"),
    marked("the median picture is %(size)s"),
    marked("channels: 1, because all pictures are grey"),
    marked("channels: 3, because there is colour"),
    marked("not used: %(options)s, because a frozen backbone is not trained by steps"),
    marked("not used: %(options)s, because %(model)s is not trained by steps"),
    marked("batch size: %(size)s, because --batch-size auto was given and %(said)s"),
    marked("more is of no use"),
    marked("more would leave an epoch fewer than %(steps)s steps"),
    marked("twice as many would not fit into %(memory)s GiB with certainty"),
    marked("%(device)s does not say how much memory it has"),
    marked(
        "learning rate: %(found)s instead of %(usual)s, because a batch has %(size)s images instead of %(usual_size)s"
    ),
    marked("pretrained weights: %(source)s, licence %(licence)s; it sees %(size)s (height x width)"),
    marked("precision: %(precision)s on %(device)s, because %(said)s"),
    marked("it was asked for"),
    marked("this GPU computes in it"),
    marked("this GPU does not compute in bfloat16"),
    marked("bfloat16 is not relied on for %(device)s"),
    marked("this processor computes in it (%(flag)s)"),
    marked("this processor has neither %(first)s nor %(second)s"),
    # files
    marked("files used in spite of a small fault: %(kinds)s (the manifest names them)"),
    marked("images of kinds that are not read, which need not be damaged: %(kinds)s (see the manifest)"),
    marked("%(count)s of %(total)s labels are on all training pictures or on none and cannot be learned"),
    # sides
    marked("class %(name)s has no validation picture, as it has only 2 to divide"),
    marked("class %(name)s has no train picture"),
    marked("class %(name)s has no validation picture"),
    marked("class %(name)s has no test picture"),
    marked("label %(name)s has no train picture"),
    marked("label %(name)s has no validation picture"),
    marked("label %(name)s has no test picture"),
    marked("label %(name)s (1 picture) has none on the %(said)s side"),
    marked("label %(name)s (%(count)s pictures) has none on the %(said)s side"),
    marked("train"),
    marked("validation"),
    marked("test"),
    marked("%(said_first)s and %(said_last)s"),
    marked("split: as %(file)s says"),
    marked("fold %(fold)s of %(folds)s of %(file)s is the test side"),
    # near-duplicates
    marked("near-duplicates were not searched for, as it was asked for"),
    marked("near-duplicates were not searched for, as the images are smaller than %(side)s pixels"),
    marked(
        "near-duplicates were searched for among %(count)s images, turned and mirrored too, from a similarity of "
        "%(similarity)s on; pairs: %(pairs)s, groups: %(groups)s, images in the largest group: %(largest)s"
    ),
    marked("not searched for near-duplicates, as smaller than %(side)s pixels: %(count)s of %(total)s images"),
    marked("to keep near-duplicates on one split, so many images changed their split: %(count)s"),
    marked("each group of near-duplicates is on one split, for which so many images were moved: %(count)s"),
    marked("near-duplicates under two classes: %(count)s pairs; `distingo check DATA` shows them"),
    marked(
        "groups of near-duplicates divided image by image, as they are too large to be kept on one split: %(count)s; "
        "their scores flatter"
    ),
    marked("near-duplicates on two splits, which flatters the scores: %(count)s pairs"),
    marked(
        "near-duplicates on two splits, which flatters the scores: %(count)s pairs; the data came so, and `distingo "
        "split DATA --resplit` makes a split file that keeps them together"
    ),
    marked(
        "near-duplicates on two splits, which flatters the scores: %(count)s pairs; the split file says so, and "
        "`distingo split DATA` makes one that keeps them together"
    ),
    # tables and classes
    marked("1 deep image (%(types)s): the value range %(black)s to %(white)s is shown as black to white, %(said)s"),
    marked(
        "%(count)s deep images (%(types)s): the value range %(black)s to %(white)s is shown as black to white, %(said)s"
    ),
    marked("as found in the data"),
    marked("as given"),
    marked("1 deep image (%(types)s): the value range is not known, so each image is scaled by itself"),
    marked("%(count)s deep images (%(types)s): the value range is not known, so each image is scaled by itself"),
    marked(
        "of %(count)s deep images %(beyond)s have values far outside the value range %(black)s to %(white)s, which are "
        "clipped: check that their units are those of the range"
    ),
    marked("class %(name)s is dropped: no usable picture has it"),
    marked("label %(name)s is dropped: no usable picture has it"),
    marked("label %(name)s is dropped: no picture has it"),
    marked("the labels are the folders' names; %(tables)s is not read (give it as DATA for the labels in it)"),
    marked(
        "the labels are the folders' names; column %(column)s of %(table)s says which pictures belong together%(rest)s"
    ),
    marked("class folders: those in %(folder)s, the only folder with images"),
    marked("split folders: %(folders)s"),
    marked("split folders inside of class folders: %(folders)s"),
    marked("no folder is the test split; training cuts it from the train split"),
    marked("not read, because beside the split folders: %(folders)s (1 file)"),
    marked("not read, because beside the split folders: %(folders)s (%(count)s files)"),
    marked("not used: 1 image without a label in %(folder)s"),
    marked("not used: %(count)s images without a label in %(folder)s"),
    marked("1 folder can't be opened, and no file in there is known: %(folders)s"),
    marked("%(count)s folders can't be opened, and no file in there is known: %(folders)s"),
    marked(
        "the labels are the folders' names: %(table)s has no label column (%(columns)s; --label-column NAME would take "
        "them from it)"
    ),
    marked(
        "the labels are the folders' names: %(table)s has no label column (--label-column NAME would take them from it)"
    ),
    marked(
        "the labels are column %(column)s of %(table)s, not the folders' names (--labels-from folders would take those)"
    ),
    marked("the splits are column %(column)s of %(table)s"),
    marked("%(table)s was read as %(form)s; %(said)s: pictures from column %(column)s, labels from %(labels)s"),
    marked("one 0/1 column per label"),
    marked("a list of labels per row"),
    marked("labels joined by %(delimiter)s"),
    marked("one row per picture and label"),
    marked("one label per row"),
    marked("the task is single-label: each of %(count)s pictures has one label"),
    marked("the task is multi-label: of %(count)s pictures %(several)s have several labels and %(none)s have none"),
    marked("the 0/1 columns %(columns)s are not read as labels; --label-columns would do so"),
    marked("1 line repeat an earlier one and agree with it"),
    marked("%(count)s lines repeat an earlier one and agree with it"),
    marked("%(count)s rows repeat an earlier one and agree with it"),
    marked("%(count)s of %(total)s pictures that %(table)s names are missing"),
    marked(
        "%(count)s of %(total)s pictures that %(table)s names are left out: contradicting rows, or a name that fits "
        "several files"
    ),
    marked("%(count)s of %(total)s pictures that %(table)s names are left out: no label that can be told"),
    marked("%(count)s entries repeat an earlier one and agree with it"),
    marked("paths under %(prefix)s were read under %(folder)s: %(found)s of %(total)s are there"),
    marked("relative paths were read under %(folder)s: %(found)s of %(total)s are there"),
    marked(
        "names without folders were looked up in %(folder)s only: %(found)s of %(total)s are there, and other folders "
        "have %(elsewhere)s files of these names too"
    ),
    marked("%(count)s names fit only with other upper and lower case (first: %(name)s is read as %(file)s)"),
    marked(
        "%(count)s names fit only without their percent signs, quotes or slashes (first: %(name)s is read as %(file)s)"
    ),
    marked("labels that differ only in %(kind)s: %(labels)s %(unit)s; --merge-labels spelling makes them one"),
    marked("labels that differ only in %(kind)s are merged into %(label)s: %(labels)s %(unit)s"),
    marked(
        "labels that may mean no value are classes: %(labels)s %(unit)s; --merge-labels missing makes them no label"
    ),
    marked("labels that mean no value are no label: %(labels)s %(unit)s"),
    marked("the numbers of classes are named by %(file)s: %(number)s is %(name)s"),
    marked(
        "labels stay numbers: %(file)s has more names than there are numbers; --class-names %(again)s takes its first "
        "name for 0"
    ),
    marked("lies in folder %(folder)s, which means no label"),
    # evaluations
    marked("judged on the test side of %(data)s"),
    marked("judged on all pictures of %(data)s"),
    marked(
        "%(count)s of these %(total)s pictures are among those that the model was trained or chosen on, which "
        "flatters it"
    ),
    marked("%(file)s is honoured: %(count)s pictures are relabelled or set aside there"),
    marked(
        "no picture shows %(names)s, which the model predicted: precision, recall and F1 (macro) count each as 0, "
        "balanced accuracy leaves it out"
    ),
    marked("%(count)s of %(total)s pictures have no label"),
    # thresholds
    marked("no thresholds were chosen"),
    marked("no validation picture has a label: every threshold is 0.5"),
    marked("%(names)s: no validation picture has the label, so it gets the labels' median threshold"),
    marked("%(names)s: fewer than %(few)s validation pictures have the label, so it mostly follows the other labels"),
    marked("%(names)s: no threshold reaches a precision of %(wanted)s on validation"),
    # files left out
    marked("unusable"),
    marked("conflict"),
    marked("missing"),
    marked("duplicate"),
    marked("ignored"),
    marked("not a picture in a known format"),
    marked("a truncated %(format)s file: it breaks off before the picture is complete"),
    marked("a damaged %(format)s file"),
    marked("a damaged %(format)s file (%(error)s)"),
    marked("a %(format)s file without any pixels"),
    marked("can't be opened (%(error)s)"),
    marked("needs more memory than there is"),
    marked("more than the %(limit)s pixels that can be decoded"),
    marked("%(width)s x %(height)s pixels are more than the limit of %(limit)s"),
    marked("the same bytes as %(file)s"),
    marked("the same pixels as %(file)s"),
    marked("the same bytes under %(count)s classes: %(names)s"),
    marked("the same pixels under %(count)s classes: %(names)s"),
    marked("the same bytes under %(count)s sets of labels: %(names)s"),
    marked("the same pixels under %(count)s sets of labels: %(names)s"),
    marked("a link that leads back to a folder above it"),
    marked("in a hidden folder"),
    marked("a folder that can't be opened (%(error)s)"),
    marked("a hidden file"),
    marked("a link that leads nowhere"),
    marked("not a regular file"),
    marked("lies outside train, validation and test"),
    marked("lies in no class folder"),
    marked("gives no labels"),
    marked("not one of the IDX files in use"),
    marked("the packed form of %(file)s"),
    marked("holds the labels of %(file)s"),
    marked("holds corrections"),
    marked("says where corrected pictures come from"),
    marked("set aside by line %(line)s of %(file)s"),
    marked("set aside by line %(line)s of %(file)s (%(kinds)s)"),
    marked("no row of %(table)s names it"),
    marked("%(table)s names it, but there is no such file"),
    marked("%(table)s names it, but it is in %(folder)s only, not where nearly all others are"),
    marked("%(said_place)s of %(table)s names no picture"),
    marked("%(said_place)s gives it no label"),
    marked("may mean %(names)s; write more of the path, or the ending"),
    marked("an empty file"),
    marked("an HTML page, not a picture"),
    marked("an SVG drawing; only pictures made of pixels can be used"),
    marked("an XML file, not a picture"),
    marked("a JSON file, not a picture"),
    marked("a text file, not a picture"),
    marked("a PDF document, not a picture"),
    marked("a Photoshop document; save it as PNG or TIFF"),
    marked("a ZIP archive (or an Office document), not a picture; unpack it"),
    marked("a gzip archive, not a picture; unpack it"),
    marked("an MP4 video, not a picture"),
    marked("an AVI video, not a picture"),
    marked("a WAV sound, not a picture"),
    marked("a video, not a picture"),
    marked("a PostScript document, not a picture"),
    marked("a Git LFS pointer; run 'git lfs pull' to get the picture itself"),
    marked("a table, not a picture"),
    marked("pictures without classes"),
    marked("holds the labels"),
    marked("%(table)s may mean this file by %(name)s, or another"),
    marked("lies outside the image folder %(folder)s"),
    marked("line %(number)s"),
    marked("entry %(number)s"),
    marked("row %(number)s"),
    marked("%(said_place)s says %(value)s for %(column)s, neither 0 nor 1"),
    marked("%(said_place)s says no label"),
    marked("%(said_place)s says %(labels)s"),
    marked("%(said_place)s puts it on the %(said_side)s side"),
    marked("the corrections can't be compared with those of the earlier run (%(error)s)"),
    marked("the corrections have changed since the earlier run: %(before)s then, %(now)s now"),
    marked("%(file)s: 1 picture relabelled, %(aside)s set aside"),
    marked("%(file)s: 1 picture relabelled, %(aside)s set aside, %(kept)s kept"),
    marked("%(file)s: %(count)s pictures relabelled, %(aside)s set aside"),
    marked("%(file)s: %(count)s pictures relabelled, %(aside)s set aside, %(kept)s kept"),
    marked("%(file)s: 1 correction is not applied, as the file has changed since (first: %(said_place)s, %(first)s)"),
    marked(
        "%(file)s: %(count)s corrections are not applied, as the file has changed since (first: %(said_place)s, "
        "%(first)s)"
    ),
    marked("%(file)s: 1 correction is about files that are not there (first: %(said_place)s, %(first)s)"),
    marked("%(file)s: %(count)s corrections are about files that are not there (first: %(said_place)s, %(first)s)"),
    marked("%(file)s: %(name)s becomes a class, which no other picture has (1 picture)"),
    marked("%(file)s: %(name)s becomes a class, which no other picture has (%(count)s pictures)"),
    marked("%(file)s: %(name)s becomes a class, which no other picture has (1 picture); did you mean %(near)s?"),
    marked(
        "%(file)s: %(name)s becomes a class, which no other picture has (%(count)s pictures); did you mean %(near)s?"
    ),
    marked("%(file)s: leaves %(name)s without a picture"),
)

_PLACE = re.compile(r"%\((\w+)\)s")

_WHOLE_NUMBER = re.compile(r"\d+|\d{1,3}(,\d{3})+")


def recorded(sentence: str) -> str:
    """A sentence of a run folder's files as the page says it.

    The files of a run are in English, whatever language its pages are in. A sentence that is known by its pattern is
    translated; what stands in its places (names of classes and files, figures) stays as it is, but for thousands.
    One that is not known stays in English.

    Args:
        sentence: As it was recorded.
    """
    if current_language() == "en":
        return sentence
    return _translated(sentence) or sentence


def is_known(sentence: str) -> bool:
    """Whether a recorded sentence has a pattern here, and so a translation."""
    return _find(sentence) is not None


def _translated(sentence: str) -> str | None:
    found = _find(sentence)
    if found is None:
        return None
    message, values = found
    return gettext(message, **{name: _value(name, value) for name, value in values.items()})


def _value(name: str, value: str) -> str:
    if name.startswith("said"):  # a sentence inside a sentence
        return recorded(value)
    return count(int(value.replace(",", ""))) if _WHOLE_NUMBER.fullmatch(value) else value


def _find(sentence: str) -> tuple[str, dict[str, str]] | None:
    for message, pattern in _patterns(RECORDED):
        match = pattern.fullmatch(sentence)
        if match and all(is_known(value) for name, value in match.groupdict().items() if name.startswith("said")):
            return message, match.groupdict()
    return None


@cache
def _patterns(messages: Sequence[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The patterns, those with most words of their own first."""
    ranked = sorted(messages, key=lambda message: -len(_PLACE.sub("", message)))
    return tuple((message, _pattern(message)) for message in ranked)


def _pattern(message: str) -> re.Pattern[str]:
    pieces = _PLACE.split(message)
    parts = [f"(?P<{piece}>.+?)" if at % 2 else re.escape(piece.replace("%%", "%")) for at, piece in enumerate(pieces)]
    return re.compile("".join(parts), re.DOTALL)
