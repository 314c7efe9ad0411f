"""Text of any script on drawn images: each character in the first font of this machine that has it."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import cached_property, lru_cache

from PIL import Image, ImageDraw, ImageFont

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
    program = shutil.which("fc-match")
    if program is None:
        return None
    pattern = f":charset={ord(letter):x}" + (f":lang={writing}" if writing else "")
    try:
        answer = subprocess.run(
            [program, "-f", "%{file}\n%{index}\n%{charset}", pattern],
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
    return (file, number) if file and _contains(charset, ord(letter)) else None


def writing_of(text: str) -> str:
    """The language whose forms a text with Chinese characters wants: by its kana or hangul, else Chinese."""
    codes = [ord(letter) for letter in text]
    if any(code in _KANA for code in codes):
        return "ja"
    return "ko" if any(code in _HANGUL for code in codes) else "zh-cn"


def _contains(charset: str, code: int) -> bool:
    """Whether fontconfig's list of hexadecimal ranges (``20-7e a0-17f``) has a code."""
    for part in charset.split():
        first, _, last = part.partition("-")
        if int(first, 16) <= code <= int(last or first, 16):
            return True
    return False


_REGULAR = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "segoeui.ttf")

_BOLD = ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "Arial Bold.ttf", "arialbd.ttf", "segoeuib.ttf")

_OTHER_SCRIPTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansSymbols2-Regular.ttf",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "msyh.ttc",
    "simhei.ttf",
)

_EMOJI = (("NotoColorEmoji.ttf", 109), ("Apple Color Emoji.ttc", 160), ("seguiemj.ttf", 109))
"""Color fonts, the first two with images of one size only."""

_FIRST_EMOJI = 0x1F000

_JOINERS = {0x200D, 0xFE0E, 0xFE0F}

_SKIN_TONES = range(0x1F3FB, 0x1F400)

_NO_CHARACTER = "\U0010ffff"

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Lettering:
    """Text of one size.

    Args:
        size: Of the letters, in pixels.
        bold: Whether in a bold font where there is one.
    """

    def __init__(self, size: int, *, bold: bool = False) -> None:
        self.size = size
        self._bold = bold

    def width(self, text: str) -> float:
        """Pixels across that a line of text takes."""
        return sum(self._run_width(run, font) for run, font in self._runs(text))

    def fit(self, text: str, width: float) -> str:
        """Cut a line with an ellipsis so that it takes no more than so many pixels; white space becomes blanks."""
        text = " ".join(text.split())
        if self.width(text) <= width:
            return text
        while text and self.width(f"{text}…") > width:
            text = text[:-1].rstrip()
        return f"{text}…" if text else ""

    def wrap(self, text: str, width: float) -> list[str]:
        """Break a text into lines of at most so many pixels; a longer word is cut."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self.width(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(self.fit(word, width))
        return lines

    def draw(self, sheet: Image.Image, at: tuple[float, float], text: str, fill: str = "#222222") -> None:
        """Write a line.

        Args:
            sheet: RGB; drawn on.
            at: Left, and top of the letters' line.
            text: The line.
            fill: Color.
        """
        left, top = at
        pen = ImageDraw.Draw(sheet)
        for run, font in self._runs(text):
            if font is None:
                left = self._draw_emoji(sheet, left, top, run)
                continue
            if isinstance(font, ImageFont.FreeTypeFont):
                # one line for the letters of all fonts
                pen.text((left, top + self.size), run, fill=fill, font=font, anchor="ls")
            else:
                pen.text((left, top), run, fill=fill, font=font)
            left += font.getlength(run)

    def _draw_emoji(self, sheet: Image.Image, left: float, top: float, run: str) -> float:
        font = _emoji_font()
        assert font is not None
        width = self._run_width(run, None)
        box = font.getbbox(run)
        drawn = Image.new("RGBA", (max(1, round(box[2])), max(1, round(box[3]))))
        ImageDraw.Draw(drawn).text((0, 0), run, font=font, embedded_color=True)
        drawn = drawn.crop((0, round(box[1]), drawn.width, drawn.height))
        height = round(self.size * 1.15)
        small = drawn.resize((max(1, round(width)), height), Image.Resampling.LANCZOS)
        sheet.paste(small, (round(left), round(top + 0.05 * self.size)), small)
        return left + width

    def _run_width(self, run: str, font: _Font | None) -> float:
        if font is not None:
            return float(font.getlength(run))
        emoji = _emoji_font()
        assert emoji is not None
        return float(emoji.getlength(run)) * self.size * 1.15 / emoji.size

    def _runs(self, text: str) -> Iterator[tuple[str, _Font | None]]:
        """The text in pieces of one font each; None is the color font."""
        run = ""
        current: _Font | None = self._fonts[0]
        writing = writing_of(text)
        for letter in text.encode("utf-8", "replace").decode("utf-8"):
            font = current if run and _sticks(letter) else self._font_for(letter, current, writing)
            if font is not current and run:
                yield run, current
                run = ""
            run, current = run + letter, font
        if run:
            yield run, current

    def _font_for(self, letter: str, current: _Font | None, writing: str) -> _Font | None:
        if ord(letter) >= _FIRST_EMOJI and _emoji_font() is not None:
            return None
        if letter.isspace() and current is not None:
            return current
        known = next((font for font in self._fonts if _has(font, letter)), None)
        return known or _open_fallback(letter, writing, self.size) or self._fonts[0]

    @cached_property
    def _fonts(self) -> tuple[_Font, ...]:
        return _fonts(self.size, bold=self._bold)


def _sticks(letter: str) -> bool:
    """Whether a character belongs to the one before it."""
    return ord(letter) in _JOINERS or ord(letter) in _SKIN_TONES or unicodedata.combining(letter) > 0


@lru_cache(maxsize=16)
def _fonts(size: int, *, bold: bool) -> tuple[_Font, ...]:
    names = (*(_BOLD if bold else ()), *_REGULAR, *_OTHER_SCRIPTS)
    found = tuple(font for name in names if (font := _open(name, size)) is not None)
    return found or (ImageFont.load_default(size),)


@lru_cache(maxsize=1)
def _emoji_font() -> ImageFont.FreeTypeFont | None:
    return next((font for name, size in _EMOJI if (font := _open(name, size)) is not None), None)


@lru_cache(maxsize=1024)
def _open_fallback(letter: str, writing: str, size: int) -> ImageFont.FreeTypeFont | None:
    """The font that fontconfig names for a character that all the usual ones lack."""
    found = fallback_font(letter, writing)
    return None if found is None else _open(found[0], size, index=found[1])


def _open(name: str, size: int, *, index: int = 0) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size, index=index)
    except (OSError, ImportError):  # not here, or a Pillow without FreeType
        return None


@lru_cache(maxsize=8192)
def _has(font: _Font, letter: str) -> bool:
    if not isinstance(font, ImageFont.FreeTypeFont):
        return True
    # a font draws every character it lacks as the same box
    return bytes(font.getmask(letter)) != bytes(font.getmask(_NO_CHARACTER))
