"""Exceptions with an error code, the parameter at fault and a one-line message, and helpers to write such messages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Content of a regular expression's character class: characters that control a terminal, break a line or change the
writing direction (C0 and C1 controls, line and paragraph separators, embeddings, overrides and isolates)."""

_CONTROL = re.compile(f"[{CONTROLS}]")

ErrorCode = Literal[
    # Parameters
    "out_of_range",  # a number is outside its range
    "invalid_value",  # a value is not written in the form that the parameter needs
    "invalid_type",  # a value has a type that the parameter does not take
    "invalid_name",  # a name can't be used where it is needed, for example as a folder or in an address
    "invalid_file_name",  # an output's name does not have the ending of its file type
    "invalid_path",  # a path contains a NUL byte
    "invalid_command",  # the command line is not a valid command
    "invalid_request",  # a browser's request to the review page is incomplete or not allowed
    "unknown_name",  # there is no model, class, kind, format ... of that name
    "unknown_option",  # there is no such option or field
    "ambiguous_name",  # a name matches several things
    "missing_argument",  # a required argument was left out
    "missing_field",  # a recipe or configuration lacks a field that it needs
    "missing_setting",  # an environment variable or parameter that is needed on this machine is not set
    "named_twice",  # the same thing was named more than once
    "needs_other_option",  # an option has an effect only together with another one
    "options_conflict",  # options exclude each other
    "option_not_applicable",  # an option does not apply to this model, data or task
    "changed_options",  # the work to resume was started with other options
    "unsafe_setting",  # a server would be open to anyone
    "weak_key",  # an API key is short enough to be guessed
    "unreachable_guarantee",  # the calibration images can't guarantee what abstain or coverage ask for
    "no_calibration",  # the model has no calibration set, which abstain and coverage need
    # Files and folders
    "not_found",  # a file or folder does not exist
    "already_exists",  # an output exists, and nothing is overwritten
    "not_empty",  # an output folder contains other files
    "not_a_folder",  # a file is where a folder is needed
    "is_link",  # a symbolic link is where links are not followed
    "not_regular_file",  # a device, pipe or link is where a file is needed
    "overlapping_folders",  # a folder is inside another one that it must not touch
    "outside_data",  # a file is outside the data set that may be shown
    "wrong_folder",  # a folder contains no run, check, cross-validation or export where one is needed
    "empty_folder",  # a folder contains no files
    "empty_file",  # a file or table is empty
    "cannot_read",  # the system refuses to read a file or folder
    "cannot_write",  # the system refuses to write a file or folder, or its content can't be stored
    "disk_full",  # there is no space left on the disk
    "store_full",  # the file of corrections reached its size limit
    "in_use",  # another process is working in the same folder
    "changed_meanwhile",  # a file changed while it was being used
    "wrong_format",  # a file does not have the format that is needed
    "wrong_encoding",  # a text is not in its apparent encoding
    "damaged_file",  # a file is damaged or incomplete
    "damaged_line",  # one line of a table or list can't be understood
    "checksum_differs",  # a file's bytes differ from those that were written
    "newer_version",  # a file was written by a newer distingo
    "cannot_undo",  # files can't be put back where they came from
    # Tables
    "no_table",  # a table is needed, but there is none
    "ambiguous_table",  # several tables may contain the labels
    "missing_column",  # a table lacks a column that is needed
    "unknown_column",  # a table has no column of that name
    "ambiguous_column",  # several columns may be the one that is needed
    "duplicate_entry",  # a name occurs twice where each may occur once
    "unlikely_labels",  # a column of labels looks like identifiers
    "too_few_names",  # there are fewer class names than numbered classes
    # Images and labels
    "no_images",  # no file may be an image
    "no_usable_images",  # no image can be decoded
    "missing_images",  # images that a table names are not there
    "damaged_image",  # an image file can't be decoded
    "unsupported_image",  # an intact image of an unsupported type
    "unreadable_image",  # an image file can't be opened
    "too_many_pixels",  # an image has more pixels than may be decoded
    "invalid_image_array",  # an array or tensor does not have the shape or values of an image
    "too_few_images",  # there are too few images for what is to be done
    "too_few_classes",  # there is one class only, or labels do not differ
    "empty_class",  # a class has no image
    "missing_labels",  # images have no labels
    "ambiguous_labels",  # labels could come from folders or from a table
    "ambiguous_folders",  # folders could be classes, splits or data sets
    "labels_differ",  # images and labels differ in number
    "task_differs",  # single-label meets multi-label
    "classes_differ",  # data have classes that the model does not know
    "data_differ",  # results belong to other data
    # Splits
    "own_splits",  # data bring splits of their own
    "split_incomplete",  # a split or class has no image
    "split_differs",  # a split file does not describe these images
    # Runs
    "unfinished",  # training or a download has not ended
    "not_evaluated",  # a run lacks an evaluation or predictions
    "records_differ",  # files of one run contradict each other
    "runs_differ",  # runs can't be compared: their test images or classes differ
    # Models
    "no_weights",  # there are no pretrained weights, or none that are safe to load
    "weights_differ",  # weights belong to another architecture
    "ambiguous_weights",  # a folder contains several weights files
    "unsupported_model",  # a model can't be built or used
    "unsupported_image_size",  # a model does not take images of that size
    "too_large_model",  # arguments make a model larger than any known one
    "forbidden_argument",  # an argument of an architecture is not one that only shapes layers
    "forbidden_code",  # a model needs custom code, which is never run
    "not_a_network",  # a model without layers is used where a network is needed
    "cannot_explain",  # a model gives no maps over the image
    "cannot_export",  # a network can't be converted
    "export_differs",  # an exported model does not predict as the original does
    "engine_failed",  # ONNX Runtime or OpenVINO failed while predicting
    # Training
    "diverged",  # the loss is no longer a finite number
    "not_finite",  # a backbone returns embeddings that are not finite
    "interrupted",  # Ctrl-C was pressed; what was done so far is kept
    # Machine and network
    "missing_extra",  # an optional package is not installed
    "out_of_memory",  # memory of the machine or of the device ran out
    "device_unavailable",  # the device is not there
    "port_unavailable",  # the address or port can't be listened on
    "worker_failed",  # a server process ended before it was ready
    "tracker_unavailable",  # the tracking server can't be used
    "hub_unreachable",  # the hub of weights can't be reached
    "access_denied",  # the hub asks for accepted terms or a token
    # Downloads
    "download_failed",  # files can't be fetched
    "damaged_download",  # fetched files are incomplete or contradict each other
    "unexpected_answer",  # an address returns something unexpected
    "unsafe_archive",  # an archive is constructed maliciously
    "nothing_matches",  # no image matches the selection
]
"""The kinds of errors; docs/errors.md describes what to do about each."""


class DistingoError(Exception):
    """Base class of the errors that a user can fix.

    Args:
        text: What is wrong and what to do, in one line.
        code: The kind of error, for code that handles errors.
        parameter: The keyword argument of the Python call that is at fault.

    Attributes:
        code: The kind of error.
        parameter: The keyword argument at fault, for example ``epochs``; None if no parameter is at fault.
        exit_code: The exit code of the command line for this error.
    """

    exit_code = 1

    def __init__(self, text: str, *, code: ErrorCode, parameter: str | None = None) -> None:
        super().__init__(text)
        self.code: ErrorCode = code
        self.parameter = parameter

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), str(self)), self.__dict__


def _restored(kind: type[DistingoError], text: str) -> DistingoError:
    return kind.__new__(kind, text)


class UsageError(DistingoError):
    """A wrong option, name or combination of options."""

    exit_code = 2


class DataError(DistingoError):
    """The images or their labels do not allow what was requested."""


class RunError(DistingoError):
    """A run folder is missing, damaged, made by another program or from a newer version."""


class ModelError(DistingoError):
    """A model name, weights file or input shape can't be used."""


class ResourceError(DistingoError):
    """The machine ran out of something: memory, disk, a device."""


class ExportError(DistingoError):
    """An exported model does not predict as the original does."""


class TrainingDivergedError(DistingoError):
    """The loss is no longer a finite number."""


class InterruptionError(DistingoError):
    """The user pressed Ctrl-C; what was done so far is kept."""

    exit_code = 130


_OPTIONS: dict[tuple[str, object] | str, str] = {
    "allowed_hosts": "--allow-host",
    "classes": "--class",
    "data": "DATA",
    "height": "--image-size",
    "image_format": "--format",
    "models": "--model",
    "output": "-o",
    "proxies": "--proxy",
    "recipe_file": "--recipe",
    "run": "RUN",
    "thresholds": "--threshold",
    "top_k": "--topk",
    "width": "--image-size",
    ("boxes", False): "--labels",
    ("draw_map", False): "--no-map",
    ("header", False): "--no-header",
    ("sort_as", "copy"): "--copy",
    ("sort_as", "link"): "--link",
}
"""Command-line options whose name is not the keyword with hyphens; (keyword, value) for flags that set that value."""


class _Interface:
    is_command_line = False


@contextlib.contextmanager
def naming_options(*, named: bool = True) -> Iterator[None]:
    """Context manager in which `option` returns command-line options; it applies to the entire process.

    Args:
        named: If False, nothing changes.
    """
    before = _Interface.is_command_line
    _Interface.is_command_line = before or named
    try:
        yield
    finally:
        _Interface.is_command_line = before


def names_options() -> bool:
    """Whether messages name command-line options, so that a child process can do the same."""
    return _Interface.is_command_line


def option(keyword: str, value: object = None) -> str:
    """Name a parameter in a message: ``epochs`` for a Python caller, ``--epochs`` on the command line.

    Args:
        keyword: The keyword argument of the Python call.
        value: Value to add: ``resume=True`` or ``--resume``, ``mode='finetune'`` or ``--mode finetune``.
    """
    if not _Interface.is_command_line:
        return keyword if value is None else f"{keyword}={value!r}"
    if (keyword, value) in _OPTIONS:
        return _OPTIONS[keyword, value]
    name = _OPTIONS.get(keyword, f"--{keyword.replace('_', '-')}")
    return name if value is None or value is True else f"{name} {value}"


_SHOWN_FAULTS = 20


def quote(value: object, most: int = 80) -> str:
    """Format a value from an untrusted file for a message: one line of ASCII of at most `most` characters."""
    shown = ascii(value if not isinstance(value, str) else value[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 4]}...{shown[-1]}"


def escape_controls(text: str, keep: str = "\n") -> str:
    r"""Escape the control characters of an untrusted text as ``\xNN`` or ``\uNNNN``, so that a terminal can show it.

    Args:
        text: Any text.
        keep: Control characters that are not escaped.
    """
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], text)


def join_faults(faults: Sequence[str], advice: str) -> str:
    """Join the first twenty faults of a file, one per line, and append the advice to the last line."""
    remaining = len(faults) - _SHOWN_FAULTS
    shown = [*faults[:_SHOWN_FAULTS], *([f"and {remaining:,} faults more"] if remaining > 0 else [])]
    return "\n".join([*shown[:-1], f"{shown[-1]}; {advice}"])


def name_some(names: Sequence[str], most: int) -> str:
    """Join the first `most` names and add the number of the remaining ones."""
    remaining = len(names) - most
    return ", ".join(names[:most]) + (f" and {remaining:,} more" if remaining > 0 else "")


def find_near(name: str, names: Sequence[str], limit: int = 3) -> list[str]:
    """Find the known names most similar to a mistyped one, at most `limit`, perhaps none."""
    from difflib import get_close_matches

    return get_close_matches(name, names, n=limit, cutoff=0.5)


def suggest_names(name: str, names: list[str], limit: int = 3, *, otherwise: str | None = None) -> str:
    """Suggest the known names most similar to a mistyped one, as part of a sentence.

    Args:
        name: The mistyped name.
        names: All allowed names.
        limit: Maximum number of suggestions.
        otherwise: The text to return if no name is similar; None lists all names.

    Returns:
        For example ``"did you mean small-cnn?"``, or `otherwise`.
    """
    near = find_near(name, names, limit)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose one of {', '.join(names)}" if otherwise is None else otherwise


def first_line(error: BaseException) -> str:
    """Shorten an error of a library to the first line of its message, as part of a sentence: at most 200 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return escape_controls(lines[0][:200]).rstrip(".")
