"""Messages about data sets: layout, tables, labels, splits, value ranges and corrections."""

from __future__ import annotations

from typing import Final

from distingo.messages.notes import Sentence, either, joined, plain, quoted, says, says_count

DATA: Final[dict[str, Sentence]] = {
    # layouts
    "class-folders": says("class folders"),
    "split-folders": says("split folders"),
    "one-class-folder": says("one class folder"),
    "split-folders-with-tables": says("split folders, labels from %(tables)s"),
    "idx-files": says("IDX files"),
    "images-without-classes": says("pictures without classes"),
    "images-in-memory": says("images in memory"),
    "table-of-switches": says("%(table)s, one 0/1 column per label"),
    "table-of-lists": says("%(table)s, a list of labels per row"),
    "table-of-joined-labels": says("%(table)s, labels joined by %(delimiter)s"),
    "table-of-labels": says("%(table)s, one row per picture and label"),
    "table-of-images": says("%(table)s, one label per row"),
    "switches": says("one 0/1 column per label"),
    "lists": says("a list of labels per row"),
    "joined-labels": says("labels joined by %(delimiter)s"),
    "row-per-label": says("one row per picture and label"),
    "row-per-image": says("one label per row"),
    # folders
    "wrapped-class-folders": says("class folders: those in %(folder)s, the only folder with images"),
    "split-folders-are": says("split folders: %(folders)s"),
    "split-folders-inside": says("split folders inside of class folders: %(folders)s"),
    "folder-of-split": says("%(folder)s (%(split)s)"),
    "no-test-folder": says("no folder is the test split; training cuts it from the train split"),
    "not-read-beside-splits": says_count(
        "not read, because beside the split folders: %(folders)s (%(count)s file)",
        "not read, because beside the split folders: %(folders)s (%(count)s files)",
    ),
    "unlabelled-folder": says_count(
        "not used: %(count)s image without a label in %(folder)s",
        "not used: %(count)s images without a label in %(folder)s",
    ),
    "unopened-folders": says_count(
        "%(count)s folder can't be opened, and no file in there is known: %(folders)s",
        "%(count)s folders can't be opened, and no file in there is known: %(folders)s",
    ),
    "of-folder": says("%(folder)s: %(note)s"),
    "tables-not-read": says(
        "the labels are the folders' names; %(tables)s is not read (give it as DATA for the labels in it)"
    ),
    "table-without-labels": says(
        "the labels are the folders' names: %(table)s has no label column (--label-column NAME would take them from it)"
    ),
    "table-without-label-column": says(
        "the labels are the folders' names: %(table)s has no label column (%(columns)s; --label-column NAME would take "
        "them from it)"
    ),
    "labels-from-table": says(
        "the labels are column %(column)s of %(table)s, not the folders' names (--labels-from folders would take "
        "those)",
        column=quoted,
    ),
    "labels-from-switches": says(
        "the labels are the columns of 0 and 1 of %(table)s, not the folders' names (--labels-from folders would take "
        "those)"
    ),
    "splits-from-column": says("the splits are column %(column)s of %(table)s", column=quoted),
    "groups-from-column": says(
        "the labels are the folders' names; column %(column)s of %(table)s says which pictures belong together%(rest)s",
        column=quoted,
    ),
    "groups-incomplete": says("; %(gaps)s", gaps=joined),
    "images-without-group": says("%(count)s pictures have no group there"),
    "rows-without-image": says("%(count)s rows name no picture, or several"),
    # tables
    "table-recognised": says(
        "%(table)s was read as %(form)s; %(said)s: pictures from column %(column)s, labels from %(labels)s",
        column=quoted,
        labels=quoted,
    ),
    "columns-from-to": says("%(count)s columns from %(first)s to %(last)s", count=plain, first=quoted, last=quoted),
    "labels-and-sides": says("%(labels)s, splits from %(column)s", labels=quoted, column=quoted),
    "single-label-task": says("the task is single-label: each of %(count)s pictures has one label"),
    "multi-label-task": says(
        "the task is multi-label: of %(count)s pictures %(several)s have several labels and %(none)s have none"
    ),
    "unused-switches": says("the 0/1 columns %(columns)s are not read as labels; --label-columns would do so"),
    "label-without-image": says("label %(name)s is dropped: no picture has it"),
    "commas": says("commas"),
    "spaces": says("spaces"),
    "tabs": says("tabs"),
    "columns-disagree": says(
        "%(column)s and the 0/1 columns disagree in %(rows)s (first: %(said_place)s); the 0/1 columns count",
        column=quoted,
    ),
    "lines": says_count("%(count)s line", "%(count)s lines"),
    "entries": says_count("%(count)s entry", "%(count)s entries"),
    "rows": says_count("%(count)s row", "%(count)s rows"),
    "lines-repeated": says_count(
        "%(count)s line repeats an earlier one and agrees with it",
        "%(count)s lines repeat an earlier one and agree with it",
    ),
    "entries-repeated": says_count(
        "%(count)s entry repeats an earlier one and agrees with it",
        "%(count)s entries repeat an earlier one and agree with it",
    ),
    "rows-repeated": says_count(
        "%(count)s row repeats an earlier one and agrees with it",
        "%(count)s rows repeat an earlier one and agree with it",
    ),
    "numbers-named": says(
        "the numbers of classes are named by %(file)s: %(number)s is %(name)s", number=plain, name=quoted
    ),
    "numbers-not-named": says(
        "labels stay numbers: %(file)s has more names than there are numbers; --class-names %(again)s takes its first "
        "name for 0"
    ),
    "images-missing": says("%(count)s of %(total)s pictures that %(table)s names are missing"),
    "images-contradicted": says(
        "%(count)s of %(total)s pictures that %(table)s names are left out: contradicting rows, or a name that fits "
        "several files"
    ),
    "images-without-label": says(
        "%(count)s of %(total)s pictures that %(table)s names are left out: no label that can be told"
    ),
    # names of images
    "paths-moved": says("paths under %(prefix)s were read under %(folder)s: %(found)s of %(total)s are there"),
    "relative-paths-moved": says("relative paths were read under %(folder)s: %(found)s of %(total)s are there"),
    "paths-maybe-moved": says(
        "read under %(folder)s, %(found)s of %(total)s %(said)s would be there; if that is their folder, give "
        "--image-folder %(again)s"
    ),
    "paths-maybe-in": says(
        "%(said)s may be those in %(folders)s; name the right folder by --image-folder", folders=either
    ),
    "paths-under": says("paths under %(prefix)s"),
    "relative-paths": says("its relative paths"),
    "folder-with": says("%(folder)s (%(count)s are there)"),
    "names-in-one-folder": says(
        "names without folders were looked up in %(folder)s only: %(found)s of %(total)s are there, and other folders "
        "have %(elsewhere)s files of these names too"
    ),
    "names-in-other-case": says(
        "%(count)s names fit only with other upper and lower case (first: %(name)s is read as %(file)s)", name=quoted
    ),
    "names-decoded": says(
        "%(count)s names fit only without their percent signs, quotes or slashes (first: %(name)s is read as %(file)s)",
        name=quoted,
    ),
    "numbers-name-nothing": says("%(count)s numbers name no file: %(said)s"),
    "web-addresses": says("addresses on the web are fetched by `distingo download`"),
    "zeros-lost": says(
        "%(name)s is not there, but %(file)s is: the numbers lost the zeros before them; write them as text",
        name=quoted,
    ),
    "names-elsewhere": says(
        "%(count)s names without folders count as missing, as nearly all others are in %(folder)s and these are in "
        "other folders only (first: %(name)s is %(file)s); %(said)s",
        name=quoted,
    ),
    "image-folder-takes-them": says("--image-folder %(folder)s takes them"),
    "write-their-folders": says("write their folders in the table to take them"),
    # labels
    "label-count": says("%(name)s (%(count)s)", name=quoted),
    "of-lines": says("lines"),
    "of-entries": says("entries"),
    "of-rows": says("rows"),
    "of-files": says("files"),
    "by-case": says("case"),
    "by-spaces": says("spaces"),
    "by-form": says("Unicode form"),
    "by-case-and-spaces": says("case and spaces"),
    "by-writing": says("case, spaces and Unicode form"),
    "by-number-format": says("number format"),
    "label-variants": says(
        "labels that differ only in %(kind)s: %(labels)s %(unit)s; --merge-labels spelling makes them one"
    ),
    "label-variants-merged": says(
        "labels that differ only in %(kind)s are merged into %(label)s: %(labels)s %(unit)s", label=quoted
    ),
    "missing-values-kept": says(
        "labels that may mean no value are classes: %(labels)s %(unit)s; --merge-labels missing makes them no label"
    ),
    "missing-values-dropped": says("labels that mean no value are no label: %(labels)s %(unit)s"),
    "class-dropped": says("class %(name)s is dropped: no usable picture has it"),
    "label-dropped": says("label %(name)s is dropped: no usable picture has it"),
    # files
    "files-with-faults": says(
        "files used in spite of a small fault: %(kinds)s (the manifest names them)", kinds=joined
    ),
    "without-end-marker": says("%(count)s without an end marker"),
    "with-ignored-profile": says("%(count)s with a color profile that can't be used"),
    "with-decoder-warning": says("%(count)s that the decoder complained about"),
    "kinds-not-read": says(
        "images of kinds that are not read, which need not be damaged: %(kinds)s (see the manifest)"
    ),
    "files-of-kind": says("%(count)s %(kind)s"),
    # deep images
    "value-range": says_count(
        "%(count)s deep image (%(types)s): the value range %(black)s to %(white)s is shown as black to white, %(said)s",
        "%(count)s deep images (%(types)s): the value range %(black)s to %(white)s is shown as black to white, "
        "%(said)s",
    ),
    "range-found": says("as found in the data"),
    "range-given": says("as given"),
    "value-range-unknown": says_count(
        "%(count)s deep image (%(types)s): the value range is not known, so each image is scaled by itself",
        "%(count)s deep images (%(types)s): the value range is not known, so each image is scaled by itself",
    ),
    "value-range-exceeded": says(
        "of %(count)s deep images %(beyond)s have values far outside the value range %(black)s to %(white)s, which are "
        "clipped: check that their units are those of the range"
    ),
    # corrections
    "corrections-applied": says_count(
        "%(file)s: %(count)s picture relabeled, %(aside)s set aside",
        "%(file)s: %(count)s pictures relabeled, %(aside)s set aside",
    ),
    "corrections-applied-and-kept": says_count(
        "%(file)s: %(count)s picture relabeled, %(aside)s set aside, %(kept)s kept",
        "%(file)s: %(count)s pictures relabeled, %(aside)s set aside, %(kept)s kept",
    ),
    "corrections-outdated": says_count(
        "%(file)s: %(count)s correction is not applied, as the file has changed since (%(which)s)",
        "%(file)s: %(count)s corrections are not applied, as the file has changed since (%(which)s)",
        which=joined,
    ),
    "corrections-without-file": says_count(
        "%(file)s: %(count)s correction is about files that are not in %(root)s (%(which)s)",
        "%(file)s: %(count)s corrections are about files that are not in %(root)s (%(which)s)",
        which=joined,
    ),
    "correction": says("line %(line)s, %(file)s", line=plain),
    "and-more": says("and %(count)s more"),
    "class-of-corrections": says_count(
        "%(file)s: %(name)s becomes a class, which no other picture has (%(count)s picture)",
        "%(file)s: %(name)s becomes a class, which no other picture has (%(count)s pictures)",
        name=quoted,
    ),
    "class-of-corrections-like": says_count(
        "%(file)s: %(name)s becomes a class, which no other picture has (%(count)s picture); did you mean %(near)s?",
        "%(file)s: %(name)s becomes a class, which no other picture has (%(count)s pictures); did you mean %(near)s?",
        name=quoted,
    ),
    "class-without-image": says("%(file)s: leaves %(name)s without a picture", name=quoted),
    "corrections-unknown": says("the corrections can't be compared with those of the earlier run (%(error)s)"),
    "corrections-changed": says("the corrections have changed since the earlier run: %(before)s then, %(now)s now"),
}
