"""Frames of a video."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from distingo.commands.downloading.fetch_options import EXIT_UNFINISHED, positive


def add(sources: Any) -> None:
    """Offer the source."""
    parser = sources.add_parser("video", help="frames of a video file, named by their time")
    parser.set_defaults(command=run)
    parser.add_argument("video", metavar="FILE", help="MP4, MOV, MKV, WebM, AVI and what else FFmpeg reads")
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="frames that are there stay")
    parser.add_argument("--every", default="1s", metavar="INTERVAL", help="1s (default), 250ms, 30frames, keyframes")
    parser.add_argument("--label", metavar="NAME", help="class folder inside FOLDER")
    parser.add_argument("--start", default="0", metavar="TIME", help="seconds (83.5), or 1:02:03")
    parser.add_argument("--end", metavar="TIME", help="stop before this time")
    parser.add_argument("--limit", type=positive, metavar="N", help="frames, at most")
    parser.add_argument("--format", choices=("jpeg", "png"), default="jpeg", help="of the pictures (default: jpeg)")
    parser.add_argument(
        "--skip-similar",
        type=float,
        nargs="?",
        const=8.0,
        metavar="LEVELS",
        help="leave out a frame of which no part differs from the last kept one by so many grey levels (default: 8)",
    )


def run(options: argparse.Namespace) -> int:
    """Do what was asked; returns the exit code."""
    import distingo
    from distingo.download.video_frames import FrameChoice, parse_interval, parse_time

    choice = FrameChoice(
        parse_interval(options.every),
        parse_time(options.start, "start"),
        None if options.end is None else parse_time(options.end, "end"),
        options.skip_similar,
    )
    result = distingo.download_video(
        options.video,
        options.output,
        choice=choice,
        label=options.label,
        limit=options.limit,
        image_format=options.format,
    )
    print(f"{result.folder}: {result.count('written'):,} frames written")
    if there := result.count("there already"):
        print(f"  {there:,} were there already")
    if similar := result.count("near-identical"):
        print(f"  {similar:,} left out for being near-identical to the frame before")
    print(f"  each with its time in {result.record}")
    if result.fault:
        print(f"distingo: {options.video}: {result.fault}", file=sys.stderr)
        return EXIT_UNFINISHED
    return 0
