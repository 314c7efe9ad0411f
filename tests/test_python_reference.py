"""The page of public calls is current and complete."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("python_reference", ROOT / "tools" / "python_reference.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["python_reference"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["python_reference"]


@pytest.fixture(scope="module")
def page(tool):
    return tool.PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date(tool, page):
    assert page == tool.render_page(), "run python tools/python_reference.py"


def test_every_command_has_a_python_call(tool):
    commands = {command.words: command.calls for command in tool.list_commands()}
    assert not [words for words, calls in commands.items() if not calls]
    assert commands["corrections export"] == ("export_corrections",)
    assert commands["download urls"] == ("download_urls",)
    assert commands["predict"] == ("predict_stream", "undo_sorting")


def test_every_command_of_the_parser_is_listed(tool, page):
    from distingo.cli import COMMANDS

    listed = {words.split()[0] for words in re.findall(r"^\| `distingo ([\w -]+)` \|", page, re.MULTILINE)}
    assert listed == set(COMMANDS)


def test_a_command_without_a_call_is_noticed(tool, monkeypatch):
    parser = argparse.ArgumentParser(prog="distingo")
    orphan = parser.add_subparsers().add_parser("orphan")
    orphan.set_defaults(command=test_a_command_without_a_call_is_noticed)
    monkeypatch.setattr("distingo.cli.build_parser", lambda: parser)
    assert tool.list_commands() == [tool.Command("orphan", ())]


def test_every_public_call_stands_on_the_page_once(tool, page):
    headings = re.findall(r"^### (\S+)$", page, re.MULTILINE)
    assert sorted(headings) == sorted(tool.public_names())


@pytest.mark.parametrize("module", ["distingo.sklearn", "distingo.runtime"])
def test_modules_with_a_surface_of_their_own_are_whole(tool, module):
    names = {f"{module}.{name}" for name in import_module(module).__all__}
    assert names <= tool.public_names()


def test_every_link_of_the_page_has_its_heading(page):
    slugs = {
        re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links
    assert links <= slugs


def test_a_call_is_rendered_with_its_signature_and_sections(tool):
    def shrink(image: str, *, by: float = 0.5) -> bytes:
        """Make an image smaller.

        Args:
            image: A path,
                relative or not.
            by: The factor.

        Raises:
            UsageError: It is out of range.
        """

    assert tool._render("distingo.shrink", shrink).splitlines() == [
        "### distingo.shrink",
        "",
        "```python",
        "distingo.shrink(image: str, *, by: float = 0.5) -> bytes",
        "```",
        "",
        "Make an image smaller.",
        "",
        "**Args**",
        "",
        "- `image`: A path,",
        "  relative or not.",
        "- `by`: The factor.",
        "",
        "**Raises**",
        "",
        "- `UsageError`: It is out of range.",
    ]


def test_the_check_of_the_tool_fails_on_an_old_page(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "PAGE", tmp_path / "python-reference.md")
    monkeypatch.setattr(sys, "argv", ["python_reference.py", "--check"])
    assert tool.main() == 1
    monkeypatch.setattr(sys, "argv", ["python_reference.py"])
    assert tool.main() == 0
    monkeypatch.setattr(sys, "argv", ["python_reference.py", "--check"])
    assert tool.main() == 0
    assert "up to date" in capsys.readouterr().out
