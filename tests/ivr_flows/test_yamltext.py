from __future__ import annotations

import pytest

from core.errors import Invalid
from ivr_flows.yamltext import MAX_DEPTH, load


def test_no_surprises_of_yaml_1_1() -> None:
    text = 'a: no\nb: 0998\nc: 5\nd: 1.5\ne: 2026-02-17\nf: 1:30\ng: true\nh:\n1: x\n"2": y\non: z\n'
    assert load(text, "x") == {
        "a": "no",
        "b": "0998",
        "c": 5,
        "d": 1.5,
        "e": "2026-02-17",
        "f": "1:30",
        "g": True,
        "h": None,
        "1": "x",
        "2": "y",
        "on": "z",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is given twice"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "is not allowed"),
        ("a: !!binary aGk=\n", "is not allowed"),
        ("? [1, 2]\n: x\n", "a key must be a text"),
        ("a: [1, 2\n", "line 2"),
        ("a: \x07\n", "not allowed"),
        ("[" * (MAX_DEPTH + 1), f"deeper than {MAX_DEPTH}"),
        ("[" * 100_000, "deeper"),
        ("a: " + "9" * 5000, "x:"),
    ],
)
def test_refused_with_the_place_and_the_reason(text: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        load(text, "x")
    assert caught.value.detail.startswith("x:")
    assert says in caught.value.detail
    assert caught.value.fix


def test_bytes_must_be_utf8() -> None:
    with pytest.raises(Invalid, match="UTF-8"):
        load(b"a: \xff\xfe", "x")
