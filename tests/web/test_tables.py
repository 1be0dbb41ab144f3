"""The helper of all lists: cells of exports, links, dates."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from flask import Flask

from web import tables


@pytest.mark.parametrize("text", ["=1+1", "+86", "-2", "@SUM", "\tx", "\r=1", "  =1", "＝1", "\n=1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert tables.cell(text).startswith("'")


@pytest.mark.parametrize(("value", "text"), [(None, ""), (-3, "-3"), (2.5, "2.5"), ("汉字", "汉字"), ("a=b", "a=b")])
def test_other_cells_are_left_alone(value: object, text: str) -> None:
    assert tables.cell(value) == text


def test_a_list_that_is_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "EXPORT_LIMIT", 2)
    monkeypatch.setattr(tables, "_", lambda text, **values: text % values)
    lines = tables.export("x", ["a"], ([n] for n in range(3))).get_data(as_text=True).splitlines()
    assert lines[0] == "\ufeffa"
    assert lines[1:3] == ["0", "1"]
    assert "2" in lines[3]


def test_arguments_are_trimmed_bounded_and_of_the_right_kind() -> None:
    app = Flask("x")
    with app.test_request_context(f"/?a=%20x%00%20&b={'y' * 999}&n=12&m=1e3&d=2026-02-29&e=2026-03-02&page=0"):
        assert tables.argument("a") == "x"
        assert len(tables.argument("b")) == tables.LONGEST_ARGUMENT
        assert tables.whole("n") == 12
        assert tables.whole("m") is None
        assert tables.day("d") is None
        assert tables.day("e") == date(2026, 3, 2)
        assert tables.page_number() == 1
        assert tables.choice("a", ["y"]) == ""
        assert tables.choice("a", ["x"]) == "x"


def test_a_day_begins_at_midnight_in_beijing() -> None:
    assert tables.midnight(date(2026, 3, 2)) == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert tables.midnight(date(2026, 2, 28), 1) == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert tables.midnight(None) is None


def test_links_keep_the_filters_and_stay_on_the_site() -> None:
    page = tables.Page([], 1, 120, "-started")
    with Flask("x").test_request_context("/calls?number=1&_external=1&endpoint=evil&page=4"):
        assert page.link(page=2) == "/calls?number=1&_external=1&endpoint=evil&page=2"
        assert "sort=started" in page.sort_link("started")
        assert "sort=talk" in page.sort_link("talk")
    assert page.pages == 3
