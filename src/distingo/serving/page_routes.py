"""The routes ``GET /`` and ``GET /page/FILE``, which serve the web page for uploading images in all languages."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from distingo.files import content_hash
from distingo.language import LANGUAGES, Language, gettext, language_tag, use_language
from distingo.report.templating import house_style
from distingo.report.text.wording import percent_sign
from distingo.serving.http.guard import read_weights
from distingo.serving.settings import ServeSettings
from distingo.version import __version__

_PAGE = Path(__file__).parent / "page"
_STYLE = "style.css"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page_messages() -> dict[str, str]:
    """The page's messages, by their names in its scripts; placeholders are written ``{name}``."""
    return {**_frame(), **_options(), **_answers(), **_explanations(), **_corrections(), **_history(), **_errors()}


def _frame() -> dict[str, str]:
    return {
        "percent": percent_sign(),
        "comma": gettext(", "),
        "heading": gettext("What does the picture show?"),
        "privacy": gettext("Pictures are sent to this server only, which does not store them."),
        "privacyWithCorrections": gettext(
            "Pictures are sent to this server only. It stores only those that you correct."
        ),
        "drop": gettext("Drop pictures here, or paste them"),
        "dropNow": gettext("Drop the pictures to classify them"),
        "choose": gettext("Choose pictures"),
        "photograph": gettext("Take a photograph"),
        "skip": gettext("Skip to the results"),
        "language": gettext("Language"),
        "results": gettext("Results"),
        "removeAll": gettext("Remove all"),
        "remove": gettext("Remove %(name)s", name="{name}"),
        "noScript": gettext("This page needs JavaScript; all of it comes from this server."),
    }


def _options() -> dict[str, str]:
    return {
        "model": gettext("Model"),
        "answers": gettext("Answer"),
        "always": gettext("always"),
        "atMostWrong": gettext("only if at most %(share)s are wrong", share="{share}"),
        "sets": gettext("Possible classes"),
        "noSet": gettext("are not listed"),
        "holding": gettext("at %(share)s coverage", share="{share}"),
    }


def _answers() -> dict[str, str]:
    return {
        "looking": gettext("Classifying the picture …"),
        "busy": gettext("The server is busy; trying again …"),
        "dontKnow": gettext("I don’t know."),
        "notSure": gettext(
            "The model is not confident enough for the requested share of at most %(share)s wrong answers.",
            share="{share}",
        ),
        "unlike": gettext("The picture is unlike those of training, so this prediction may be meaningless."),
        "bestGuess": gettext("Best guess: %(label)s, %(share)s.", label="{label}", share="{share}"),
        "noLabel": gettext("None of the labels"),
        "noneReached": gettext("No label reaches its threshold."),
        "setOf": gettext("Possible at %(share)s coverage:", share="{share}"),
        "emptySet": gettext("At %(share)s coverage the set of possible classes is empty.", share="{share}"),
        "givenFrom": gettext("predicted from %(share)s on", share="{share}"),
        "marks": gettext("The marks on the bars are the thresholds from which a label is predicted."),
        "scaled": gettext(
            "scaled down to %(width)s × %(height)s before it was sent", width="{width}", height="{height}"
        ),
        "noPreview": gettext("The browser can’t show this format."),
        "answered": gettext("%(name)s: %(answer)s", name="{name}", answer="{answer}"),
    }


def _explanations() -> dict[str, str]:
    return {
        "why": gettext("Show why"),
        "heat": gettext("Heat map"),
        "opacity": gettext("Opacity"),
        "speaksFor": gettext("What supports %(label)s: brighter means more.", label="{label}"),
        "nothingSpeaks": gettext("No part of the picture can be shown to support the answer."),
        "neighbors": gettext("Most similar in training"),
        "noTrainingPicture": gettext("not kept"),
        "neighbor": gettext("training picture: %(label)s", label="{label}"),
        "distance": gettext("distance %(number)s", number="{number}"),
    }


def _corrections() -> dict[str, str]:
    return {
        "wrong": gettext("Wrong? It is …"),
        "rightClass": gettext("The right class"),
        "rightLabels": gettext("The right labels, perhaps none"),
        "another": gettext("Another class"),
        "add": gettext("Add"),
        "send": gettext("Send"),
        "cancel": gettext("Cancel"),
        "keptBy": gettext("The owner of this server stores the picture with your answer, and nothing about you."),
        "unknownClass": gettext("%(label)s is none of the model’s classes.", label="{label}"),
        "chooseOne": gettext("Choose a class first."),
        "thanks": gettext("Thank you. Stored as %(labels)s.", labels="{labels}"),
        "withoutLabel": gettext("a picture without label"),
        "change": gettext("Change"),
    }


def _history() -> dict[str, str]:
    return {
        "history": gettext("History"),
        "historyLead": gettext("Stored in this browser only."),
        "keepHistory": gettext("Keep a history"),
        "clearHistory": gettext("Clear the history"),
        "clearAsk": gettext("Clear the whole history? It can’t be brought back."),
        "clear": gettext("Clear"),
        "historyEmpty": gettext("Nothing is stored yet."),
        "fromHistory": gettext("from the history, %(time)s", time="{time}"),
    }


def _errors() -> dict[str, str]:
    return {
        "again": gettext("Try again"),
        "key": gettext("This server asks for a key"),
        "keyLabel": gettext("Key"),
        "keyText": gettext("Stored until this tab is closed."),
        "goOn": gettext("Continue"),
        "error400": gettext("The server does not understand the request."),
        "error401": gettext("The key is wrong."),
        "error403": gettext("The server does not allow this."),
        "error413": gettext("The picture is too large for this server."),
        "error415": gettext("This is not a picture in a format that the server accepts."),
        "error422": gettext("The server can’t answer for this picture."),
        "error429": gettext("Too many requests came; wait a moment."),
        "error503": gettext("The server is too busy; try again in a moment."),
        "errorOther": gettext("The server failed (%(status)s).", status="{status}"),
        "unreachable": gettext("The server can’t be reached. Is it still running?"),
        "unreadable": gettext("The browser can’t read this file."),
    }


def add_page(app: FastAPI, settings: ServeSettings) -> None:
    """Add the page; the guard adds the headers that prevent the browser from loading anything from other servers.

    Args:
        app: The application to add it to.
        settings: The server's settings; the page shrinks images that exceed their limits before it uploads them.
    """
    words = _messages_by_language()
    pages = {
        (language, requested): _write_page(language, settings, words, requested=requested)
        for language in LANGUAGES
        for requested in (False, True)
    }
    files = _read_files()

    @app.get("/", include_in_schema=False)
    async def show_page(request: Request) -> Response:
        requested = next((each for each in LANGUAGES if each == request.query_params.get("language")), None)
        language = requested or choose_language(request.headers.get("accept-language", ""))
        content = pages[language, requested is not None]
        return _answer(request, content, "text/html", vary="Accept-Language")

    @app.get("/page/{name}", include_in_schema=False)
    async def send_file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return _answer(request, files[name], _MEDIA_TYPES[Path(name).suffix])


def choose_language(accepted: str) -> Language:
    """Choose the language that a browser prefers.

    Args:
        accepted: The ``Accept-Language`` header, for example ``de, zh-TW;q=0.8, en;q=0.5``.

    Returns:
        The most preferred language that the page is available in; English if it is available in none of them.
    """
    bases = [(name.partition("-")[0], weight) for name, weight in read_weights(accepted)]
    available = [(weight, each) for base, weight in bases for each in LANGUAGES if each == base and weight > 0]
    return max(available, key=lambda pair: pair[0])[1] if available else "en"


def _messages_by_language() -> dict[str, dict[str, str]]:
    words: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        with use_language(language):
            words[language] = page_messages()
    return words


def _write_page(
    language: Language, settings: ServeSettings, words: dict[str, dict[str, str]], *, requested: bool
) -> bytes:
    """Render the page in a language, with the messages of all languages so that switching needs no request."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined)
    with use_language(language):
        tag = language_tag()
    limits = {"bytes": settings.max_upload, "pixels": settings.max_pixels}
    allowed = {"corrections": settings.corrections is not None, "newClasses": settings.new_classes}
    options = {**allowed, "limits": limits, "language": language, "asked": requested, "words": words}
    values: dict[str, object] = {
        "tag": tag,
        "words": words[language],
        "settings": options,
        "privacy": "privacyWithCorrections" if settings.corrections is not None else "privacy",
        "version": __version__,
    }
    return environment.get_template("page.html").render(values).encode("utf-8")


def _read_files() -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in _PAGE.iterdir() if path.suffix in {".js", ".svg"}}
    files[_STYLE] = (house_style() + (_PAGE / "page.css").read_text(encoding="utf-8")).encode("utf-8")
    return files


def _answer(request: Request, content: bytes, media_type: str, vary: str | None = None) -> Response:
    """Send content, or 304 if the browser has it already; browsers revalidate it every time to get updates at once."""
    tag = f'"{content_hash(content)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", **({"Vary": vary} if vary else {})}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=media_type)
