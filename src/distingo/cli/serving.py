"""The commands ``serve``, which serves models over HTTP, and ``corrections``, which exports corrections made there."""

from __future__ import annotations

import argparse

from distingo.cli.options import add_option, add_options, given, show_first
from distingo.cli.terminal import prepare
from distingo.options.fields import OptionField, options_of
from distingo.serving.settings import API_KEY_FILE, ServeSettings

_ACCESS = ("rate_limit", "allowed_hosts", "proxies")

_PLACES = ("host", "port", "workers", "device")

_CORRECTIONS = ("corrections", "new_classes")


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_serve)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or NAME=FOLDER")
    add_options(parser, ServeSettings, _PLACES)
    limits = [name for name in options_of(ServeSettings) if name not in (*_PLACES, *_ACCESS, *_CORRECTIONS)]
    add_options(parser.add_argument_group("limits"), ServeSettings, limits)
    access = parser.add_argument_group("who is let in")
    add_option(access, OptionField("api_key_file", API_KEY_FILE, str | None, str | None, None))
    add_options(access, ServeSettings, _ACCESS)
    add_options(parser.add_argument_group("corrections"), ServeSettings, _CORRECTIONS)
    show_first(
        parser, *_PLACES, "max_upload", "max_wait", "max_batch", "queue", "api_key_file", *_ACCESS, *_CORRECTIONS
    )


def run_serve(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    from distingo.machine.process import share_cores

    share_cores(max(1, options.workers or 1))
    prepare()
    import distingo

    def announce(address: str) -> None:
        print(f"Serving at {address} (Ctrl-C ends it)", flush=True)

    names = (*options_of(ServeSettings), "api_key_file")
    distingo.serve(options.runs, on_start=announce, **given(options, ServeSettings, names))
    return 0


_MOST_CLASSES = 10


def add_corrections(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.set_defaults(command=run_corrections)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", parser_class=type(parser))
    export = actions.add_parser("export", help="the pictures with their right labels, as a data set to train on")
    export.set_defaults(command=run_corrections, parser=export)
    export.add_argument("file", metavar="FILE.sqlite", help="what `distingo serve --corrections` keeps them in")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="new folder for the data set")
    export.add_argument(
        "--model",
        metavar="NAME",
        help="whose corrections (default: those of the only model; needed where there are several)",
    )


def run_corrections(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    import distingo
    from distingo.errors import name_some

    data = distingo.export_corrections(options.file, options.output, model=options.model)
    print(f"{data.images:,} picture{'s' * (data.images != 1)} corrected for {data.model}: {data.folder}")
    if data.classes:
        print(f"  {name_some([f'{name}: {count:,}' for name, count in data.classes.items()], _MOST_CLASSES)}")
    if data.unlabeled:
        print(f"  {data.unlabeled:,} without label")
    if data.superseded:
        print(f"  {data.superseded:,} earlier correction{'s' * (data.superseded != 1)} of the same pictures left out")
    for note in data.notes:
        print(f"Note: {note}")
    print(f"`distingo train {data.folder}` takes it; provenance.csv says where each picture comes from")
    return 0
