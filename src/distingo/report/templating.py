"""Templates to one self-contained HTML file that loads nothing from outside.

Also here are the messages of a page's script and the names of settings, in the language of the page.
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


def page_words() -> dict[str, str]:
    """By the name that ``page.js`` knows each by; a place is ``{name}``."""
    return {
        "percent": percent_sign(),
        "comma": gettext(", "),
        "notEmbedded": gettext("not embedded"),
        "is": gettext("is %(names)s", names="{names}"),
        "withoutLabel": gettext("is without label"),
        "recognised": gettext("%(name)s recognized", name="{name}"),
        "takenFor": gettext("%(truth)s taken for %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "predicted": gettext("true class %(truth)s, predicted %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "found": gettext("%(label)s is there and was given", label="{label}"),
        "missed": gettext("%(label)s is there and was denied", label="{label}"),
        "invented": gettext("%(label)s is absent and was given", label="{label}"),
        "rest": gettext("%(label)s is absent and was denied", label="{label}"),
    }


def marked(message: str) -> str:
    """Mark a text for the catalogs; it is translated where it is shown."""
    return message


SETTINGS: Final[tuple[str, ...]] = (
    *(marked("model"), marked("height"), marked("width"), marked("channels"), marked("epochs"), marked("batch size")),
    *(marked("lr"), marked("optimizer"), marked("momentum"), marked("weight decay"), marked("schedule")),
    *(marked("warmup epochs"), marked("loss"), marked("label smoothing"), marked("dropout"), marked("class weights")),
    *(marked("positive weights"), marked("augment"), marked("normalise"), marked("ema decay"), marked("mode")),
    *(marked("weights"), marked("head"), marked("views"), marked("layer decay"), marked("batch norm")),
    *(marked("unfreeze epochs"), marked("monitor"), marked("patience"), marked("threshold aim")),
    *(marked("threshold wanted"), marked("seed"), marked("validation"), marked("test"), marked("precision")),
    *(marked("engine"), marked("device"), marked("folder"), marked("layout"), marked("task"), marked("classes")),
    *(marked("compared"), marked("too small to compare"), marked("from similarity"), marked("pairs"), marked("groups")),
    *(marked("largest group"), marked("changed sides for it"), marked("groups taken apart")),
    marked("pairs on two sides"),
    *(marked("system"), marked("processor"), marked("cores"), marked("threads")),
)


def setting_name(key: str) -> str:
    """A setting's name as people read it; that of a library, or one that is not known, as it is.

    Args:
        key: As in ``config.json``.
    """
    name = key.replace("_", " ")
    return translated(name) if name in SETTINGS else name


_MARKUP = re.compile(r"[\\`*{}\[\]<>|~]|(?<!\w)[_#]|_(?!\w)|^[+-](?=\s)|^\d+(?=[.)])")
"""What Markdown could take for more than text; an underscore inside a word is none."""

_GENERATOR = b'<meta name="generator" content="distingo '


def write_page(
    template: str, path: Path, context: Mapping[str, object], *, scripts: Sequence[str] = ("page.js",)
) -> Path:
    """Fill a template and write the page, or nothing.

    Everything that comes from a person's files is escaped by the template engine; besides, the page's own
    policy lets the browser run exactly one script, the one written here, and fetch nothing at all.

    Args:
        template: A file of ``report/templates``.
        path: Where the page shall be.
        context: The values that the template names.
        scripts: Files of ``report/templates`` that make up the one script.

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
    """Fill a Markdown template; what comes from a person's files has to pass through its filter ``plain``.

    Args:
        template: A file of ``report/templates`` that ends in ``.md``.
        context: The values that the template names.
    """
    environment = _environment(escaped=False)
    environment.filters.update(plain=plain_markdown, items_by_split=_by_split)
    filled: str = environment.get_template(template).render(**context)
    return filled


def plain_markdown(text: object) -> str:
    """A text that Markdown shows as it is, on one line, whatever it holds."""
    return _MARKUP.sub(_escape, " ".join(str(text).splitlines()))


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    if found == "<":
        return "&lt;"  # some readers take \< for the beginning of an element
    return f"{found}&#8203;" if found.isdigit() else f"\\{found}"


def _by_split(bars: Sequence[Bar]) -> dict[SplitName, int]:
    numbers: dict[SplitName, int] = dict.fromkeys(SPLITS, 0)
    numbers.update((bar.split, bar.number) for bar in bars)
    return numbers


def require_page(path: Path) -> None:
    """Refuse a place for a page where something lies that distingo did not write.

    Raises:
        UsageError: The name does not end in ``.html``.
        ResourceError: Something else is there.
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
    """The style sheet of every page: colors by day and by night, type, tables."""
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
        words=page_words,
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
    """Names in a row, each in an element of its own, so that no direction of writing stirs what is around it."""
    from markupsafe import Markup

    comma = catalog().gettext(", ")
    return Markup(comma).join(Markup("<bdi>{}</bdi>").format(name) for name in names)
