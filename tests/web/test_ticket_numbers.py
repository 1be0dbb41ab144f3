"""Ticket numbers: unique, checkable, told over the telephone without harm."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db import Database
from web.tickets.numbers import compose, is_valid, next_number, query_code

numbers = st.builds(compose, st.dates(date(2020, 1, 1), date(2099, 12, 31)), st.just("1"), st.integers(1, 99_999))


@given(numbers)
def test_a_number_is_valid(number: str) -> None:
    assert len(number) == 17
    assert is_valid(number)


@given(numbers, st.integers(2, 16), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(number: str, place: int, by: int) -> None:
    wrong = str((int(number[place]) + by) % 10)
    assert not is_valid(number[:place] + wrong + number[place + 1 :])


@given(st.text(max_size=20))
def test_nonsense_is_no_number(text: str) -> None:
    assert not is_valid(text) or text.startswith("KS")


def test_each_day_counts_from_one(db: Database) -> None:
    with db.write() as session:
        first = [next_number(session, date(2026, 3, 2)) for _ in range(3)]
        other = next_number(session, date(2026, 3, 3))
    assert len({*first, other}) == 4
    assert [number[11:16] for number in first] == ["00001", "00002", "00003"]
    assert other[11:16] == "00001"


def test_beyond_the_last_serial_it_says_so() -> None:
    with pytest.raises(ValueError, match="99 999"):
        compose(date(2026, 3, 2), "1", 100_000)


def test_query_codes_have_six_digits() -> None:
    assert all(len(query_code()) == 6 and query_code().isdigit() for _ in range(50))
