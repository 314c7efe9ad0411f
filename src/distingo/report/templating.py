"""Rendering of templates to self-contained HTML pages, and of Markdown templates.

The module also contains the messages of a page's script and the names of settings, in the language of the page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from distingo.errors import ResourceError, UsageError, option
from distingo.files import write_text
from distingo.language import catalog, count, gettext, language_tag, translated
from distingo.messages.notes import Note
from distingo.records import SPLITS, SplitName
from distingo.report.charts.class_balance import Bar
from distingo.report.text import wording
from distingo.report.text.wording import percent_sign
from distingo.version import __version__


def page_messages() -> dict[str, str]:
    """Return the messages of ``page.js`` by the name that it uses for each; placeholders are ``{name}``."""
    return {
        "percent": percent_sign(),
        "comma": gettext(", "),
        "notEmbedded": gettext("not embedded"),
        "is": gettext("is %(names)s", names="{names}"),
        "withoutLabel": gettext("has no label"),
        "recognised": gettext("%(name)s recognized", name="{name}"),
        "takenFor": gettext("%(truth)s predicted as %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "predicted": gettext("true class %(truth)s, predicted %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "found": gettext("%(label)s is present and predicted", label="{label}"),
        "missed": gettext("%(label)s is present and not predicted", label="{label}"),
        "invented": gettext("%(label)s is absent and predicted", label="{label}"),
        "rest": gettext("%(label)s is absent and not predicted", label="{label}"),
    }


def marked(message: str) -> str:
    """Mark a text for extraction into the catalogs; it is translated when it is shown."""
    return message


SETTINGS: Final[tuple[str, ...]] = (
    *(marked("model"), marked("height"), marked("width"), marked("channels"), marked("epochs"), marked("batch size")),
    *(marked("lr"), marked("optimizer"), marked("momentum"), marked("weight decay"), marked("schedule")),
    *(marked("warmup epochs"), marked("loss"), marked("label smoothing"), marked("dropout"), marked("class weights")),
    *(marked("positive weights"), marked("augment"), marked("normalize"), marked("ema decay"), marked("mode")),
    *(marked("weights"), marked("head"), marked("views"), marked("layer decay"), marked("batch norm")),
    *(marked("unfreeze epochs"), marked("monitor"), marked("patience"), marked("threshold aim")),
    *(marked("threshold target"), marked("seed"), marked("validation"), marked("test"), marked("precision")),
    *(marked("engine"), marked("device"), marked("folder"), marked("layout"), marked("task"), marked("classes")),
    *(marked("compared"), marked("too small to compare"), marked("from similarity"), marked("pairs"), marked("groups")),
    *(marked("largest group"), marked("changed splits for it"), marked("divided groups")),
    marked("pairs on two splits"),
    *(marked("system"), marked("processor"), marked("cores"), marked("threads")),
)


def setting_name(key: str) -> str:
    """Translate a setting's name; names of libraries and unknown names are returned with spaces for underscores.

    Args:
        key: The key in ``config.json``.
    """
    name = key.replace("_", " ")
    return translated(name) if name in SETTINGS else name


_MARKUP = re.compile(r"[\\`*{}\[\]<>|~]|(?<!\w)[_#]|_(?!\w)|^[+-](?=\s)|^\d+(?=[.)])")
"""Characters that Markdown could interpret as markup; an underscore inside a word is not markup."""

_GENERATOR = b'<meta name="generator" content="distingo '


def write_page(
    template: str, path: Path, context: Mapping[str, object], *, scripts: Sequence[str] = ("page.js",)
) -> Path:
    """Render a template and write the page atomically.

    The template engine escapes everything that comes from a person's files. In addition, the page's content security
    policy allows the browser to run only the script written here and to load nothing else.

    Args:
        template: A file of ``report/templates``.
        path: The page to write.
        context: The template's variables.
        scripts: Files of ``report/templates`` that are concatenated to the page's script.

    Returns:
        The path.

    Raises:
        ResourceError: The page can't be written.
    """
    environment = _environment()
    style = house_style()
    content = "".join(_asset(name) for name in scripts)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
    page = environment.get_template(template).render(
        **context, style=style, script=content, script_digest=digest, version=__version__
    )
    write_text(path, page)
    return path


def fill_text(template: str, context: Mapping[str, object]) -> str:
    """Render a Markdown template, which must pass text from a person's files through its filter ``plain``.

    Args:
        template: A ``.md`` file of ``report/templates``.
        context: The template's variables.
    """
    environment = _environment(escaped=False)
    environment.filters.update(plain=plain_markdown, items_by_split=_by_split)
    text: str = environment.get_template(template).render(**context)
    return text


def plain_markdown(text: object) -> str:
    """Escape a text so that Markdown shows it literally, on one line."""
    return _MARKUP.sub(_escape, " ".join(str(text).splitlines()))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character == "<":
        return "&lt;"  # some renderers take \< for the beginning of an element
    return f"{character}&#8203;" if character.isdigit() else f"\\{character}"


def _by_split(bars: Sequence[Bar]) -> dict[SplitName, int]:
    numbers: dict[SplitName, int] = dict.fromkeys(SPLITS, 0)
    numbers.update((bar.split, bar.number) for bar in bars)
    return numbers


def require_page(path: Path) -> None:
    """Raise an error unless the path of a page is free or has an older page of distingo's.

    Raises:
        UsageError: The name does not end in ``.html``.
        ResourceError: The path exists and was not written by distingo.
    """
    if path.suffix.lower() != ".html":
        raise UsageError(
            f"{path}: is no name for a page; choose one that ends in .html",
            code="invalid_file_name",
            parameter="output",
        )
    if path.exists() and not (path.is_file() and _GENERATOR in path.read_bytes()[:2000]):
        raise ResourceError(
            f"{path}: exists already, and is no page of distingo's; choose another {option('output')}",
            code="already_exists",
            parameter="output",
        )


def house_style() -> str:
    """Return the style sheet of all pages: light and dark colors, fonts, tables."""
    return _asset("style.css")


def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _environment(*, escaped: bool = True) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.add_extension("jinja2.ext.i18n")
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: catalog().gettext(message),
        lambda one, many, number: catalog().ngettext(one, many, number),
        newstyle=True,
        pgettext=lambda context, message: catalog().pgettext(context, message),
    )
    environment.filters.update(
        term=lambda code: str(Note(code)),
        setting_name=lambda name: setting_name(str(name)),
        percent=wording.percent,
        count=count,
        setting=wording.setting,
        baseline_name=wording.baseline_name,
        duration=wording.duration,
        file_size=wording.file_size,
        p_value=wording.p_value,
    )
    environment.globals.update(
        counted=wording.counted,
        isolate=_isolate,
        language_tag=language_tag,
        score_meaning=wording.score_meaning,
        split_images=wording.split_images,
        words=page_messages,
        score_name=wording.score_name,
        score_value=wording.score_value,
        score_range=wording.score_range,
        score_interval=wording.score_interval,
        points_interval=wording.points_interval,
        points_difference=wording.points_difference,
        points_range=wording.points_range,
    )
    return environment


def _isolate(*names: str) -> Any:
    """Join names, each in a ``<bdi>`` element, so that its writing direction does not affect the surrounding text."""
    from markupsafe import Markup

    comma = catalog().gettext(", ")
    return Markup(comma).join(Markup("<bdi>{}</bdi>").format(name) for name in names)
