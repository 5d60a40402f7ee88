"""Words of a query in descriptions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.environment.search.wording import Wording

TEXTS = ["A stadium stands beside houses.", "Houses fill the area.", "Houses and a railway.", ""]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    match = Wording(TEXTS).match("stadium and house")
    assert match[0] == 1
    assert match[1] == match[2] < 0.5
    assert match[3] == 0
    assert Wording(TEXTS).match("stadium near railway")[0] == Wording(TEXTS).match("stadium near railway")[2] == 0.5


def test_plurals_capitals_and_words_without_meaning_make_no_difference() -> None:
    wording = Wording(TEXTS)
    np.testing.assert_array_equal(wording.match("HOUSE in the"), wording.match("houses"))
    assert not wording.match("in the").any()


def test_words_that_no_description_has_leave_the_others_their_weight() -> None:
    np.testing.assert_array_equal(Wording(TEXTS).match("railway zeppelin"), Wording(TEXTS).match("railway"))
    assert not Wording(TEXTS).match("zeppelin 🏟").any()


@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=30))
def test_a_share_lies_between_none_and_all(texts: list[str], query: str) -> None:
    match = Wording(texts).match(query)
    assert match.shape == (len(texts),)
    assert ((match >= 0) & (match <= 1 + 1e-5)).all()
