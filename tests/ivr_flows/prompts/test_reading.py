from __future__ import annotations

import pytest

from ivr_flows.prompts.reading import clauses, mandarin, pinyin_digits, uyghur


@pytest.mark.parametrize(
    ("digits", "read"),
    [
        ("110", "yao1 yao1 ling2"),
        ("119", "yao1 yao1 jiu3"),
        ("120", "yao1 er4 ling2"),
        ("122", "yao1 er4 er4"),
        ("12345", "yi1 er4 san1 si4 wu3"),
        ("1", "yi1"),
        ("9", "jiu3"),
        ("09980120001", "ling2 jiu3 jiu3 ba1 ling2 yao1 er4 ling2 ling2 ling2 yao1"),
    ],
)
def test_numbers_as_mandarin_speakers_read_them(digits: str, read: str) -> None:
    assert pinyin_digits(digits) == read


@pytest.mark.parametrize(
    ("text", "pinyin"),
    [
        ("请按1", "qing3 an4 yi1"),
        ("这是119模拟台", "zhe4 shi4 yao1 yao1 jiu3 mo2 ni3 tai2"),
        ("正在为您重新接通", "zheng4 zai4 wei4 nin2 chong2 xin1 jie1 tong1"),
        ("请不要挂机", "qing3 bu2 yao4 gua4 ji1"),  # tone sandhi of 不
        ("仅供演示", "jin3 gong1 yan3 shi4"),
        ("您的", "nin2 de5"),  # neutral tone
        ("女", "nü3"),
    ],
)
def test_mandarin_in_pinyin(text: str, pinyin: str) -> None:
    assert mandarin(text) == pinyin


def test_uyghur_numbers_and_their_endings() -> None:
    assert uyghur("9 نى بېسىڭ") == "توققۇزنى بېسىڭ"
    assert uyghur("بۇ 110 نىڭ سىنىقى") == "بۇ بىر بىر نۆلنىڭ سىنىقى"
    assert uyghur("قەشقەر 12345") == "قەشقەر بىر ئىككى ئۈچ تۆت بەش"
    assert uyghur("110 تېلېفون") == "بىر بىر نۆل تېلېفون"


def test_clauses_and_where_sentences_end() -> None:
    assert clauses("您好，喀什。请按1") == [("您好", False), ("喀什", True), ("请按1", False)]
    assert clauses("ساقلاڭ، بېسىڭ.") == [("ساقلاڭ", False), ("بېسىڭ", True)]
    assert clauses("，。") == []
