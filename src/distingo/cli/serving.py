"""Commands that serve models over HTTP and collect what people corrected there."""

from __future__ import annotations

import argparse

from distingo.cli.terminal import prepare


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_serve)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or NAME=FOLDER")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000; 0 takes one that is free)")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that serve on one socket (default: 1)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ..., mps, xpu")
    _add_limits(parser)
    _add_access(parser)
    parser.add_argument(
        "--corrections", metavar="FILE.sqlite", help="keep corrections from the page, with their pictures, in this file"
    )
    parser.add_argument(
        "--new-classes", action="store_true", help="let corrections name classes that the model does not know"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    limits.add_argument("--max-upload", default="32MB", metavar="SIZE", help="of one request (default: 32MB)")
    limits.add_argument(
        "--max-pixels",
        type=int,
        default=50_000_000,
        metavar="N",
        help="width times height of one picture, 1 or more (default: 50,000,000)",
    )
    limits.add_argument("--max-pictures", type=int, default=64, metavar="N", help="in one request (default: 64)")
    limits.add_argument(
        "--max-wait",
        type=float,
        default=5.0,
        metavar="MS",
        help="milliseconds that a picture waits at most for others that are being decoded (default: 5)",
    )
    limits.add_argument("--max-batch", type=int, default=32, metavar="N", help="pictures judged together (default: 32)")
    limits.add_argument(
        "--queue",
        type=int,
        default=256,
        metavar="N",
        help="pictures taken in and not answered yet, for each worker; past it the answer is 503 (default: 256)",
    )
    limits.add_argument(
        "--client-connections",
        type=int,
        default=100,
        metavar="N",
        help="connections of one address to each worker, proxies named with --proxy excepted; 0 sets no limit "
        "(default: 100)",
    )
    limits.add_argument(
        "--decode-timeout",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds that decoding one picture may take, those of a request together three times that, from 0.1 to "
        "3600 (default: 10)",
    )
    limits.add_argument(
        "--decode-memory",
        default="800MB",
        metavar="SIZE",
        help="memory of each worker for decoding large and unusual pictures, of which one picture takes half at most; "
        "128MB or more (default: 800MB)",
    )
    limits.add_argument("--rate-limit", type=int, metavar="N", help="requests a minute of each key, or address")


def _add_access(parser: argparse.ArgumentParser) -> None:
    access = parser.add_argument_group("who is let in")
    access.add_argument("--api-key-file", metavar="FILE", help="one key a line; only who sends one of them is answered")
    access.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name besides localhost under which the server may be called, such as a proxy's",
    )
    access.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="address of a proxy whose word about the client's address is believed, a network such as 10.0.0.0/8, or * "
        "for all",
    )


def run_serve(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    from distingo.machine.threads import share_cores

    share_cores(max(1, options.workers))
    prepare()
    import distingo
    from distingo.serving.settings import read_size

    def announce(address: str) -> None:
        print(f"Serving at {address} (Ctrl-C ends it)", flush=True)

    distingo.serve(
        options.runs,
        host=options.host,
        port=options.port,
        workers=options.workers,
        device=options.device,
        max_upload=read_size(options.max_upload),
        max_pixels=options.max_pixels,
        max_pictures=options.max_pictures,
        max_wait=options.max_wait / 1000,
        max_batch=options.max_batch,
        queue=options.queue,
        client_connections=options.client_connections,
        decode_timeout=options.decode_timeout,
        decode_memory=read_size(options.decode_memory),
        api_key_file=options.api_key_file,
        rate_limit=options.rate_limit,
        allowed_hosts=options.allow_host,
        proxies=options.proxy,
        corrections=options.corrections,
        new_classes=options.new_classes,
        on_start=announce,
    )
    return 0


_MOST_CLASSES = 10


def add_corrections(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.set_defaults(command=run_corrections)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION", parser_class=type(parser))
    export = actions.add_parser("export", help="the pictures with their right labels, as a data set to train on")
    export.set_defaults(command=run_corrections, parser=export)
    export.add_argument("file", metavar="FILE.sqlite", help="what `distingo serve --corrections` keeps them in")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="new folder for the data set")
    export.add_argument("--model", metavar="NAME", help="whose corrections (needed where there are several models)")


def run_corrections(options: argparse.Namespace) -> int:
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
