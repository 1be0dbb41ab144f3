"""Lists that are sorted, filtered, paged and exported; sort columns come from a fixed table only."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import Response, request
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.clock import SHANGHAI
from web.i18n import _

Row = TypeVar("Row")
PAGE_SIZE = 50
EXPORT_LIMIT = 10_000
LONGEST_ARGUMENT = 80
# Dates that people can mean; outside of these, arithmetic with time zones overflows.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)
# What a spreadsheet takes for the start of a formula (OWASP, CSV injection), full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def argument(name: str) -> str:
    """A text of the address line: trimmed, of bounded length, without characters that a database refuses."""
    return request.args.get(name, "").replace("\x00", "").strip()[:LONGEST_ARGUMENT]


def choice(name: str, allowed: Iterable[Any]) -> str:
    """A code of the address line that is one of ``allowed``; empty for anything else."""
    value = argument(name)
    return value if value in {str(code) for code in allowed} else ""


def whole(name: str) -> int | None:
    """A number from 0 to 999 999 999 of the address line; None for anything else."""
    value = argument(name)
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


def day(name: str) -> date | None:
    """A date of the address line; None for nothing or nonsense."""
    try:
        value = date.fromisoformat(argument(name))
    except ValueError:
        return None
    return value if FIRST_DAY <= value <= LAST_DAY else None


def midnight(when: date | None, days: int = 0) -> datetime | None:
    """The beginning of a day, or of the one ``days`` later, in Beijing."""
    return None if when is None else datetime.combine(when + timedelta(days=days), time(), SHANGHAI)


def period() -> tuple[datetime | None, datetime | None]:
    """The days ``from`` and ``to`` of the address line, both included, as [start, end)."""
    return midnight(day("from")), midnight(day("to"), 1)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """One page of a list; ``number`` counts from 1."""

    rows: Sequence[Row]
    number: int
    total: int
    sort: str

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_SIZE))

    def link(self, **changes: Any) -> str:
        """The address of this list with some of its arguments changed."""
        return f"{request.path}?{urlencode({**request.args.to_dict(), **changes})}"

    def sort_link(self, name: str) -> str:
        """Sort by a column; once more: the other way round."""
        return self.link(sort=f"-{name}" if self.sort == name else name, page=1)


def page_number() -> int:
    """The page asked for; nonsense means the first."""
    return max(1, whole("page") or 1)


def fetch(session: Session, query: Select[Any], columns: Mapping[str, Any], sort: str, number: int) -> Page[Any]:
    """A page of the query; an unknown sort name means the first column, newest first."""
    sort = known_sort(columns, sort)
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    number = min(number, max(1, -(-total // PAGE_SIZE)))
    ordered = query.order_by(*order(columns, sort))
    rows = list(session.scalars(ordered.limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE)))
    return Page(rows, number, total, sort)


def known_sort(columns: Mapping[str, Any], sort: str) -> str:
    """``sort`` if it names a column of the table, else the first column, newest first."""
    return sort if sort.removeprefix("-") in columns else f"-{next(iter(columns))}"


def order(columns: Mapping[str, Any], sort: str) -> list[Any]:
    """ORDER BY for ``name`` or ``-name``; what is unknown comes last, ties are broken by the first column."""
    sort = known_sort(columns, sort)
    column, first = columns[sort.removeprefix("-")], next(iter(columns.values()))
    return [(column.desc() if sort.startswith("-") else column.asc()).nulls_last(), first.desc()]


def export(name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """A CSV file that a spreadsheet opens as Chinese and never as formulas.

    The caller reads one row more than EXPORT_LIMIT; a list that was cut says so in its last line.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([cell(text) for text in header])
    for count, row in enumerate(rows):
        if count == EXPORT_LIMIT:
            writer.writerow([_("只导出前 %(count)s 条，请缩小查询范围", count=EXPORT_LIMIT)])
            break
        writer.writerow([cell(value) for value in row])
    response = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def cell(value: Any) -> str:
    """The text of a cell; an apostrophe in front keeps a spreadsheet from computing it. Numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
