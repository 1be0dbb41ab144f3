"""The ledger of a call in words: what happened, when, and how long after the beginning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.records import CallRecordV1, EventPart
from web import words
from web.i18n import _, _l

LEFT_BECAUSE: dict[str, Any] = {
    "caller": _l("来电人挂机"),
    "hung_up": _l("话务员挂机"),
    "lost": _l("话务员电话断开"),
    "removed": _l("由系统移出"),
    "unknown": _l("原因不明"),
}
DECLINED_WHY: dict[str, Any] = {
    "rejected": _l("话务员拒接"),
    "no_answer": _l("振铃无人接听"),
    "unreachable": _l("话务员电话未连接"),
    "cancelled": _l("已取消振铃"),
}
UNQUEUED_WHY: dict[str, Any] = {
    "talked": _l("已与话务员通话"),
    "timeout": _l("等待超时"),
    "no_agents": _l("没有签入的话务员"),
    "key": _l("来电人按键离开"),
    "caller_left": _l("来电人挂机"),
}
EMERGENCY_RESULTS: dict[str, Any] = {
    "dialled": _l("正在呼叫"),
    "talked": _l("已接通"),
    "unreached": _l("未接通"),
}
NODE_TYPES: dict[str, Any] = {
    "menu": _l("按键菜单"),
    "play": _l("播放语音"),
    "queue": _l("转人工"),
    "message": _l("语音留言"),
    "emergency": _l("紧急热线"),
    "hangup": _l("结束通话"),
    "language": _l("选择语言"),
}
NOTICES: dict[str, Any] = {"wait-busy": _l("话务员忙，请继续等待")}
STAGES = words.STAGES
# Data of these names is for programs; what is not told in words and not named here is shown as it is.
_SILENT = frozenset({"agent_id", "version", "flow", "seconds", "recording_id", "source"})


@dataclass(frozen=True)
class Step:
    """One line of the timeline. ``after`` is seconds since the call came in, negative for a clock set back."""

    at: datetime
    after: float
    kind: str
    title: str
    detail: str
    tone: str


def steps(record: CallRecordV1, agents: Mapping[int, str] | None = None) -> list[Step]:
    """The events in the order in which they happened; ``agents`` names those who were rung but did not talk.

    What was learnt later stands at its own time, not where it was written.
    """
    names = {**(agents or {}), **{part.agent_id: f"{part.number} {part.name}".strip() for part in record.agents}}
    ordered = sorted(record.events, key=lambda event: (event.at, event.seq))
    return [
        Step(
            at=event.at,
            after=(event.at - record.started_at).total_seconds(),
            kind=event.kind,
            title=words.event(event.kind),
            detail=_detail(event, names),
            tone=words.EVENT_TONES.get(event.kind, "secondary"),
        )
        for event in ordered
    ]


def _detail(event: EventPart, names: Mapping[int, str]) -> str:
    data = event.data
    match event.kind:
        case "offered":
            caller = str(data.get("caller", ""))
            return words.towards(caller or _("未显示号码"), data.get("called", ""))
        case "node":
            return words.joined(words.word(NODE_TYPES, data.get("type")), data.get("node"))
        case "digit":
            return str(data.get("digit", ""))
        case "language":
            return words.word(words.CALL_LANGUAGES, data.get("language"))
        case "queued":
            return words.joined(data.get("queue"), _("优先级 %(level)s", level=data.get("priority", 0)))
        case "notice":
            return words.word(NOTICES, data.get("prompt"))
        case "assigned":
            return names.get(_id(data)) or str(data.get("number", ""))
        case "declined":
            return words.joined(names.get(_id(data)), words.word(DECLINED_WHY, data.get("why")))
        case "joined":
            return words.joined(data.get("number"), data.get("name"))
        case "left":
            parts = [names.get(_id(data)), words.word(LEFT_BECAUSE, data.get("because")), _seconds(data)]
            return words.joined(*parts)
        case "unqueued":
            return words.word(UNQUEUED_WHY, data.get("why"))
        case "emergency":
            return words.joined(data.get("line"), words.word(EMERGENCY_RESULTS, data.get("result")))
        case "message":
            return _seconds(data)
        case "recording":
            return _("开始") if data.get("state") == "started" else str(data.get("state", ""))
        case "hold":
            return _("开始") if data.get("on") else _("结束")
        case "safety_net":
            return words.word(STAGES, data.get("stage"))
        case "ended":
            return words.joined(words.outcome(data.get("outcome", "")), words.word(words.ENDED_BY, data.get("by")))
        case _:
            return _plain(data.items())


def _plain(items: Iterable[tuple[str, Any]]) -> str:
    """Data of a kind that this program does not know: names and values, short."""
    return words.joined(*(f"{name}={str(value)[:120]}" for name, value in items if name not in _SILENT))


def _seconds(data: dict[str, Any]) -> str:
    value = data.get("seconds")
    return _("%(seconds)s 秒", seconds=f"{value:.1f}") if isinstance(value, int | float) else ""


def _id(data: dict[str, Any]) -> int:
    value = data.get("agent_id")
    return value if isinstance(value, int) else 0
