"""What people corrected on the page of `distingo serve`."""

from __future__ import annotations

import argparse
from typing import Any

_MOST_CLASSES = 10


def add(commands: Any) -> None:
    """Offer the command."""
    parser = commands.add_parser("corrections", help="make a data set of what people corrected on the served page")
    parser.set_defaults(command=run)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", parser_class=type(parser))
    export = actions.add_parser("export", help="the pictures with their right labels, as a data set to train on")
    export.set_defaults(command=run, parser=export)
    export.add_argument("file", metavar="FILE.sqlite", help="what `distingo serve --corrections` keeps them in")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="new folder for the data set")
    export.add_argument("--model", metavar="NAME", help="whose corrections (needed where there are several models)")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.errors import name_some

    data = distingo.export_corrections(options.file, options.output, model=options.model)
    print(f"{data.pictures:,} picture{'s' * (data.pictures != 1)} corrected for {data.model}: {data.folder}")
    if data.classes:
        print(f"  {name_some([f'{name}: {count:,}' for name, count in data.classes.items()], _MOST_CLASSES)}")
    if data.unlabelled:
        print(f"  {data.unlabelled:,} without label")
    if data.superseded:
        print(f"  {data.superseded:,} earlier correction{'s' * (data.superseded != 1)} of the same pictures left out")
    for note in data.notes:
        print(f"Note: {note}")
    print(f"`distingo train {data.folder}` takes it; provenance.csv says where each picture comes from")
    return 0
