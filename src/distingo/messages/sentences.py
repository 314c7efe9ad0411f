"""The catalog: the English message of every note's code."""

from __future__ import annotations

from distingo.messages.data_sentences import DATA
from distingo.messages.notes import Sentence, says
from distingo.messages.reason_sentences import REASONS
from distingo.messages.run_sentences import RUNS

SENTENCES: dict[str, Sentence] = {
    "text": Sentence("%(text)s"),
    "more": says("%(count)s more"),
    **REASONS,
    **DATA,
    **RUNS,
}
"""All messages by code; a test checks that the parts have no code in common."""
