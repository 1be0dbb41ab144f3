"""``docs/settings.md``, made from the code, so that it is never out of date."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args

from core import policy
from core.settings import PORT_FIELDS, REPO, Settings

FILE = REPO / "docs" / "settings.md"
SECTION = re.compile(r"^    # -- (.+?) -*$")
FIELD = re.compile(r"^    (\w+): ")
ROOMS = ("core", "routing", "ivr_flows", "recordings", "agi", "web", "yihu")


def sections() -> list[tuple[str, list[str]]]:
    """Titles and setting names in the order of core/settings.py."""
    found: list[tuple[str, list[str]]] = []
    for line in (REPO / "core" / "settings.py").read_text("utf-8").splitlines():
        if title := SECTION.match(line):
            found.append((title[1], []))
        elif (name := FIELD.match(line)) and name[1] in Settings.model_fields and found:
            found[-1][1].append(name[1])
    return [(title, names) for title, names in found if names]


def _kind(annotation: object) -> str:
    literals = [value for value in get_args(annotation) if isinstance(value, str)]
    if literals:
        return " or ".join(f"`{value}`" for value in literals)
    names = {"int": "whole number", "float": "number", "bool": "true or false", "str": "text", "Path": "folder"}
    words = re.findall(r"\b(int|float|bool|str|Path)\b", str(getattr(annotation, "__name__", annotation)))
    return names.get(words[0], "text") if words else names.get(str(annotation), "text")


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    if isinstance(value, Path):
        return f"`{value.relative_to(REPO)}/`" if value.is_relative_to(REPO) else f"`{value}`"
    if value in ("", None):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def load_policies() -> list[policy.Policy]:
    """Every policy number that any room declares (rooms declare at import)."""
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            source = importlib.util.find_spec(module.name)
            if source is not None and source.origin and "declare(" in Path(source.origin).read_text("utf-8"):
                importlib.import_module(module.name)
    return policy.declared()


def render() -> str:
    """The whole document."""
    lines = [
        "# Settings",
        "",
        "This page is made from the code by `bin/yihu settings-docs`; do not edit it.",
        "",
        "Settings are read from `YIHU_HOME/yihu.toml` (TOML, one `name = value` a line) and from variables named",
        "`YIHU_` and the setting's name in capitals; variables win. `YIHU_CONFIG` names another file. They are checked",
        "at each start; a wrong one is named together with its value and where it came from. The home itself is named",
        "by `YIHU_HOME` alone.",
        "",
        "```toml",
        "# var/yihu.toml",
        'bind = "192.0.2.10"',
        "web_port = 8080",
        "```",
        "",
        "Run as root from a folder that other users cannot enter, the default home is `/var/lib/yihu/NAME` instead of",
        "`var/`, because Asterisk runs as the ordinary user `run_user` and must reach it.",
        "",
    ]
    for title, names in sections():
        lines += [
            f"## {title[0].upper()}{title[1:]}",
            "",
            "| setting | meaning | kind | default |",
            "|---|---|---|---|",
        ]
        for name in names:
            field = Settings.model_fields[name]
            shift = " Shifted by `port_shift`." if name in PORT_FIELDS else ""
            meaning = _cell((field.description or "") + shift)
            lines.append(f"| `{name}` | {meaning} | {_kind(field.annotation)} | {_default(name)} |")
        lines.append("")
    lines += [
        "## Policy numbers",
        "",
        "Limits and thresholds of the hotline are not in the file above but in the database, each with the day from",
        "which it is in force and its basis; these are the values they start with.",
        "",
        "| key | what it is | starts with | basis |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{number.key}` | {_cell(number.title)} | {number.default} {number.unit} | {_cell(number.basis)} |"
        for number in load_policies()
    ]
    return "\n".join(lines) + "\n"


def up_to_date() -> bool:
    return FILE.is_file() and FILE.read_text("utf-8") == render()


def write() -> None:
    FILE.write_text(render(), "utf-8")
