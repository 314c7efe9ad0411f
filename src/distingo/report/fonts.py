"""A font of this machine for characters that the usual ones lack, as fontconfig tells."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache

_SECONDS = 5.0
_KANA = range(0x3040, 0x3100)
_HANGUL = range(0xAC00, 0xD7B0)


@lru_cache(maxsize=256)
def fallback_font(letter: str, writing: str = "") -> tuple[str, int] | None:
    """A font file that has a character.

    Args:
        letter: The character.
        writing: A language whose form of it is wanted (``zh-cn``, ``ja``), as Chinese and Japanese draw one character
            in their own ways; empty for any.

    Returns:
        The file and the number of the font in it; None where no font has the character, or nobody can tell.
    """
    asked = shutil.which("fc-match")
    if asked is None:
        return None
    pattern = f":charset={ord(letter):x}" + (f":lang={writing}" if writing else "")
    try:
        answer = subprocess.run(
            [asked, "-f", "%{file}\n%{index}\n%{charset}", pattern],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    file, _, rest = answer.partition("\n")
    index, _, charset = rest.partition("\n")
    # the best match is told even where it lacks the character
    number = int(index or 0) & 0xFFFF  # the upper half names a variation of the font
    return (file, number) if file and _holds(charset, ord(letter)) else None


def writing_of(text: str) -> str:
    """The language whose forms a text with Chinese characters wants: by its kana or hangul, else Chinese."""
    codes = [ord(letter) for letter in text]
    if any(code in _KANA for code in codes):
        return "ja"
    return "ko" if any(code in _HANGUL for code in codes) else "zh-cn"


def _holds(charset: str, code: int) -> bool:
    """Whether fontconfig's list of hexadecimal ranges (``20-7e a0-17f``) has a code."""
    for part in charset.split():
        first, _, last = part.partition("-")
        if int(first, 16) <= code <= int(last or first, 16):
            return True
    return False
