"""How Asterisk reads a command line and an application's arguments."""

from __future__ import annotations


def split_words(line: str) -> list[str]:
    """Words of an AGI command: blanks part them, quotes join, a backslash takes the next character as it is."""
    words: list[str] = []
    word: list[str] | None = None
    quoted = escaped = False
    for char in line:
        if escaped:
            word = [*(word or []), char]
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
            if quoted and word is None:
                word = []
        elif char in " \t" and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), char]
    if word is not None:
        words.append("".join(word))
    return words


def split_arguments(data: str) -> list[str]:
    """Arguments of a dialplan application: commas part them, but not in parentheses, brackets or quotes."""
    if not data:
        return []
    arguments = [""]
    round_, square = 0, 0
    quoted = escaped = False
    for char in data:
        if escaped:
            arguments[-1] += char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == "," and not (round_ or square or quoted):
            arguments.append("")
        else:
            round_ = max(0, round_ + (char == "(") - (char == ")"))
            square = max(0, square + (char == "[") - (char == "]"))
            arguments[-1] += char
    return arguments
