"""Catalogues: complete, up to date, with the placeholders of their sources; pages in each language."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from flask import session

from core.errors import Conflict, Invalid
from tests.web.conftest import ADMIN, LEAD, House
from web import i18n, words

CHINESE = re.compile("[\u4e00-\u9fff]")
ARABIC = re.compile("[\u0600-\u06ff]")
TRANSLATIONS = [language for language in i18n.LANGUAGES if language != i18n.SOURCE]


@pytest.fixture(scope="module")
def source() -> Catalog:
    return i18n.extracted()


def catalogue(language: str) -> Catalog:
    return i18n._read(i18n.CATALOGUES / language / "LC_MESSAGES" / "messages.po")


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_every_text_is_translated_and_none_is_left_over(language: str, source: Catalog) -> None:
    wanted = {message.id for message in source if message.id}
    have = {message.id: message.string for message in catalogue(language) if message.id}
    assert wanted - have.keys() == set(), "run: python -m web.i18n, then translate"
    assert have.keys() - wanted == set(), "run: python -m web.i18n"
    assert [text for text, translation in have.items() if not translation] == []


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translations_keep_placeholders_and_are_in_their_language(language: str) -> None:
    for message in catalogue(language):
        if not message.id:
            continue
        names = re.findall(r"%\(\w+\)s", str(message.id))
        assert sorted(re.findall(r"%\(\w+\)s", str(message.string))) == sorted(names), message.id
        assert not CHINESE.search(str(message.string)), message.id
        if language == "ug":
            assert ARABIC.search(str(message.string)), message.id
        else:
            assert str(message.string).isascii() or "“" in str(message.string), message.id


def test_texts_of_errors_are_found_and_docstrings_are_not() -> None:
    source = '"""模块"""\nraise Invalid("错了", fix="改正")\nx = f"号码 {n}"\nfor m in (("a", "请填"),):\n    "注释"\n'
    assert sorted(i18n.plain_texts(source)) == sorted(["错了", "改正", "请填"])


def test_catalogues_are_compiled_once_and_again_when_changed(tmp_path: Path) -> None:
    folder = tmp_path / "translations"
    shutil.copytree(i18n.CATALOGUES, folder, ignore=shutil.ignore_patterns("*.mo"))
    assert len(i18n.compile_catalogues(folder)) == len(TRANSLATIONS)
    assert i18n.compile_catalogues(folder) == []
    changed = folder / "ug" / "LC_MESSAGES" / "messages.po"
    later = changed.with_suffix(".mo").stat().st_mtime + 5
    os.utime(changed, (later, later))
    assert i18n.compile_catalogues(folder) == [changed.with_suffix(".mo")]
    assert not list(folder.rglob(".messages*"))


def choose(house: House, username: str, language: str) -> None:
    house.browser(username).post_form("/language", "/password", lang=language, next="/")


@pytest.mark.parametrize(
    ("language", "direction", "title"), [("en", "ltr", "Calls"), ("ug", "rtl", "سۆزلىشىش خاتىرىسى")]
)
def test_pages_in_the_chosen_language(house: House, language: str, direction: str, title: str) -> None:
    call_id = house.call(1, agent_id=house.agent_id)
    pages = {
        LEAD: ("/calls", f"/calls/{call_id}", "/calls/n1-1.1", "/tickets", "/desk"),
        ADMIN: ("/staff", "/staff/units"),
    }
    for username, paths in pages.items():
        choose(house, username, language)
        for path in (*paths, "/password"):
            page = house.browser(username).get(path).get_data(as_text=True)
            assert f'lang="{language}" dir="{direction}"' in page
            text = re.sub(r"人员\w*|中文|/\*.*?\*/", "", page)  # names of people, and of the language itself
            if path != "/desk":
                assert not CHINESE.search(text), (path, CHINESE.search(text))
    assert title in house.browser(LEAD).get("/calls").get_data(as_text=True)


def test_chinese_is_the_default_and_an_unknown_language_changes_nothing(house: House) -> None:
    choose(house, LEAD, "tlh")
    page = house.browser(LEAD).get("/calls").get_data(as_text=True)
    assert 'lang="zh" dir="ltr"' in page
    assert "通话记录" in page


def test_errors_and_rows_of_words_in_each_language(house: House) -> None:
    app = house.world.app
    with app.test_request_context("/"):
        assert i18n.said(Conflict("账号已暂时锁定", fix="请联系班长")) == "账号已暂时锁定，请联系班长"
        assert words.joined("甲", None, "", 0, "乙") == "甲，0，乙"
        assert words.county("653101") == "喀什市"
        assert words.county("") == ""
    for language, error, row in (
        ("en", "The account is locked for a while; please ask the shift lead", "a, b"),
        ("ug", "ھېسابات ۋاقتىنچە قۇلۇپلاندى; ئىسمېنا باشلىقى بىلەن ئالاقىلىشىڭ", "\u2068a\u2069، \u2068b\u2069"),
    ):
        with app.test_request_context("/"):
            session["language"] = language
            assert i18n.said(Conflict("账号已暂时锁定", fix="请联系班长")) == error
            assert i18n.said(Invalid("没有这句 100% 的话")) == "没有这句 100% 的话"
            assert words.joined("a", "b") == row
            assert words.towards("a", "b").strip("\u2066\u2069") == "a → b"
