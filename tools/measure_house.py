"""Measure how calm the code is: modules, their sizes, who imports whom, and the longest chain of imports.

    python tools/measure_house.py [src/distingo] [--chain] [--training-request]

Code lines are those without docstrings, comments and empty lines. Imports inside functions count, those for type
checking alone do not. ``--chain`` also prints the modules of the longest chain, the topmost first.
``--training-request`` runs ``distingo train`` on a tiny data set and prints the modules whose functions ran.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import inspect
import io
import sys
import tempfile
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

SMALL = 40
"""Lines below which a module is small."""


@dataclass(frozen=True)
class Module:
    """One file.

    Attributes:
        lines: All of its lines.
        code_lines: Those that hold code.
        imports: Modules of the same package that it imports.
        loose: Whether it has dictionaries of anything (``dict[str, Any]``) in place of records.
    """

    lines: int
    code_lines: int
    imports: frozenset[str]
    loose: bool


def read_modules(root: Path) -> dict[str, Module]:
    """All modules below a package's folder, by dotted name."""
    paths = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }
    return {name: _read(name, path, set(paths)) for name, path in sorted(paths.items())}


def _read(name: str, path: Path, known: set[str]) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    prose = set(_docstring_lines(tree))
    lines = text.splitlines()
    code = sum(
        1
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.strip().startswith("#") and number not in prose
    )
    return Module(len(lines), code, frozenset(_imports(tree, known)) - {name}, "dict[str, Any]" in text)


def _docstring_lines(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _imports(tree: ast.AST, known: set[str]) -> Iterator[str]:
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def longest_chain(modules: dict[str, Module]) -> list[str]:
    """The longest chain of imports, the topmost module first; a cycle ends where it closes."""
    chains: dict[str, list[str] | None] = {}

    def chain(name: str) -> list[str]:
        if name in chains:
            return chains[name] or []
        chains[name] = None
        below = max((chain(each) for each in sorted(modules[name].imports)), key=len, default=[])
        chains[name] = [name, *below]
        return [name, *below]

    return max((chain(name) for name in modules), key=len)


def trace_training(root: Path, modules: Collection[str]) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    """Run ``distingo train`` on a tiny data set, and note which modules are passed.

    Functions that run while a module is imported do not count.

    Args:
        root: The package's folder.
        modules: Names of all of its modules.

    Returns:
        Names of the modules whose functions ran; the calls between them, as pairs of caller and called; and the modules
        passed by training itself (`distingo.training.run.train_run`), without the command, evaluation and the page.
    """
    passed: set[str] = set()
    calls: set[tuple[str, str]] = set()
    by_training: set[str] = set()
    names: dict[str, str | None] = {}
    is_training = threading.Event()

    def name_of(code: CodeType) -> str | None:
        if code.co_filename not in names:
            path = Path(code.co_filename)
            inside = path.is_relative_to(root.resolve()) and path.suffix == ".py"
            parts = path.relative_to(root.resolve().parent).with_suffix("").parts if inside else ()
            name = ".".join(parts).removesuffix(".__init__")
            names[code.co_filename] = name if name in modules else None
        return names[code.co_filename]

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event not in {"call", "return"} or (name := name_of(frame.f_code)) is None:
            return
        if frame.f_code.co_name == "train_run":
            is_training.set() if event == "call" else is_training.clear()
        if event == "return" or not frame.f_code.co_flags & inspect.CO_OPTIMIZED:
            return
        caller = name_of(frame.f_back.f_code) if frame.f_back else None
        known = name in (by_training if is_training.is_set() else passed)
        if (known and (caller is None or (caller, name) in calls)) or _is_importing(frame):
            return
        passed.add(name)
        if is_training.is_set():
            by_training.add(name)
        if caller in passed and caller != name:
            calls.add((str(caller), name))

    sys.path.insert(0, str(root.resolve().parent))
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        _draw_images(Path(folder) / "data")
        from distingo.cli import main as command

        threading.setprofile(note)
        sys.setprofile(note)
        try:
            command(["train", f"{folder}/data", "-o", f"{folder}/run", "--cache", f"{folder}/cache", *_TINY])
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return passed, calls, by_training


_TINY = ("--model", "small-cnn", "--image-size", "16", "--epochs", "1")


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and "importlib" in repr(frame.f_back and frame.f_back.f_code):
            return True
        frame = frame.f_back
    return False


def _draw_images(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for name, color in {"blue": (40, 60, 200), "red": (210, 50, 40)}.items():
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(np.array(color) + generator.integers(-30, 30, (16, 16, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")


def count_climbs(calls: set[tuple[str, str]], modules: dict[str, Module]) -> int:
    """How many of the calls go up: from a module to one that imports it, directly or through others."""
    above: dict[str, set[str]] = {}

    def below(name: str) -> set[str]:
        if name not in above:
            above[name] = set()
            above[name] = {each for direct in modules[name].imports for each in (direct, *below(direct))}
        return above[name]

    return sum(caller in below(called) for caller, called in calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", type=Path, default=Path("src/distingo"))
    parser.add_argument("--chain", action="store_true", help="also print the longest chain of imports")
    parser.add_argument("--training-request", action="store_true", help="also trace `distingo train`")
    options = parser.parse_args()
    sys.setrecursionlimit(10_000)
    modules = read_modules(options.package)
    importers = {name: sum(name in each.imports for each in modules.values()) for name in modules}
    plain = [name for name in modules if importers[name] or not name.endswith("__main__")]
    plain = [name for name in plain if not any(other.startswith(f"{name}.") for other in modules)]
    chain = longest_chain(modules)
    for what, count in (
        ("modules", len(modules)),
        ("code lines", sum(each.code_lines for each in modules.values())),
        ("imported by one other", sum(importers[name] == 1 for name in plain)),
        (f"under {SMALL} lines", sum(modules[name].lines < SMALL for name in plain)),
        ("with dict[str, Any]", sum(each.loose for each in modules.values())),
        ("longest chain of imports", len(chain)),
    ):
        print(f"{what:26} {count:7,}")
    if options.chain:
        print(*chain, sep="\n")
    if options.training_request:
        passed, calls, by_training = trace_training(options.package, modules)
        print(f"{'passed by distingo train':26} {len(passed):7,}")
        print(f"{'of which by training':26} {len(by_training):7,}")
        print(f"{'calls that go up':26} {count_climbs(calls, modules):7,}")
        print(*(f"{'*' if name in by_training else ' '} {name}" for name in sorted(passed)), sep="\n")


if __name__ == "__main__":
    main()
