"""``GET /`` and ``GET /page/FILE``: the page on which a person drops pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from distingo.files import content_hash
from distingo.language import LANGUAGES, Language, language_tag, written_in
from distingo.report.templating import house_style
from distingo.serving.page_words import page_words
from distingo.serving.settings import ServeSettings
from distingo.version import __version__

_PAGE = Path(__file__).parent / "page"
_STYLE = "style.css"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def add_page(app: FastAPI, settings: ServeSettings) -> None:
    """Offer the page; whoever adds it sees to the headers that keep the browser from asking elsewhere.

    Args:
        app: To add it to.
        settings: The limits tell the browser which pictures to make smaller.
    """
    words = _all_words()
    pages = {
        (language, asked): _write_page(language, settings, words, asked=asked)
        for language in LANGUAGES
        for asked in (False, True)
    }
    files = _read_files()

    @app.get("/", include_in_schema=False)
    async def show_page(request: Request) -> Response:
        asked = next((each for each in LANGUAGES if each == request.query_params.get("language")), None)
        language = asked or choose_language(request.headers.get("accept-language", ""))
        content = pages[language, asked is not None]
        return _answer(request, content, "text/html", vary="Accept-Language")

    @app.get("/page/{name}", include_in_schema=False)
    async def send_file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(request, files[name], _MEDIA_TYPES[Path(name).suffix])


def choose_language(accepted: str) -> Language:
    """The language that a browser would rather have.

    Args:
        accepted: What it says in ``Accept-Language``, for example ``de, zh-TW;q=0.8, en;q=0.5``.

    Returns:
        The first that there is; English where there is none.
    """
    ranked: list[tuple[float, int, Language]] = []
    for place, item in enumerate(accepted.split(",")[:50]):
        tag, _, quality = item.partition(";")
        base = tag.strip().lower().partition("-")[0]
        weight = _weight(quality)
        ranked += [(-weight, place, each) for each in LANGUAGES if each == base and weight > 0]
    return min(ranked)[2] if ranked else "en"


def _weight(quality: str) -> float:
    name, _, value = quality.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0


def _all_words() -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        with written_in(language):
            words[language] = page_words()
    return words


def _write_page(language: Language, settings: ServeSettings, words: dict[str, dict[str, str]], *, asked: bool) -> bytes:
    """The page in a language, with the words of all of them: another one can be chosen without asking the server."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined)
    with written_in(language):
        tag = language_tag()
    limits = {"bytes": settings.max_upload, "pixels": settings.max_pixels}
    allowed = {"corrections": settings.corrections is not None, "newClasses": settings.new_classes}
    told = {**allowed, "limits": limits, "language": language, "asked": asked, "words": words}
    values: dict[str, Any] = {
        "tag": tag,
        "words": words[language],
        "settings": told,
        "privacy": "privacyWithCorrections" if settings.corrections is not None else "privacy",
        "version": __version__,
    }
    return environment.get_template("page.html").render(values).encode("utf-8")


def _read_files() -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in _PAGE.iterdir() if path.suffix in {".js", ".svg"}}
    files[_STYLE] = (house_style() + (_PAGE / "page.css").read_text(encoding="utf-8")).encode("utf-8")
    return files


def _answer(request: Request, content: bytes, media_type: str, vary: str | None = None) -> Response:
    """The content, or 304 where the browser has it already; it asks every time, so that an update shows at once."""
    tag = f'"{content_hash(content)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", **({"Vary": vary} if vary else {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
