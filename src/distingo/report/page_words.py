"""The sentences that a page's script writes, in the language of the page."""

from __future__ import annotations

from distingo.language import gettext
from distingo.report.wording import percent_sign


def page_words() -> dict[str, str]:
    """By the name that ``page.js`` knows each by; a place is ``{name}``."""
    return {
        "percent": percent_sign(),
        "comma": gettext(", "),
        "notEmbedded": gettext("not embedded"),
        "is": gettext("is %(names)s", names="{names}"),
        "withoutLabel": gettext("is without label"),
        "recognised": gettext("%(name)s recognised", name="{name}"),
        "takenFor": gettext("%(truth)s taken for %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "predicted": gettext("true class %(truth)s, predicted %(predicted)s", truth="{truth}", predicted="{predicted}"),
        "found": gettext("%(label)s is there and was given", label="{label}"),
        "missed": gettext("%(label)s is there and was denied", label="{label}"),
        "invented": gettext("%(label)s is absent and was given", label="{label}"),
        "rest": gettext("%(label)s is absent and was denied", label="{label}"),
    }
