"""Invented people, units and calls of the demonstration (SPEC 5). Nobody and nothing here is real."""

from __future__ import annotations

from dataclasses import dataclass

from core.records import Outcome
from web.units.models import UnitKind


@dataclass(frozen=True)
class Person:
    """An agent of the demonstration with a log-in."""

    username: str
    number: str  # 工号
    name: str
    languages: tuple[str, ...]
    role: str


PEOPLE = (
    Person("1001", "1001", "张小雨", ("zh",), "AGENT"),
    Person("1002", "1002", "阿依努尔", ("ug", "zh"), "AGENT"),
    Person("1003", "1003", "王建国", ("zh",), "AGENT"),
    Person("1004", "1004", "古丽娜", ("ug",), "AGENT"),
    Person("2001", "2001", "李明", ("zh", "ug"), "LEAD"),
)

QUEUES = {
    "general": {"zh": "综合服务", "en": "General", "ug": "ئۇنىۋېرسال مۇلازىمەت"},
}

NUMBERS = {
    "12345": "政务服务便民热线",
    "09980120000": "热线直拨号（虚构）",
}

CENTRE = "12345热线中心（示例）"
UNITS = (
    (UnitKind.BUREAU, "住建局（示例）", "653100"),
    (UnitKind.BUREAU, "人社局（示例）", "653100"),
    (UnitKind.BUREAU, "市场监管局（示例）", "653100"),
    (UnitKind.BUREAU, "交通运输局（示例）", "653100"),
    (UnitKind.ENTERPRISE, "供热公司（示例）", "653101"),
    (UnitKind.ENTERPRISE, "供水公司（示例）", "653101"),
    (UnitKind.ENTERPRISE, "供电公司（示例）", "653100"),
)


@dataclass(frozen=True)
class PastCall:
    """A call of the last days: hours ago, number, language, waiting and talking seconds, outcome."""

    hours_ago: float
    caller: str
    language: str
    wait: float
    talk: float
    outcome: Outcome
    agent: int | None = None  # index into PEOPLE
    ticket: tuple[str, str, str, str] | None = None  # type, title, content, county


HISTORY = (
    PastCall(
        1.2, "15409980001", "zh", 6, 184, Outcome.TALKED, 0, ("求助", "室温不达标", "供暖第三天室温14度。", "653101")
    ),
    PastCall(2.1, "15409980002", "ug", 9, 141, Outcome.TALKED, 1, ("求助", "停水两天", "全村停水已两天。", "653128")),
    PastCall(2.8, "15409980003", "zh", 31, 0, Outcome.ABANDONED_WAITING),
    PastCall(4.5, "15409980004", "zh", 4, 212, Outcome.TALKED, 2, ("投诉", "工地欠薪", "工地拖欠11人工资。", "653125")),
    PastCall(
        6.3,
        "09980120001",
        "zh",
        12,
        96,
        Outcome.TALKED,
        0,
        ("咨询", "异地就医备案", "咨询医保异地备案办法。", "653101"),
    ),
    PastCall(9.0, "15409980005", "ug", 15, 0, Outcome.NOT_SERVED),
    PastCall(
        12.4, "15409980001", "zh", 8, 120, Outcome.TALKED, 0, ("求助", "井盖缺失", "路口井盖缺失，夜间危险。", "653101")
    ),
    PastCall(
        20.6,
        "15409980006",
        "zh",
        3,
        77,
        Outcome.TALKED,
        4,
        ("建议", "增设公交站", "建议在小区门口增设公交站。", "653101"),
    ),
    PastCall(
        26.0, "15409980007", "zh", 5, 159, Outcome.TALKED, 2, ("投诉", "夜间施工噪声", "凌晨仍在施工。", "653101")
    ),
    PastCall(
        30.5,
        "15409980002",
        "ug",
        10,
        65,
        Outcome.TALKED,
        1,
        ("表扬", "表扬社区干部", "帮助老人看病，表示感谢。", "653130"),
    ),
    PastCall(49.0, "15409980008", "zh", 0, 0, Outcome.ABANDONED_IVR),
    PastCall(
        50.2, "15409980009", "zh", 7, 133, Outcome.TALKED, 0, ("举报", "超市售过期奶", "购买到过期牛奶。", "653124")
    ),
)
