"""Measure how calm the code is: modules, their sizes, who imports whom, and the longest chain of imports.

    python tools/measure_house.py [src/distingo] [--chain]

Code lines are those without docstrings, comments and empty lines. Imports inside functions count, those for type
checking alone do not. ``--chain`` also prints the modules of the longest chain, the topmost first.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", nargs="?", type=Path, default=Path("src/distingo"))
    parser.add_argument("--chain", action="store_true", help="also print the longest chain of imports")
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


if __name__ == "__main__":
    main()
