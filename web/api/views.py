"""REST under /api/v1. Records come in signed; everything else needs a token with the scope."""

from __future__ import annotations

from typing import TypeVar

from flask import Blueprint, Response, jsonify, request, send_file
from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from core import audit, signing
from core.errors import Invalid, NotFound, Unauthorized
from core.records import CallRecordV1
from core.secrets import secret
from web.api import schemas
from web.api.openapi import Operation, document
from web.api.service import Client, client_of
from web.auth.guard import public_blueprint
from web.deps import deps
from web.records.service import Receipt, Records
from web.tickets.models import Ticket
from web.tickets.service import TicketFields, Tickets

bp = Blueprint("api", __name__, url_prefix="/api/v1")
public_blueprint(bp)

_Model = TypeVar("_Model", bound=BaseModel)
RECORD_PROBLEMS = (401, 413, 422)
READ_PROBLEMS = (401, 403, 422)

OPERATIONS = (
    Operation(
        "put",
        "/api/v1/call-records/<call_id>",
        "Deliver the record of a finished call; idempotent, the highest revision is kept",
        "signature",
        body=CallRecordV1,
        answers=((201, schemas.Received), (200, schemas.Received)),
        problems=RECORD_PROBLEMS,
    ),
    Operation(
        "get",
        "/api/v1/call-records/<call_id>",
        "The record of a call",
        "records:read",
        answers=((200, CallRecordV1),),
        problems=(401, 403, 404),
    ),
    Operation(
        "get",
        "/api/v1/call-records",
        "Records, newest first",
        "records:read",
        query=schemas.RecordQuery,
        answers=((200, schemas.RecordPage),),
        problems=READ_PROBLEMS,
    ),
    Operation(
        "get",
        "/api/v1/tickets",
        "Tickets, newest first",
        "tickets:read",
        query=schemas.TicketQuery,
        answers=((200, schemas.TicketPage),),
        problems=READ_PROBLEMS,
    ),
    Operation(
        "post",
        "/api/v1/tickets",
        "Take in a ticket from another system",
        "tickets:write",
        body=schemas.TicketIn,
        answers=((201, schemas.TicketOut),),
        problems=READ_PROBLEMS,
    ),
    Operation(
        "get",
        "/api/v1/recordings/<recording_id>",
        "The audio of a recording; ranges are served, every fetch is logged",
        "recordings:read",
        answers=((200, "audio/flac"),),
        problems=(401, 403, 404),
    ),
)


def client(scope: str) -> Client:
    """The program that asks; raises Unauthorized or Forbidden."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthorized("send the header Authorization: Bearer TOKEN", id="no-token")
    found = client_of(deps().db, token.strip())
    found.require(scope)
    return found


def checked(model: type[_Model], data: object) -> _Model:
    """Validate input; raises Invalid that names each wrong part."""
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        raise invalid(exc) from None


def invalid(exc: ValidationError) -> Invalid:
    parts = [
        {"at": ".".join(str(step) for step in error["loc"]), "message": error["msg"]}
        for error in exc.errors(include_url=False, include_input=False)[:20]
    ]
    return Invalid("; ".join(f"{part['at']}: {part['message']}" for part in parts), data={"errors": parts})


def answer(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(by_alias=True), status=status, mimetype="application/json")


@bp.get("/openapi.json")
def openapi() -> Response:
    return jsonify(document(OPERATIONS))


@bp.put("/call-records/<call_id>")
def put_record(call_id: str) -> Response:
    parts = deps()
    body = request.get_data(cache=False)
    signing.verify(
        secret(parts.settings.home, "records"),
        parts.clock.now(),
        request.headers.get(signing.TIMESTAMP_HEADER, ""),
        request.headers.get(signing.SIGNATURE_HEADER, ""),
        body,
    )
    if b"\\u0000" in body:
        raise Invalid("a record has no NUL characters", id="nul", data={"errors": []})
    try:
        record = CallRecordV1.model_validate_json(body)
    except ValidationError as exc:
        raise invalid(exc) from None
    if record.call_id != call_id:
        raise Invalid("the call id of the address is not that of the body", id="call-id-differs")
    received = Records(parts.db, parts.clock).receive(record)
    status = 201 if received.receipt is Receipt.CREATED else 200
    return answer(schemas.Received(call_id=call_id, receipt=received.receipt, revision=received.revision), status)


@bp.get("/call-records/<call_id>")
def get_record(call_id: str) -> Response:
    client("records:read")
    parts = deps()
    return jsonify(Records(parts.db, parts.clock).get(call_id).body)


@bp.get("/call-records")
def list_records() -> Response:
    client("records:read")
    parts, query = deps(), checked(schemas.RecordQuery, request.args.to_dict())
    rows = Records(parts.db, parts.clock).page(
        caller_number=query.caller_number,
        outcome=query.outcome,
        started_from=query.started_from,
        started_before=query.started_before,
        limit=query.size + 1,
        offset=(query.page - 1) * query.size,
    )
    return jsonify(
        page=query.page,
        size=query.size,
        more=len(rows) > query.size,
        records=[row.body for row in rows[: query.size]],
    )


@bp.get("/tickets")
def list_tickets() -> Response:
    client("tickets:read")
    parts, query = deps(), checked(schemas.TicketQuery, request.args.to_dict())
    found = select(Ticket).order_by(Ticket.created_at.desc(), Ticket.id.desc())
    for column, wanted in (
        (Ticket.state, query.state),
        (Ticket.type, query.type),
        (Ticket.caller_number, query.caller_number),
    ):
        if wanted is not None:
            found = found.where(column == wanted)
    with parts.db.read() as session:
        rows = list(session.scalars(found.limit(query.size + 1).offset((query.page - 1) * query.size)))
    shown = [schemas.TicketOut.of(row) for row in rows[: query.size]]
    return answer(schemas.TicketPage(page=query.page, size=query.size, more=len(rows) > query.size, tickets=shown))


@bp.post("/tickets")
def post_ticket() -> Response:
    asking = client("tickets:write")
    parts = deps()
    given = checked(schemas.TicketIn, request.get_json(silent=True))
    fields = TicketFields(
        type=given.type,
        title=given.title,
        content=given.content,
        contact_phone=given.contact_phone,
        urgency=given.urgency,
        county=given.county,
        place=given.place,
    )
    made = Tickets(parts.db, parts.clock).create(
        asking.audit_name, fields, channel=given.channel, caller_number=given.caller_number
    )
    return answer(schemas.TicketOut.of(made), 201)


@bp.get("/recordings/<recording_id>")
def get_recording(recording_id: str) -> AnyResponse:
    asking = client("recordings:read")
    parts = deps()
    recording = parts.recordings.get(recording_id)
    path = parts.recordings.path(recording)
    with parts.db.write() as session:
        audit.record(session, parts.clock, asking.audit_name, "recording-fetched", f"recording:{recording_id}")
    return send_file(path, mimetype=recording.media_type, conditional=True, etag=recording.sha256 or False)


@bp.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
@bp.route("/<path:rest>", methods=["GET", "POST", "PUT", "DELETE", "PATCH"])
def nothing(rest: str) -> Response:
    """Unknown addresses get a problem document, too."""
    raise NotFound(f"there is nothing at /api/v1/{rest}", fix="see /api/v1/openapi.json")
