"""Ticket numbers: KS, the day, the channel, five digits of the day, a check digit (SPEC 2.2)."""

from __future__ import annotations

import secrets
from datetime import date

from sqlalchemy.orm import Session

from web.tickets.models import TicketCounter

PREFIX = "KS"
PHONE = "1"  # channel digit of telephone intake


def check_digit(digits: str) -> str:
    """ISO 7064 MOD 11,10: finds every single wrong digit and nearly every swap of neighbours."""
    product = 10
    for digit in digits:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return str((11 - product) % 10)


def compose(day: date, channel: str, serial: int) -> str:
    """The number of the ``serial``-th ticket of ``day``; raises ValueError beyond 99 999."""
    if not 1 <= serial <= 99_999:
        raise ValueError("at most 99 999 tickets a day and channel have a number")
    digits = f"{day:%Y%m%d}{channel}{serial:05}"
    return f"{PREFIX}{digits}{check_digit(digits)}"


def is_valid(number: str) -> bool:
    """Whether this can be a ticket number: form and check digit."""
    digits = number.removeprefix(PREFIX)
    return (
        number.startswith(PREFIX)
        and len(digits) == 15
        and digits.isascii()
        and digits.isdigit()
        and check_digit(digits[:-1]) == digits[-1]
    )


def next_number(session: Session, day: date) -> str:
    """Take the next number of the day within the running transaction."""
    key = f"{day:%Y%m%d}"
    counter = session.get(TicketCounter, key, with_for_update=True)
    if counter is None:
        counter = TicketCounter(day=key, last=0)
        session.add(counter)
    counter.last += 1
    session.flush()
    return compose(day, PHONE, counter.last)


def query_code() -> str:
    """Six random digits that, with the number, let a caller ask for the ticket's progress."""
    return f"{secrets.randbelow(10**6):06}"
