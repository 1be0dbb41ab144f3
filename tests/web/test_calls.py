"""Calls: who sees which, what is masked, the ledger in words, and that nobody listens unrecorded."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from core.audit import AuditEntry
from core.clock import ManualClock
from core.records import CallRecordV1, EventPart
from recordings.models import Recording
from tests.web.conftest import ADMIN, AGENT, LEAD, OTHER, House, event, record
from web.calls.timeline import steps
from yihu.compose import Parts

CALLER = "15409980001"
MASKED = "154****0001"


def audited(parts: Parts, action: str) -> list[AuditEntry]:
    with parts.db.read() as session:
        return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def rows(house: House, query: str, username: str = LEAD) -> int:
    page = house.browser(username).get(f"/calls{query}")
    assert page.status_code == 200
    return page.get_data(as_text=True).count('data-testid="call-row"')


def test_an_agent_sees_the_own_calls_with_masked_numbers_and_a_lead_all(house: House) -> None:
    house.call(1, agent_id=house.agent_id)
    house.call(2, agent_id=house.other_id)
    house.call(3)
    assert rows(house, "", AGENT) == 1
    assert rows(house, "", LEAD) == 3
    text = house.browser(AGENT).get("/calls").get_data(as_text=True)
    assert MASKED in text
    assert CALLER not in text
    assert CALLER in house.browser(LEAD).get("/calls").get_data(as_text=True)


def test_an_administrator_sees_no_calls_no_page_and_no_recording(house: House) -> None:
    call_id = house.call(1, agent_id=house.agent_id)
    browser = house.browser(ADMIN)
    assert browser.get("/calls").status_code == 403
    assert browser.get(f"/calls/{call_id}").status_code == 403
    assert browser.get(f"/recordings/{call_id}-1/audio").status_code == 403


def test_filters_by_number_outcome_agent_and_date(house: House) -> None:
    house.call(1, agent_id=house.agent_id, caller="15409980001")
    house.call(2, caller="09980120007")
    house.call(60 * 24 * 3, agent_id=house.other_id, caller="15409980007")
    assert rows(house, "?number=15409980001") == 1
    assert rows(house, "?number=0007") == 2
    assert rows(house, "?number=0998-0120007") == 1
    assert rows(house, "?number=abc") == 3
    assert rows(house, "?outcome=talked") == 2
    assert rows(house, "?outcome=nonsense") == 3
    assert rows(house, f"?agent={house.other_id}") == 1
    # The clock stands at noon of 2 March in Beijing.
    assert rows(house, "?from=2026-03-02&to=2026-03-02") == 2
    assert rows(house, "?to=2026-02-28") == 1


@pytest.mark.parametrize(
    "query",
    [
        "?from=9999-12-31&to=0001-01-01",
        "?to=9999-12-31",
        "?sort=body&page=-3",
        "?sort=started;drop&page=99999999999",
        "?endpoint=x&_external=1&_scheme=javascript",
        "?number=%25_&agent=9999999999999",
        "?agent=²",
        "?sort=-wait&page=7",
    ],
)
def test_nonsense_in_the_address_is_harmless(house: House, query: str) -> None:
    house.call(1, agent_id=house.agent_id)
    page = house.browser(LEAD).get(f"/calls{query}")
    assert page.status_code == 200
    assert 'href="javascript' not in page.get_data(as_text=True)


def test_sorting_and_paging(house: House) -> None:
    for serial in range(1, 53):
        house.call(serial, agent_id=house.agent_id, talk_seconds=float(serial))
    first = house.browser(LEAD).get("/calls?sort=-talk").get_data(as_text=True)
    assert first.count('data-testid="call-row"') == 50
    assert 'data-testid="page-next"' in first
    assert 'aria-sort="descending"' in first
    assert rows(house, "?page=2") == 2
    assert rows(house, "?page=999") == 2


def test_export_is_masked_harmless_and_audited(house: House) -> None:
    house.call(1, agent_id=house.agent_id, caller="=1+1")
    house.call(2, agent_id=house.agent_id)
    answer = house.browser(AGENT).get("/calls?format=csv")
    assert answer.mimetype == "text/csv"
    lines = list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert len(lines) == 3
    assert lines[1][1] == "'=1+1"
    assert lines[2][1] == MASKED
    assert [entry.detail["rows"] for entry in audited(house.parts, "calls-exported")] == [2]


def test_the_page_of_a_call_tells_its_ledger_in_words(house: House) -> None:
    call_id = house.call(1, agent_id=house.agent_id)
    page = house.browser(AGENT).get(f"/calls/{call_id}").get_data(as_text=True)
    assert CALLER in page  # one's own caller
    for text in ("话务员加入通话", "进入排队", "话务员挂机", "+9.0", "60.0 秒", "没有录音", "没有登记工单"):
        assert text in page
    assert house.browser(OTHER).get(f"/calls/{call_id}").status_code == 404


def test_a_record_that_has_not_come_and_a_call_of_somebody_else_look_alike(house: House) -> None:
    others = house.call(1, agent_id=house.other_id)
    browser = house.browser(AGENT)
    for call_id in (others, "n1-1772424000.99"):
        page = browser.get(f"/calls/{call_id}")
        assert page.status_code == 404
        assert "record-pending" in page.get_data(as_text=True)
    assert "record-pending" not in browser.get("/calls/..%2fetc").get_data(as_text=True)
    assert browser.get("/calls/nonsense").status_code == 404


def test_the_timeline_shows_kinds_and_data_that_nobody_foresaw(parts: Parts) -> None:
    start = parts.clock.now()
    body = record("n1-1.1", start, 7, CALLER)
    body["events"] = [
        event(1, start, "offered", caller="", called="12345"),
        event(2, start + timedelta(seconds=9), "telepathy", strength=3, secret_of=["x"]),
        event(3, start + timedelta(seconds=3), "reconciled", why="later"),
        event(4, start, "joined"),
        event(5, start, "left", agent_id="x", seconds="y", because=None),
        event(6, start, "hold", on=False),
        event(7, start, "queued"),
    ]
    told = steps(CallRecordV1.model_validate(body))
    assert [step.kind for step in told][-2:] == ["reconciled", "telepathy"]  # by time, not as written
    assert told[-1].title == "telepathy"
    assert "strength=3" in told[-1].detail
    assert told[0].detail == "未显示号码 → 12345"


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("node", {"type": "queue", "node": "ask-person"}, "转人工，ask-person"),
        ("language", {"language": "ug"}, "维吾尔语"),
        ("declined", {"agent_id": 7, "why": "no_answer"}, "1001 人员7，振铃无人接听"),
        ("assigned", {"agent_id": 99, "number": "1009"}, "1009"),
        ("unqueued", {"why": "timeout"}, "等待超时"),
        ("emergency", {"line": "119", "result": "talked"}, "119，已接通"),
        ("message", {"seconds": 12.34, "recording_id": "x"}, "12.3 秒"),
        ("recording", {"state": "started"}, "开始"),
        ("safety_net", {"stage": "waiting"}, "排队等待中"),
        ("digit", {"digit": "1"}, "1"),
        ("notice", {"prompt": "wait-busy"}, "话务员忙，请继续等待"),
        ("fault", {"what": "broken"}, "what=broken"),
        ("ended", {"outcome": "message", "by": "caller"}, "已留言，来电人挂机"),
    ],
)
def test_words_of_each_kind(kind: str, data: dict[str, Any], words: str, parts: Parts) -> None:
    start = parts.clock.now()
    body = CallRecordV1.model_validate(record("n1-1.1", start, 7, CALLER))
    changed = body.model_copy(update={"events": [EventPart(seq=1, at=start, kind=kind, data=data)]})
    assert steps(changed)[0].detail == words


class TestListening:
    @pytest.fixture
    def recording_id(self, house: House) -> str:
        parts, call_id = house.parts, house.call(1, agent_id=house.agent_id)
        parts.ledger.open(call_id, CALLER, "12345")
        path = parts.settings.store_dir / "2026" / "a.flac"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(range(200)))
        with parts.db.write() as session:
            session.add(
                Recording(
                    id=f"{call_id}-1",
                    call_id=call_id,
                    kind="talk",
                    state="stored",
                    started_at=parts.clock.now(),
                    sha256="a" * 64,
                    store_key="2026/a.flac",
                )
            )
        return f"{call_id}-1"

    def test_own_call_and_lead_may_others_may_not(self, house: House, recording_id: str) -> None:
        address = f"/recordings/{recording_id}/audio"
        answers = [
            browser.get(address)
            for browser in (house.browser(AGENT), house.browser(LEAD), house.browser(OTHER), house.world.browser())
        ]
        for answer in answers:
            answer.close()
        assert [answer.status_code for answer in answers] == [200, 200, 403, 302]
        assert [entry.target for entry in audited(house.parts, "recording-played")] == [f"recording:{recording_id}"] * 2

    def test_ranges_are_one_hearing_and_every_beginning_is_one(
        self, house: House, recording_id: str, clock: ManualClock
    ) -> None:
        browser, address = house.browser(AGENT), f"/recordings/{recording_id}/audio"

        def ask(range_: str) -> int:
            answer = browser.get(address, headers={"Range": range_})
            answer.close()
            assert answer.status_code == 206
            return len(audited(house.parts, "recording-played"))

        assert ask("bytes=0-99") == 1
        assert ask("bytes=100-") == 1
        assert ask("bytes=0-") == 2
        assert ask("bytes=-50") == 2
        clock.advance(7200)
        assert ask("bytes=150-199") == 3  # a day's old hearing does not cover this one

    def test_all_but_the_first_byte_is_a_hearing(self, house: House, recording_id: str) -> None:
        answer = house.browser(AGENT).get(f"/recordings/{recording_id}/audio", headers={"Range": "bytes=1-"})
        assert len(answer.data) == 199
        answer.close()
        assert len(audited(house.parts, "recording-played")) == 1

    def test_a_file_that_is_gone_and_an_unknown_id(self, house: House, recording_id: str) -> None:
        (house.parts.settings.store_dir / "2026" / "a.flac").unlink()
        browser = house.browser(LEAD)
        assert browser.get(f"/recordings/{recording_id}/audio").status_code == 404
        assert browser.get("/recordings/nothing/audio").status_code == 404
        assert audited(house.parts, "recording-played") == []
