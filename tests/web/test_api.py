"""The API: signed records exactly once, tokens and scopes, problem documents for everything that goes wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import soundfile
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from agi.records import build as build_record
from core import signing
from core.clock import ManualClock
from core.errors import Conflict, Invalid, NotFound
from core.records import EndedBy, Outcome
from core.secrets import secret
from routing.ledger import Kind
from tests.recordings.test_recordings import tone
from tests.web.world import World, build
from web.api.service import create_client, remove_client
from yihu.compose import Parts

CALL = "n1-1772424000.1"


@pytest.fixture
def world(parts: Parts) -> World:
    return build(parts)


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.app.test_client()


def record(parts: Parts, revisions: int = 1) -> bytes:
    """The body of a finished call's record."""
    if parts.ledger.open(CALL, "15409980001", "12345"):
        parts.ledger.end(CALL, Outcome.ABANDONED_IVR, EndedBy.CALLER)
    for _ in range(revisions - 1):
        parts.ledger.append(CALL, Kind.RECONCILED, source="cel", why="test")
    call = parts.ledger.get(CALL)
    assert call is not None
    return build_record(call, parts.ledger.events(CALL), []).body()


def put(client: FlaskClient, parts: Parts, body: bytes, **changes: Any) -> TestResponse:
    key = changes.pop("key", secret(parts.settings.home, "records"))
    moment = changes.pop("moment", parts.clock.now())
    headers = signing.headers(key, moment, body)
    return client.put(f"/api/v1/call-records/{changes.pop('call_id', CALL)}", data=body, headers=headers)


def bearer(parts: Parts, *scopes: str) -> dict[str, str]:
    name = "test-" + "-".join(scope.replace(":", ".") for scope in scopes)
    return {"Authorization": f"Bearer {create_client(parts.db, parts.clock, name, scopes)}"}


def test_a_record_is_kept_once_whatever_happens(client: FlaskClient, parts: Parts) -> None:
    first = record(parts)
    assert put(client, parts, first).status_code == 201
    again = put(client, parts, first)
    assert (again.status_code, again.json["receipt"]) == (200, "unchanged")
    second = record(parts, revisions=2)
    assert put(client, parts, second).json["receipt"] == "replaced"
    late = put(client, parts, first)
    assert (late.json["receipt"], late.json["revision"]) == ("older", 2)
    shown = client.get(f"/api/v1/call-records/{CALL}", headers=bearer(parts, "records:read"))
    assert shown.json["revision"] == 2
    assert shown.json["schema"] == "call-record/v1"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": "wrong"}, "bad-signature"),
        ({"moment": None}, "stale-timestamp"),
    ],
)
def test_only_signed_and_fresh_records_are_taken(
    client: FlaskClient, parts: Parts, changes: dict[str, Any], problem: str
) -> None:
    if "moment" in changes:
        changes = {"moment": parts.clock.now() - timedelta(minutes=10)}
    answer = put(client, parts, record(parts), **changes)
    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.json["type"].endswith(problem)


def test_a_captured_record_cannot_be_sent_for_another_call(client: FlaskClient, parts: Parts) -> None:
    answer = put(client, parts, record(parts), call_id="n1-1772424000.2")
    assert answer.status_code == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"schema":"call-record/v1"}', b"\xff" * 50])
def test_nonsense_is_a_problem_not_a_crash(client: FlaskClient, parts: Parts, body: bytes) -> None:
    answer = put(client, parts, body)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_body_beyond_all_bounds_is_refused(client: FlaskClient, parts: Parts) -> None:
    assert put(client, parts, b"x" * (5 * 1024 * 1024)).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", f"/api/v1/call-records/{CALL}", "records:read"),
        ("get", "/api/v1/call-records", "records:read"),
        ("get", "/api/v1/tickets", "tickets:read"),
        ("post", "/api/v1/tickets", "tickets:write"),
        ("get", "/api/v1/recordings/x", "recordings:read"),
    ],
)
def test_every_endpoint_wants_a_token_with_its_scope(
    client: FlaskClient, parts: Parts, method: str, path: str, scope: str
) -> None:
    call = getattr(client, method)
    assert call(path).status_code == 401
    assert call(path, headers={"Authorization": "Bearer yihu_nonsense"}).status_code == 401
    others = [name for name in ("records:read", "tickets:read", "tickets:write", "recordings:read") if name != scope]
    refused = call(path, headers=bearer(parts, *others))
    assert (refused.status_code, refused.json["scope"]) == (403, scope)
    assert call(path, headers=bearer(parts, scope)).status_code in (200, 404, 422)


def test_a_removed_client_is_refused(client: FlaskClient, parts: Parts) -> None:
    token = create_client(parts.db, parts.clock, "partner", ["records:read"])
    remove_client(parts.db, parts.clock, "partner")
    answer = client.get("/api/v1/call-records", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_clients_are_checked_when_made(parts: Parts) -> None:
    create_client(parts.db, parts.clock, "partner", ["records:read"])
    with pytest.raises(Conflict):
        create_client(parts.db, parts.clock, "partner", ["records:read"])
    for name, scopes in (("Bad Name", ["records:read"]), ("ok", ["everything"]), ("ok", [])):
        with pytest.raises(Invalid):
            create_client(parts.db, parts.clock, name, scopes)
    with pytest.raises(NotFound):
        remove_client(parts.db, parts.clock, "nobody")


def test_records_are_listed_filtered_and_paged(client: FlaskClient, parts: Parts) -> None:
    put(client, parts, record(parts))
    headers = bearer(parts, "records:read")
    assert len(client.get("/api/v1/call-records", headers=headers).json["records"]) == 1
    assert client.get("/api/v1/call-records?caller_number=1", headers=headers).json["records"] == []
    assert client.get("/api/v1/call-records?outcome=abandoned_ivr&size=1", headers=headers).json["more"] is False
    for query in ("outcome=nonsense", "size=0", "page=x", "sort=1;DROP", "started_from=yesterday"):
        answer = client.get(f"/api/v1/call-records?{query}", headers=headers)
        assert answer.status_code == 422, query
        assert answer.json["errors"]


def test_tickets_come_in_by_the_api(client: FlaskClient, parts: Parts) -> None:
    headers = bearer(parts, "tickets:write", "tickets:read")
    given = {"type": "help", "title": "停水", "content": "全村停水两天", "county": "653128", "channel": "web"}
    made = client.post("/api/v1/tickets", json=given, headers=headers)
    assert made.status_code == 201
    assert made.json["ticket_no"].startswith("KS20260302")
    assert made.json["state"] == "S1"
    assert [row["title"] for row in client.get("/api/v1/tickets?state=S1", headers=headers).json["tickets"]] == ["停水"]
    for wrong in ({**given, "type": "x"}, {**given, "title": " "}, {**given, "county": "110000"}, {}, []):
        assert client.post("/api/v1/tickets", json=wrong, headers=headers).status_code == 422


def test_audio_is_served_in_ranges_and_logged(client: FlaskClient, parts: Parts, clock: ManualClock) -> None:
    from sqlalchemy import select

    from core.audit import AuditEntry
    from recordings.models import Recording

    parts.ledger.open(CALL, "1", "12345")
    path = Path(parts.settings.store_dir / "a.flac")
    path.parent.mkdir(parents=True)
    soundfile.write(path, tone(440, 1.0), 8000, format="FLAC")
    with parts.db.write() as session:
        session.add(
            Recording(id="r1", call_id=CALL, kind="talk", state="stored", started_at=clock.now(), store_key="a.flac")
        )
    headers = bearer(parts, "recordings:read")
    whole = client.get("/api/v1/recordings/r1", headers=headers, buffered=True)
    assert (whole.status_code, whole.data) == (200, path.read_bytes())
    part = client.get("/api/v1/recordings/r1", headers={**headers, "Range": "bytes=0-9"}, buffered=True)
    assert (part.status_code, len(part.data)) == (206, 10)
    for missing, status in (("r2", 404), ("..%2Fsecrets%2Fweb", 404), ("%00", 422)):
        assert client.get(f"/api/v1/recordings/{missing}", headers=headers).status_code == status
    with parts.db.read() as session:
        entries = list(session.scalars(select(AuditEntry).where(AuditEntry.action == "recording-fetched")))
    assert len(entries) == 2


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/api/v1/nothing", 404), ("delete", "/api/v1/tickets", 404)]
)
def test_unknown_addresses_are_problems_too(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = getattr(client, method)(path)
    assert answer.status_code in (status, 405)
    assert answer.mimetype == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= set(answer.json)


def test_the_document_describes_every_route(client: FlaskClient, world: World) -> None:
    document = client.get("/api/v1/openapi.json").json
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}
    routes = set()
    for rule in world.app.url_map.iter_rules():
        if rule.endpoint.startswith("api.") and rule.endpoint not in ("api.openapi", "api.nothing"):
            path = rule.rule.replace("<", "{").replace(">", "}")
            routes |= {(path, method.lower()) for method in rule.methods or () if method in ("GET", "PUT", "POST")}
    assert described == routes
    assert document["openapi"].startswith("3.1")
    text = client.get("/api/v1/openapi.json").get_data(as_text=True)
    for reference in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert reference in document["components"]["schemas"]
