"""Texts as the synthetic voices must be told to read them.

The Mandarin voice reads pinyin with tone digits (on characters it says the tones aloud), so characters become pinyin
here. Numbers are read digit by digit in both languages, the way telephone numbers are.
"""

from __future__ import annotations

import re

from pypinyin import Style, lazy_pinyin

_DIGITS = re.compile(r"\d+")
# A Uyghur case ending written after digits ("9 نى") belongs to the last digit's word.
_DIGITS_WITH_ENDING = re.compile(r"(\d+)(?: (?=(?:نىڭ|نى|غا|گە|قا|كە|دا|دە)\b))?")
_CLAUSE = re.compile(r"([^,，、;；:：.。!！?？،؛؟]+)([,，、;；:：.。!！?？،؛؟]*)")
_HOTLINE = "12345"
_PINYIN_DIGITS = ("ling2", "yi1", "er4", "san1", "si4", "wu3", "liu4", "qi1", "ba1", "jiu3")
_UYGHUR_DIGITS = ("نۆل", "بىر", "ئىككى", "ئۈچ", "تۆت", "بەش", "ئالتە", "يەتتە", "سەككىز", "توققۇز")
_FULL_STOPS = frozenset(".。!！?？؟")


def clauses(text: str) -> list[tuple[str, bool]]:
    """The clauses of a text, each with whether it ends a sentence. Each is spoken by itself: so the pauses between
    them are ours to decide (the voice's own are long, and it makes none after a Chinese full stop)."""
    found = [(words.strip(), bool(_FULL_STOPS.intersection(stop))) for words, stop in _CLAUSE.findall(text)]
    return [(words, ends) for words, ends in found if words]


def pinyin_digits(digits: str) -> str:
    """Digits in pinyin: 1 is yāo in numbers of three digits and more (110 yāo yāo líng), except in 12345 itself,
    which everybody knows as yī èr sān sì wǔ."""
    one = "yao1" if len(digits) >= 3 and digits != _HOTLINE else "yi1"
    return " ".join(one if digit == "1" else _PINYIN_DIGITS[int(digit)] for digit in digits)


def mandarin(clause: str) -> str:
    """A Chinese clause in pinyin with tone digits, tone sandhi applied."""
    words: list[str] = []
    position = 0
    for match in _DIGITS.finditer(clause):
        words += [*_pinyin(clause[position : match.start()]), pinyin_digits(match.group())]
        position = match.end()
    return " ".join([*words, *_pinyin(clause[position:])])


def uyghur(clause: str) -> str:
    """A Uyghur clause with its digits as words, case endings joined to them."""

    def words(match: re.Match[str]) -> str:
        return " ".join(_UYGHUR_DIGITS[int(digit)] for digit in match.group(1))

    return _DIGITS_WITH_ENDING.sub(words, clause)


def _pinyin(text: str) -> list[str]:
    style = Style.TONE3
    return lazy_pinyin(text, style=style, tone_sandhi=True, neutral_tone_with_five=True, v_to_u=True) if text else []
