"""The catalog: by code the English sentence of every note."""

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
"""No code is in two of the parts; a test checks it."""
