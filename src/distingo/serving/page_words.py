"""What the page says, in the language that is being written in."""

from __future__ import annotations

from distingo.language import gettext
from distingo.report.wording import percent_sign


def page_words() -> dict[str, str]:
    """By the name that the page knows each by; a place is ``{name}``."""
    return {**_frame(), **_options(), **_answers(), **_explanations(), **_corrections(), **_history(), **_errors()}


def _frame() -> dict[str, str]:
    return {
        "percent": percent_sign(),
        "comma": gettext(", "),
        "heading": gettext("What does the picture show?"),
        "privacy": gettext("Pictures go to this server only, and it keeps none of them."),
        "privacyWithCorrections": gettext("Pictures go to this server only. It keeps none but those that you correct."),
        "drop": gettext("Drop pictures here, or paste them"),
        "dropNow": gettext("Let go: the pictures are looked at"),
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
        "holding": gettext("with %(share)s certainty", share="{share}"),
    }


def _answers() -> dict[str, str]:
    return {
        "looking": gettext("Looking at the picture …"),
        "busy": gettext("The server is busy; it is asked again …"),
        "dontKnow": gettext("I don’t know."),
        "notSure": gettext(
            "The model is not sure enough for what was asked: at most %(share)s wrong answers.", share="{share}"
        ),
        "unlike": gettext("The picture is unlike those the model was trained on. What it says here may mean nothing."),
        "bestGuess": gettext("If it had to say: %(label)s, %(share)s.", label="{label}", share="{share}"),
        "noLabel": gettext("None of the labels"),
        "noneReached": gettext("No label reaches the probability from which it is given."),
        "setOf": gettext("Possible with %(share)s certainty:", share="{share}"),
        "emptySet": gettext("With %(share)s certainty the set of possible classes is empty.", share="{share}"),
        "givenFrom": gettext("given from %(share)s on", share="{share}"),
        "marks": gettext("The marks on the bars: from which probability on a label is given."),
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
        "speaksFor": gettext("What speaks for %(label)s: the brighter, the more.", label="{label}"),
        "nothingSpeaks": gettext("Nothing in the picture can be shown to speak for the answer."),
        "neighbours": gettext("Most like it in training"),
        "noTrainingPicture": gettext("not kept"),
        "neighbour": gettext("training picture: %(label)s", label="{label}"),
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
        "keptBy": gettext("The owner of this server keeps the picture with your answer, and nothing about you."),
        "unknownClass": gettext("%(label)s is none of the model’s classes.", label="{label}"),
        "chooseOne": gettext("Choose a class first."),
        "thanks": gettext("Thank you. It is kept as %(labels)s.", labels="{labels}"),
        "withoutLabel": gettext("a picture without label"),
        "change": gettext("Change"),
    }


def _history() -> dict[str, str]:
    return {
        "history": gettext("History"),
        "historyLead": gettext("It is kept in this browser only."),
        "keepHistory": gettext("Keep a history"),
        "clearHistory": gettext("Clear the history"),
        "clearAsk": gettext("Clear the whole history? It can’t be brought back."),
        "clear": gettext("Clear"),
        "historyEmpty": gettext("Nothing is kept yet."),
        "fromHistory": gettext("from the history, %(time)s", time="{time}"),
    }


def _errors() -> dict[str, str]:
    return {
        "again": gettext("Try again"),
        "key": gettext("This server asks for a key"),
        "keyLabel": gettext("Key"),
        "keyText": gettext("It is kept until this tab is closed."),
        "goOn": gettext("Go on"),
        "error400": gettext("The server does not understand the request."),
        "error401": gettext("The key is not right."),
        "error403": gettext("The server does not allow this."),
        "error413": gettext("The picture is too large for this server."),
        "error415": gettext("This is no picture in a format that the server takes."),
        "error422": gettext("The server can’t answer for this picture."),
        "error429": gettext("Too many requests came; wait a moment."),
        "error503": gettext("The server is too busy; try again in a moment."),
        "errorOther": gettext("The server failed (%(status)s).", status="{status}"),
        "unreachable": gettext("The server can’t be reached. Is it still running?"),
        "unreadable": gettext("The browser can’t read this file."),
    }
