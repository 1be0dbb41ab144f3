"""What goes in and out of the API, besides ``call-record/v1`` (core.records)."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.records import CallRecordV1, Outcome
from web.records.service import Receipt
from web.tickets.models import Ticket, TicketState, TicketType, Urgency


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    fix: str | None = None


class Received(BaseModel):
    """What became of a pushed record; delivering it again is harmless."""

    call_id: str
    receipt: Receipt
    revision: int = Field(description="the revision kept now")


class RecordQuery(BaseModel):
    """Filters of the list of records; newest first."""

    model_config = ConfigDict(extra="forbid")

    caller_number: str | None = Field(None, max_length=40)
    outcome: Outcome | None = None
    started_from: AwareDatetime | None = None
    started_before: AwareDatetime | None = None
    page: int = Field(1, ge=1, le=10_000)
    size: int = Field(50, ge=1, le=200)


class RecordPage(BaseModel):
    page: int
    size: int
    more: bool = Field(description="whether there is a next page")
    records: list[CallRecordV1]


class TicketIn(BaseModel):
    """A ticket taken in by another system."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    type: TicketType
    title: str = Field(min_length=1, max_length=200)
    content: str = Field(min_length=1, max_length=10_000)
    contact_phone: str = Field("", max_length=40)
    caller_number: str = Field("", max_length=40)
    urgency: Urgency = Urgency.NORMAL
    county: str = Field("", pattern=r"^(\d{6})?$", description="national division code")
    place: str = Field("", max_length=200)
    channel: Literal["web", "app", "sms", "mail", "letter", "other"] = "other"


class TicketOut(BaseModel):
    ticket_no: str
    state: TicketState
    type: TicketType
    urgency: Urgency
    channel: str
    title: str
    content: str
    caller_number: str
    contact_phone: str
    county: str
    place: str
    call_id: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @classmethod
    def of(cls, row: Ticket) -> TicketOut:
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class TicketQuery(BaseModel):
    """Filters of the list of tickets; newest first."""

    model_config = ConfigDict(extra="forbid")

    state: TicketState | None = None
    type: TicketType | None = None
    caller_number: str | None = Field(None, max_length=40)
    page: int = Field(1, ge=1, le=10_000)
    size: int = Field(50, ge=1, le=200)


class TicketPage(BaseModel):
    page: int
    size: int
    more: bool
    tickets: list[TicketOut]
