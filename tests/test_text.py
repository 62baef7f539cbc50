"""Text from elsewhere is shown and never acted on."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.text import listed, printable

ANY = st.text(st.characters(exclude_categories=()), max_size=40)
"""Any sequence of code points, lone surrogates among them."""


@given(ANY)
def test_nothing_is_left_that_a_terminal_acts_on(text):
    shown = printable(text)
    kinds = {unicodedata.category(character) for character in shown if character not in "\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
    assert shown.encode().decode() == shown
    assert len(shown.splitlines()) <= 1


@given(ANY)
def test_what_can_be_shown_stays_and_what_cannot_can_be_read(text):
    assert printable(printable(text)) == printable(text)
    if text.isprintable():
        assert printable(text) == text
    if "\\" not in text and text.isascii():
        assert printable(text).encode().decode("unicode_escape") == text


@given(ANY, st.integers(1, 60))
def test_a_long_text_is_cut_and_says_so(text, most):
    shown = printable(text, most)
    assert len(shown) <= most
    assert shown == printable(text) or shown.endswith("…")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("evil\u202egnp.exe", r"evil\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("café\u00a0noir, Ünïcode, 猫, شتر", "café\u00a0noir, Ünïcode, 猫, شتر"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        (b"\x1b", r"b'\x1b'"),
    ],
)
def test_letters_stay_and_controls_do_not(text, shown):
    assert printable(text) == shown


def test_kept_characters_stay():
    assert printable("a\nb\x00", keep="\n") == "a\nb\\x00"


def test_many_items_are_counted():
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"{k}" for k in range(25)], most=3) == "0, 1, 2 and 22 more"
    assert listed(["\x1b", "x" * 100]) == "\\x1b, " + "x" * 59 + "…"
    assert len(listed(range(300_000))) < 200
