"""Masking of what identifies a caller (SPEC 3.7: 138****0001)."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![\w.:-])\+?\d(?:[\d-]{5,17})\d(?![\w:-])")


def mask_number(number: str) -> str:
    """Hide the middle of a telephone number: first three and last four digits stay, short ones lose their middle.

    Service numbers of up to five digits (12345, 110) identify nobody and stay as they are.
    """
    if len(number) <= 5:
        return number
    if len(number) < 8:
        return number[:1] + "*" * (len(number) - 2) + number[-1:]
    return number[:3] + "*" * (len(number) - 7) + number[-4:]


def mask_text(text: str) -> str:
    """Mask each run of digits in ``text`` that can be a telephone number."""
    return _NUMBER.sub(lambda match: mask_number(match.group()), text)
