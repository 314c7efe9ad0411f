"""The catalogs of sentences: complete, with the same places, and compiled."""

from __future__ import annotations

import ast
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

import distingo

babel = pytest.importorskip("babel", reason="babel, which gathers the sentences, is not installed")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "distingo"
assert Path(distingo.__file__).parent == SOURCE
TRANSLATED = ("es", "zh")
_PLACE = re.compile(r"%\(\w+\)s|%%|\{\w+\}")
_SENTENCE_CALLS = {"gettext", "ngettext", "pgettext", "marked"}

ENGLISH_SO_FAR = ("check", "comparison", "crossval", "inspection", "learning_curve", "run_chart", "tune")
"""What the names of templates begin with whose pages are written in English only; so are the sheets of `explain`."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> babel.messages.Catalog:
    """Every sentence of the source, gathered as `make messages` does."""
    from babel.messages.frontend import CommandLineInterface
    from babel.messages.pofile import read_po

    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (options,) = re.findall(r"^EXTRACT := (.*)$", makefile, re.MULTILINE)
    place = tmp_path_factory.mktemp("messages") / "distingo.pot"
    options = options.replace("pyproject.toml", str(ROOT / "pyproject.toml"))
    sys.path.insert(0, str(ROOT))  # for tools.extract_notes
    CommandLineInterface().run(["pybabel", "-q", "extract", *shlex.split(options), "-o", str(place), str(SOURCE)])
    with place.open("rb") as file:
        return read_po(file)


def read_catalog(language: str) -> babel.messages.Catalog:
    from babel.messages.pofile import read_po

    with (SOURCE / "messages" / language / "LC_MESSAGES" / "distingo.po").open("rb") as file:
        return read_po(file, locale=language)


def forms(message: babel.messages.Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def ids(catalog: babel.messages.Catalog) -> set[object]:
    return {message.id for message in catalog if message.id}


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_in_the_catalog_and_no_other(template: babel.messages.Catalog, language: str) -> None:
    assert len(ids(template)) > 400
    catalog = read_catalog(language)
    assert ids(template) - ids(catalog) == set(), "run `make messages` and translate"
    assert ids(catalog) - ids(template) == set(), "run `make messages`"


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated_with_the_same_places(language: str) -> None:
    for message in read_catalog(language):
        if not message.id:
            continue
        english = (message.id,) if isinstance(message.id, str) else message.id
        assert all(forms(message)), message.id
        assert not message.fuzzy, message.id
        for form in forms(message):
            assert sorted(_PLACE.findall(form)) in [sorted(_PLACE.findall(one)) for one in english], (message.id, form)
            assert sorted(re.findall(r"<[^>]*>", form)) == sorted(re.findall(r"<[^>]*>", english[0])), (
                message.id,
                form,
            )


def test_spanish_and_chinese_are_written_with_their_own_marks() -> None:
    for message in read_catalog("zh"):
        for form in forms(message) if message.id else ():
            assert not re.search(r"[\u4e00-\u9fff][,;:?!]|[,;:?!][\u4e00-\u9fff]", form), form
            assert not re.search(r"%% ?$|\d %%", form), form
    for message in read_catalog("es"):
        for form in forms(message) if message.id else ():
            assert not re.search(r"\d%%|\d,\d", form), form


@pytest.mark.parametrize("language", TRANSLATED)
def test_what_is_read_is_what_is_written(language: str) -> None:
    from babel.messages.mofile import read_mo, write_mo

    place = SOURCE / "messages" / language / "LC_MESSAGES" / "distingo.mo"
    compiled = io.BytesIO()
    write_mo(compiled, read_catalog(language))
    with place.open("rb") as file:
        shipped = {str(message.id): message.string for message in read_mo(file)}
    compiled.seek(0)
    assert shipped == {str(message.id): message.string for message in read_mo(compiled)}, "run `make messages`"


def test_no_sentence_hides_from_the_catalogs() -> None:
    """Sentences are gathered from calls with plain texts, and never from inside an f-string."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                for inner in ast.walk(node):
                    called = isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id
                    assert called not in _SENTENCE_CALLS, f"{path}:{node.lineno}"


def test_pages_name_both_forms_of_what_they_count() -> None:
    for path in sorted((SOURCE / "report" / "templates").rglob("*")):
        if path.suffix not in {".html", ".md"} or path.name.startswith(ENGLISH_SO_FAR):
            continue
        for found in re.findall(r"counted\((?:[^()]|\([^()]*\))*\)", path.read_text(encoding="utf-8")):
            words = re.findall(r"'[^']*'", found)
            assert len(words) % 2 == 0, f"{path.name}: {found}: the catalogs need both forms"
