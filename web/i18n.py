"""Languages of the pages. The source strings are Chinese; ``translations/`` holds English and Uyghur.

``python -m web.i18n`` brings the catalogues up to date with the sources; ``compile_catalogues`` makes them loadable.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from flask import Flask, g, has_request_context, session
from flask_babel import Babel, gettext, lazy_gettext, ngettext

from core import log
from core.errors import YihuError

FOLDER = Path(__file__).parent
CATALOGUES = FOLDER / "translations"
DOMAIN = "messages"
SOURCE = "zh"
LANGUAGES = {"zh": "中文", "ug": "ئۇيغۇرچە", "en": "English"}
RIGHT_TO_LEFT = frozenset({"ug"})
_CHINESE = re.compile("[\u4e00-\u9fff]")
_ELSEWHERE = frozenset({"node_modules", "static", "frontend", "translations", "api"})
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
_KEYWORDS: dict[str, Any] = {"_": None, "_l": None, "_n": (1, 2)}


def _(text: str, **values: Any) -> str:
    """``text`` in the language of the present request."""
    return str(gettext(text, **values))


def _n(one: str, many: str, number: int, **values: Any) -> str:
    """``one`` or ``many`` in the language of the present request."""
    return str(ngettext(one, many, number, **values))


def _l(text: str) -> Any:
    """``text``, translated when it is shown: for words that stand at the top of a module."""
    return lazy_gettext(text)


def said(error: YihuError) -> str:
    """What went wrong, for a person. Texts that name a thing (a number, a person) are only known in Chinese."""
    between = "，" if language() == SOURCE else "; "
    return between.join(translated(text) for text in (error.detail, error.fix) if text)


def translated(text: str) -> str:
    """A text of a service, in the language of the present request as far as the catalogue has it."""
    return str(gettext(text)) if text else ""


def language() -> str:
    """The language of the present request; Chinese outside of one and until another is chosen."""
    if not has_request_context():
        return SOURCE
    if "language" not in g:
        chosen = session.get("language", SOURCE)
        g.language = chosen if chosen in LANGUAGES else SOURCE
    return str(g.language)


def install(app: Flask) -> None:
    """Install gettext and the template helpers; catalogues that are older than their sources are compiled first."""
    try:
        compile_catalogues()
    except OSError as exc:  # installed where we may not write: what was compiled before is used
        log.get("web").warning("catalogues not compiled", error=str(exc))
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(CATALOGUES)
    app.config["BABEL_DEFAULT_TIMEZONE"] = "Asia/Shanghai"
    Babel(app, default_locale=SOURCE, locale_selector=language)

    @app.context_processor
    def helpers() -> dict[str, Any]:
        now = language()
        return {
            "_": _,
            "said": said,
            "translated": translated,
            "language": now,
            "languages": LANGUAGES,
            "direction": "rtl" if now in RIGHT_TO_LEFT else "ltr",
        }


def compile_catalogues(folder: Path = CATALOGUES) -> list[Path]:
    """Compile each catalogue that is newer than its compiled form; returns what was written.

    Safe in several processes at once: a file is replaced as a whole.
    """
    written = []
    for source in sorted(folder.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        buffer = BytesIO()
        write_mo(buffer, _read(source))
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        draft.write_bytes(buffer.getvalue())
        draft.replace(target)
        written.append(target)
    return written


def extracted() -> Catalog:
    """All source strings with the places they stand at."""
    catalog = Catalog(locale=SOURCE, project="yihu", charset="utf-8")
    options = {"**/templates/**.html": {"trimmed": "true", "silent": "false"}}
    found: Iterable[Any] = extract_from_dir(
        str(FOLDER),
        method_map=_METHODS,
        options_map=options,
        keywords=_KEYWORDS,
        directory_filter=lambda path: Path(path).name not in _ELSEWHERE,
    )
    for filename, _line, message, comments, _context in found:
        catalog.add(message, locations=[(filename, 0)], auto_comments=comments)
    for path in sorted(FOLDER.rglob("*.py")):
        if not _ELSEWHERE & set(path.relative_to(FOLDER).parts) and path != Path(__file__):
            for text in plain_texts(path.read_text("utf-8")):
                catalog.add(text, locations=[(str(path.relative_to(FOLDER)), 0)])
    return catalog


def plain_texts(source: str) -> Iterator[str]:
    """The Chinese texts of a Python source that stand there whole, docstrings apart.

    Services say what is wrong in Chinese; :func:`said` and :func:`translated` look those texts up here.
    """
    tree = ast.parse(source)
    skipped = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    skipped |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in skipped else None
        if isinstance(text, str) and _CHINESE.search(text):
            yield text


def update_catalogues() -> list[str]:
    """Bring every .po file up to date with the sources; returns what still lacks a translation, as ``ug: text``."""
    source = extracted()
    lacking = []
    for name in LANGUAGES:
        if name == SOURCE:
            continue
        path = CATALOGUES / name / "LC_MESSAGES" / f"{DOMAIN}.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        catalog = _read(path) if path.exists() else Catalog(locale=name, project="yihu", charset="utf-8")
        catalog.update(source, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        _write(path, catalog)
        lacking += [f"{name}: {message.id}" for message in catalog if message.id and not _complete(message.string)]
    return lacking


def _read(path: Path) -> Catalog:
    with path.open("rb") as handle:
        return read_po(handle, locale=path.parent.parent.name)


def _write(path: Path, catalog: Catalog) -> None:
    """Without dates and places, so that only a changed text is a changed line."""
    buffer = BytesIO()
    write_po(buffer, catalog, width=120, omit_header=True, no_location=True, sort_output=True)
    head = ('msgid ""', 'msgstr ""', r'"Content-Type: text/plain; charset=utf-8\n"', rf'"Language: {path.parts[-3]}\n"')
    path.write_bytes("\n".join([*head, "", ""]).encode() + buffer.getvalue())


def _complete(text: Any) -> bool:
    return all(text) if isinstance(text, tuple) else bool(text)


if __name__ == "__main__":
    for line in update_catalogues():
        print("untranslated", line)
    compile_catalogues()
