"""The key is taken out of every text, and the quick look at a text never overlooks it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.modelverse.client import _any_spelling, _hiding
from tests.wire.modelverse.parts import KEY

_PIECES = st.sampled_from(
    [KEY, KEY.upper(), KEY[:-1], KEY.replace("/", "\\/"), "%73%6B" + KEY[2:], "&#115;k" + KEY[2:], " ", "ſ", "浪", "%"]
)


@given(st.lists(_PIECES | st.text(max_size=5), max_size=5).map("".join))
def test_a_text_is_hidden_alike_when_the_quick_look_decides(text: str) -> None:
    """Looking first for what every spelling needs changes nothing in what is taken out."""
    assert _hiding(KEY)(text) == _any_spelling(KEY).sub("***", text)


@pytest.mark.parametrize("before", [0, 1, 2])
def test_the_key_is_hidden_when_it_stands_in_base64(before: int) -> None:
    """Wherever the key begins in a Base64 text, it cannot be read back."""
    encoded = base64.b64encode(b"x" * before + KEY.encode() + b"yz").decode()
    shown = _hiding(KEY)(f"token {encoded}")
    assert "***" in shown
    assert encoded[8:-8] not in shown


def test_a_text_stays_when_it_is_one_shorter_than_the_key() -> None:
    """What is shorter than the key cannot hold it; what is as long may."""
    assert _hiding(KEY)(KEY[1:]) == KEY[1:]
    assert _hiding(KEY)(KEY) == "***"


def test_every_text_stays_when_there_is_no_key() -> None:
    """An empty key is found nowhere."""
    assert _hiding("")("anything") == "anything"
