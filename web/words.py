"""Words of the field for codes: what a state, an outcome or a reason is called on the pages."""

from __future__ import annotations

from typing import Any

from core.records import EndedBy, Outcome
from routing.agents import State
from routing.ledger import Stage
from web.auth.models import Role
from web.i18n import RIGHT_TO_LEFT, SOURCE, _, _l, language, translated
from web.tickets.models import TicketState, TicketType, Urgency
from web.tickets.places import COUNTIES

OUTCOMES: dict[str, Any] = {
    Outcome.TALKED: _l("已通话"),
    Outcome.ABANDONED_IVR: _l("提示音中挂机"),
    Outcome.ABANDONED_WAITING: _l("排队中放弃"),
    Outcome.MESSAGE: _l("已留言"),
    Outcome.NOT_SERVED: _l("未接通"),
    Outcome.EMERGENCY: _l("已转紧急热线"),
    Outcome.BLOCKED: _l("限制呼入"),
    Outcome.SELF_SERVED: _l("自助办结"),
    Outcome.FAILED: _l("系统故障"),
}
OUTCOME_TONES: dict[str, str] = {
    Outcome.TALKED: "green",
    Outcome.SELF_SERVED: "green",
    Outcome.MESSAGE: "azure",
    Outcome.EMERGENCY: "red",
    Outcome.FAILED: "red",
    Outcome.ABANDONED_WAITING: "orange",
    Outcome.NOT_SERVED: "orange",
    Outcome.ABANDONED_IVR: "secondary",
    Outcome.BLOCKED: "secondary",
}
STAGES: dict[str, Any] = {
    Stage.IVR: _l("语音提示中"),
    Stage.WAITING: _l("排队等待中"),
    Stage.TALKING: _l("通话中"),
    Stage.MESSAGE: _l("留言中"),
    Stage.ENDED: _l("已结束"),
}
ENDED_BY: dict[str, Any] = {
    EndedBy.CALLER: _l("来电人挂机"),
    EndedBy.AGENT: _l("话务员挂机"),
    EndedBy.FLOW: _l("流程结束"),
    EndedBy.SYSTEM: _l("系统结束"),
}
AGENT_STATES: dict[str, Any] = {
    State.OFFLINE: _l("未签入"),
    State.AVAILABLE: _l("空闲"),
    State.RESERVED: _l("来电分配中"),
    State.RINGING: _l("振铃"),
    State.TALKING: _l("通话中"),
    State.WRAP_UP: _l("话后整理"),
    State.BREAK: _l("示忙"),
}
BREAK_REASONS: dict[str, Any] = {
    "rest": _l("小休"),
    "meal": _l("用餐"),
    "training": _l("培训"),
    "meeting": _l("会议"),
    "other": _l("其他"),
    "missed_call": _l("未接来电，系统示忙"),
}
CALL_LANGUAGES: dict[str, Any] = {"zh": _l("国语"), "ug": _l("维吾尔语")}
ROLES: dict[str, Any] = {Role.ADMIN: _l("系统管理员"), Role.AGENT: _l("话务员"), Role.LEAD: _l("班长")}
TICKET_TYPES: dict[str, Any] = {
    TicketType.CONSULT: _l("咨询"),
    TicketType.HELP: _l("求助"),
    TicketType.COMPLAINT: _l("投诉"),
    TicketType.REPORT: _l("举报"),
    TicketType.OPINION: _l("意见"),
    TicketType.SUGGESTION: _l("建议"),
    TicketType.PRAISE: _l("表扬"),
    TicketType.OTHER: _l("其他"),
}
URGENCIES: dict[str, Any] = {
    Urgency.NORMAL: _l("一般"),
    Urgency.URGENT: _l("紧急"),
    Urgency.CRITICAL: _l("特急"),
}
URGENCY_TONES: dict[str, str] = {Urgency.NORMAL: "secondary", Urgency.URGENT: "orange", Urgency.CRITICAL: "red"}
TICKET_STATES: dict[str, Any] = {TicketState.DRAFT: _l("草稿"), TicketState.REVIEW: _l("待审核")}
TICKET_STATE_TONES: dict[str, str] = {TicketState.DRAFT: "secondary", TicketState.REVIEW: "blue"}
CHANNELS: dict[str, Any] = {
    "phone": _l("电话"),
    "web": _l("网站"),
    "app": _l("手机应用"),
    "sms": _l("短信"),
    "mail": _l("电子邮件"),
    "letter": _l("信函"),
    "other": _l("其他"),
}

_ERRORS: dict[str, Any] = {
    "not-signed-in": _l("您还没有签入，请先签入。"),
    "not-talking": _l("现在没有可以操作的通话。"),
    "ticket-changed": _l("这张工单刚被别人改过，请刷新后再改。"),
    "ticket-submitted": _l("这张工单已经提交，不能再改。"),
    "csrf": _l("页面停留太久，请刷新后再试。"),
}
_STATUS: dict[int, Any] = {
    400: _l("请求有误，请返回重试。"),
    401: _l("请先登录。"),
    403: _l("您没有权限进行此操作。"),
    404: _l("没有找到您要的内容。"),
    405: _l("请求有误，请返回重试。"),
    409: _l("内容已有变化，请刷新后再试。"),
    413: _l("提交的内容太大。"),
    422: _l("填写的内容有误，请检查。"),
    429: _l("操作太频繁，请稍等一会儿再试。"),
    503: _l("电话系统暂时没有应答，请稍后再试。"),
}


def error_words(problem: dict[str, Any]) -> str:
    """One sentence for a person about a problem document: what is wrong and what to do."""
    name = str(problem["type"]).rpartition(":")[2]
    found = _ERRORS.get(name) or _STATUS.get(int(problem["status"]))
    return str(found) if found is not None else _("系统出错了，请稍后再试；如仍不行，请告诉管理员。")


def word(table: dict[str, Any], code: Any) -> str:
    """The word for a code; the code itself when there is none."""
    return str(table.get(code, code or ""))


def outcome(code: str) -> str:
    return word(OUTCOMES, code)


def break_reason(code: str) -> str:
    return word(BREAK_REASONS, code)


def ticket_type(code: str) -> str:
    return word(TICKET_TYPES, code)


def ticket_state(code: str) -> str:
    return word(TICKET_STATES, code)


def urgency(code: str) -> str:
    return word(URGENCIES, code)


EVENTS: dict[str, Any] = {
    "offered": _l("来电"),
    "answered": _l("接听"),
    "node": _l("流程节点"),
    "digit": _l("按键"),
    "language": _l("选择语言"),
    "queued": _l("进入排队"),
    "notice": _l("播放等待提示"),
    "assigned": _l("分配话务员"),
    "declined": _l("话务员未接"),
    "joined": _l("话务员加入通话"),
    "left": _l("话务员离开通话"),
    "unqueued": _l("离开排队"),
    "emergency": _l("紧急热线"),
    "recording": _l("录音"),
    "message": _l("留言"),
    "hold": _l("保持"),
    "safety_net": _l("由安全网接管"),
    "fault": _l("故障"),
    "reconciled": _l("事后补记"),
    "ended": _l("通话结束"),
}
EVENT_TONES: dict[str, str] = {
    "answered": "green",
    "joined": "green",
    "ended": "dark",
    "declined": "orange",
    "notice": "azure",
    "queued": "azure",
    "assigned": "azure",
    "message": "azure",
    "emergency": "red",
    "safety_net": "red",
    "fault": "red",
    "reconciled": "yellow",
}
UNIT_KINDS: dict[str, Any] = {
    "centre": _l("热线中心"),
    "bureau": _l("地直部门"),
    "county": _l("县（市）分中心"),
    "township": _l("乡镇（街道）"),
    "enterprise": _l("公用企业"),
}


def joined(*parts: Any) -> str:
    """The parts that there are, in a row as the present language writes it; each keeps its own direction."""
    shown = [str(part) for part in parts if part not in (None, "")]
    if language() in RIGHT_TO_LEFT:
        return "، ".join(f"\u2068{part}\u2069" for part in shown)  # isolates: a Chinese name stays whole
    return ("，" if language() == SOURCE else ", ").join(shown)


def towards(start: Any, end: Any) -> str:
    """``start → end``; the arrow is not mirrored among right-to-left text, so the whole is kept left to right there."""
    text = f"{start} → {end}"
    return f"\u2066{text}\u2069" if language() in RIGHT_TO_LEFT else text


def call_languages(codes: list[str]) -> str:
    return joined(*(word(CALL_LANGUAGES, code) for code in codes))


def county(code: str) -> str:
    """The name of a county; empty for none."""
    return translated(COUNTIES.get(code, ""))


def event(kind: str) -> str:
    return word(EVENTS, kind)


def role(code: str) -> str:
    return word(ROLES, code)
