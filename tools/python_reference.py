"""Write docs/python-reference.md: every public call, from its signature and docstring.

    python tools/python_reference.py [--check]

``--check`` writes nothing and ends with 1 when the page is out of date.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import distingo

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python-reference.md"

SUBJECTS = {
    "Train": "distingo.api.training",
    "Evaluate, compare, explain": "distingo.api.evaluation",
    "Predict, export and serve": "distingo.api.prediction",
    "Experiments": "distingo.api.experiments",
    "Data sets": "distingo.api.data",
    "Check and clean": "distingo.api.curation",
    "Download": "distingo.api.downloading",
}
"""Modules behind ``import distingo``, in the order of the page."""

OBJECTS = {
    "The loaded model": ("distingo.prediction.predictor", ("Predictor",)),
    "scikit-learn": ("distingo.sklearn", ("ImageClassifier",)),
    "Predict from an export without torch": ("distingo.runtime", ("Runtime", "read_export", "ExportDescription")),
    "Errors": (
        "distingo.errors",
        (
            *("DistingoError", "UsageError", "DataError", "RunError", "ModelError", "ResourceError", "ExportError"),
            *("TrainingDivergedError", "InterruptionError"),
        ),
    ),
}
"""What is imported from a module of its own, by section; classes come with their public methods."""

GROUPS = {
    "RecipeOptions": ("distingo.training.recipe", "Recipe"),
    "ReadingOptions": ("distingo.datasets.options", "Reading"),
    "GroupingOptions": ("distingo.options.training", "GroupingSettings"),
    "PredictOptions": ("distingo.options.commands", "PredictSettings"),
    "FetchOptions": ("distingo.download.records", "FetchSettings"),
    "ServeOptions": ("distingo.serving.settings", "ServeSettings"),
}
"""Keywords that several calls take, by group: the module of both, and the record whose fields they are."""

COMPOSED = ("SplitOptions", "TrainingOptions", "CrossvalOptions", "SeveralOptions")
"""Groups of `distingo.api.keywords` that are made of others."""

_WIDTH = 100

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):$")


@dataclass(frozen=True)
class Command:
    """A command as a person types it.

    Attributes:
        words: For example ``download urls``.
        calls: The public calls that it makes, sorted.
    """

    words: str
    calls: tuple[str, ...]


def list_commands() -> list[Command]:
    """Every command and action, with the public calls in the function that runs it."""
    from distingo.cli import build_parser

    return [Command(words, _calls_in(function)) for words, function in _leaves(build_parser(), ())]


def _leaves(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, command in action.choices.items():
            yield from _leaves(command, (*words, name))
    if not below:
        yield " ".join(words), parser.get_default("command")


def _calls_in(function: Any) -> tuple[str, ...]:
    tree = ast.parse(inspect.getsource(function))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "distingo"
    }
    return tuple(sorted(used & set(distingo.__all__)))


def public_names() -> set[str]:
    """Headings that the page must have: what ``import distingo`` offers, and what `OBJECTS` lists."""
    names = {f"distingo.{name}" for name in distingo.__all__ if name not in {"DistingoError", "__version__"}}
    names |= {f"{module}.{name}" for module, classes in OBJECTS.values() for name in classes}
    return names | {*GROUPS, *COMPOSED}


def render_page() -> str:
    """The whole page."""
    parts = [
        "# Python reference",
        "Every public call. This page is made from signatures and docstrings by `python tools/python_reference.py`; "
        "change those, not the page. `import distingo` is light: each call loads what it needs when it is made.",
        "## Commands and their calls",
        "\n".join(["| Command | Python |", "|---|---|", *map(_row, list_commands())]),
    ]
    for title, module in SUBJECTS.items():
        own = [name for name in distingo.__all__ if getattr(getattr(distingo, name), "__module__", "") == module]
        parts += [f"## {title}", *(_render(f"distingo.{name}", getattr(distingo, name)) for name in own)]
    parts += [
        "## Keywords that calls share",
        "A call that takes `**options: Unpack[TrainingOptions]` takes each keyword of that group by its name.",
        *map(_render_composed, COMPOSED),
        *map(_render_group, GROUPS),
    ]
    for title, (module, classes) in OBJECTS.items():
        parts.append(f"## {title}")
        parts += [_render(f"{module}.{name}", getattr(import_module(module), name)) for name in classes]
    return "\n\n".join(parts) + "\n"


def _render_composed(name: str) -> str:
    """A group that is made of others, with links to them."""
    from distingo.api import keywords

    group = getattr(keywords, name)
    groups = {each: getattr(import_module(module), each).__annotations__ for each, (module, _) in GROUPS.items()}
    parts = [each for each, known in groups.items() if known.keys() <= group.__annotations__.keys()]
    inherited = {keyword for each in parts for keyword in groups[each]}
    own = ", ".join(f"`{keyword}`" for keyword in group.__annotations__ if keyword not in inherited)
    links = ", ".join(f"[`{each}`](#{each.lower()})" for each in parts)
    besides = f"; and {own}, as in `train`" if own else ""
    return "\n\n".join([f"### {name}", _describe(group), f"All of {links}{besides}."])


def _render_group(name: str) -> str:
    """A group's keywords, from the fields of its record."""
    from distingo.options.fields import options_of

    module, record = GROUPS[name]
    group, known = getattr(import_module(module), name), options_of(getattr(import_module(module), record))
    aliases = {field.option.alias: field for field in known.values() if field.option.alias}
    lines = []
    for keyword, hint in group.__annotations__.items():
        field = known.get(keyword) or aliases.get(keyword)
        told = f"another name of `{field.name}`" if field and keyword in aliases else field.help if field else ""
        if field is None:
            option = {"image_size": "IMAGE_SIZE", "api_key_file": "API_KEY_FILE"}[keyword]
            declared = getattr(import_module("distingo.options.training" if option == "IMAGE_SIZE" else module), option)
            told = f"{declared.help} (default: {declared.default})"
        lines.append(f"- `{keyword}: {_type_of(hint)}`: {told}")
    return "\n\n".join([f"### {name}", _describe(group), "\n".join(lines)])


def _type_of(hint: Any) -> str:
    return hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else _annotation(hint)


def _row(command: Command) -> str:
    calls = ", ".join(f"[`distingo.{name}`](#distingo{name})" for name in command.calls)
    return f"| `distingo {command.words}` | {calls} |"


def _render(name: str, thing: Any) -> str:
    if not inspect.isclass(thing):
        return "\n\n".join([f"### {name}", _signature(name, thing), _describe(thing)])
    parts = [f"### {name}"]
    if not issubclass(thing, BaseException):
        parts.append(_signature(name, thing))
    parts.append(_describe(thing))
    for method, value in _members(thing).items():
        function = value.fget if isinstance(value, property) else value
        if method.startswith("_") or not inspect.isfunction(function):
            continue
        title = f"#### {thing.__name__}.{method}"
        shown = [] if isinstance(value, property) else [_signature(method, function)]
        parts += ["\n\n".join([title, *shown, _describe(function)])]
    return "\n\n".join(parts)


def _members(thing: type) -> dict[str, Any]:
    """What a class defines, and what it inherits from an abstract class of ours."""
    kinds = [kind for kind in thing.__mro__ if kind is thing or inspect.isabstract(kind)]
    return {name: value for kind in reversed(kinds) for name, value in vars(kind).items()}


def _signature(name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    words, keywords_only = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords_only:
            keywords_only = True
            words.append("*")
        words.append(_parameter(parameter))
    answer = signature.return_annotation
    arrow = "" if answer is signature.empty or inspect.isclass(thing) else f" -> {_annotation(answer)}"
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) > _WIDTH:
        line = "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){arrow}"])
    return f"```python\n{line}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    word = f"{stars}{parameter.name}"
    typed = parameter.annotation is not parameter.empty
    if typed:
        word += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        word += f" = {parameter.default!r}" if typed else f"={parameter.default!r}"
    return word


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _describe(thing: Any) -> str:
    """A docstring as Markdown: its sections become lists."""
    text = inspect.cleandoc(thing.__doc__ or "")
    blocks, section, entries = [], "", []
    for line in [*text.splitlines(), "Args:"]:
        if found := _SECTION.match(line):
            blocks += [f"**{section}**", "\n".join(_entries(section, entries))] if section else ["\n".join(entries)]
            section, entries = found[1], []
        else:
            entries.append(line)
    return "\n\n".join(block.strip("\n") for block in blocks if block.strip("\n"))


def _entries(section: str, lines: list[str]) -> Iterator[str]:
    if section in {"Returns", "Yields"}:
        yield from (line.removeprefix("    ") for line in lines)
        return
    for line in lines:
        entry = re.match(r"^    (\*{0,2}[\w.]+): (.*)$", line)
        if entry:
            yield f"- `{entry[1]}`: {entry[2]}"
        elif line.strip():
            yield f"  {line.strip()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say whether the page is out of date")
    page = render_page()
    if parser.parse_args().check:
        is_current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        print(f"{PAGE.name} is {'up to date' if is_current else 'out of date; run python tools/python_reference.py'}")
        return 0 if is_current else 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
