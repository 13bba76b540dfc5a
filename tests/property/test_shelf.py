"""The shelf that is searched at each key."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.viewmodels.shelf import _Shelf

TEXT = st.text("ab c", max_size=9)


@pytest.mark.feature("RP-05")
@given(st.lists(TEXT, max_size=12), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_search_finds_what_has_every_word_in_the_catalogues_order(
    texts: list[str], words: list[str]
) -> None:
    """As if each product were looked at by itself."""
    shelf = _Shelf(
        version=1,
        products=[(str(at), text, "", True) for at, text in enumerate(texts)],
        categories=[],
        menu=[],
        texts="\n".join(texts),
        starts=list(accumulate((len(text) + 1 for text in texts), initial=0))[:-1],
    )
    fitting = [at for at, text in enumerate(texts) if all(word in text for word in words)]
    assert list(shelf.fitting(words)) == fitting
