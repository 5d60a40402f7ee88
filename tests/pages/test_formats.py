"""Numbers, units, times and names as people read them."""

import html
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.parts.look import formats


def plain(text: str) -> str:
    return text.replace(formats.THIN, " ")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1240, "MB", "1.24 GB"),
        (312, "MB", "312 MB"),
        (0, "MB", "0 MB"),
        (0.5, "MB", "500 kB"),
        (2.5e9, "bytes", "2.50 GB"),
        (999_999, "GB", "1,000 TB"),
        (12_400, "activity", "12.4 k activity"),
        (312, "", "312"),
        (1.2e6, "", "1.20 M"),
        (0.0712, "", "0.0712"),
        (float("nan"), "MB", "–"),
    ],
)
def test_amounts_read_well_in_any_unit(value, unit, shown):
    assert plain(formats.amount(value, unit)) == shown


@given(st.floats(min_value=1e-6, max_value=1e15), st.sampled_from(["MB", "GB", "bytes", "activity", ""]))
def test_scaling_keeps_the_amount(value, unit):
    divisor, symbol = formats.scale(value, unit)
    back = formats.BYTES.get(symbol, 1.0) if symbol in formats.BYTES else 1.0
    here = formats.BYTES[formats.BYTE_NAMES[unit.lower()]] if unit.lower() in formats.BYTE_NAMES else None
    if here:
        assert value / divisor * back == pytest.approx(value * here)
    else:
        assert 1 <= value / divisor < 1000 or value < 1 or value >= 1e12


def test_shares_durations_distances_and_times():
    shares = [plain(formats.share(part)) for part in (0, 0.0004, 0.013, 0.5, 1)]
    assert shares == ["0 %", "< 0.1 %", "1.3 %", "50 %", "100 %"]
    lengths = [plain(formats.duration(pd.Timedelta(text))) for text in ("30min", "1h", "24h", "90s")]
    assert lengths == ["30 min", "1 h", "24 h", "90 s"]
    assert [plain(formats.distance(metres)) for metres in (340, 2100, 12345)] == ["340 m", "2.10 km", "12.3 km"]
    assert formats.moment(pd.Timestamp("2025-08-05 14:30", tz="Europe/Rome")) == "Tue 5 Aug 2025, 14:30"
    assert plain(formats.position(-0.5, 45.25)) == "45.25000° N, 0.50000° W"
    units = [plain(formats.rate(unit, pd.Timedelta("30min"))) for unit in ("GB", "k activity", "k", "")]
    assert units == ["GB / 30 min", "k activity / 30 min", "thousands / 30 min", "per 30 min"]


@given(st.text())
def test_escaped_text_is_inert_and_complete(text):
    shown = formats.escaped(text)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == html.unescape(html.unescape(shown)) or "&" in text
    assert html.unescape(shown) == text or "&" in text or "\r" in text


def test_literal_text_has_nothing_that_a_browser_makes_a_link_of():
    for text in ("https://evil.example", "HTTP://evil.example", "WWW.evil.example", "a@b.example", "14:30"):
        shown = formats.literal(text).replace("\\", "")
        assert shown.replace("\u2060", "") == text
        assert not re.search(r"(https?://|www(?=\.))[-.\w]+|[-.\w+]+@[-\w]+\.", shown, re.IGNORECASE | re.ASCII)


@given(st.text(alphabet="*_`[]()<>:$#~|ab1 "))
def test_literal_text_marks_every_sign_of_markdown(text):
    shown = formats.literal(text)
    assert shown.replace("\\", "") == text
    assert all(shown[i - 1] == "\\" for i, mark in enumerate(shown) if mark in "*_`[]<>:$#")


def test_a_sentence_is_literal_but_for_the_commands_it_names() -> None:
    said = formats.sentence("made with the *base* model, which `lecdiff train` replaces")
    assert said.count("`") == 2 and "`lecdiff train`" in said and "*base*" not in said
    hostile = "`<img src=x>` and `lecdiff train](http://evil)`"
    assert formats.sentence(hostile) == formats.literal(hostile)
