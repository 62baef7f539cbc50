"""Ctrl-C: it is noted wherever it falls, a second one acts at once, and what was there before comes back."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

import pytest

from qdistill.interrupts import ctrl_c_noted


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_first_ctrl_c_is_noted_for_whoever_looks() -> None:
    reached = []

    def steps() -> None:
        with ctrl_c_noted() as stop:
            stop.look()
            press()
            reached.append("the end of the step")
            stop.look()
            reached.append("another step")

    with pytest.raises(KeyboardInterrupt):
        steps()
    assert reached == ["the end of the step"]


def test_a_second_one_acts_at_once() -> None:
    with ctrl_c_noted() as stop:
        press()
        with pytest.raises(KeyboardInterrupt):
            press()
        stop.asked = False


def test_one_that_is_swallowed_is_not_lost() -> None:
    """As in a callback of JAX's, which ends no compilation."""
    with ctrl_c_noted(at_once=True) as stop:
        with contextlib.suppress(KeyboardInterrupt):
            press()
            raise AssertionError
        with pytest.raises(KeyboardInterrupt):
            stop.look()
        stop.asked = False


def test_one_that_nobody_looked_for_is_raised_at_the_end() -> None:
    reached = []

    def step() -> None:
        with ctrl_c_noted():
            press()
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert reached == ["the end"]


def test_an_error_is_not_hidden() -> None:
    def fails() -> None:
        with ctrl_c_noted():
            press()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


def test_a_program_that_handles_it_itself_keeps_its_handler() -> None:
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append("mine"))
    with ctrl_c_noted() as stop:
        press()
        stop.look()
    assert heard == ["mine"]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_are_left_alone() -> None:
    seen = []

    def elsewhere() -> None:
        with ctrl_c_noted() as stop:
            seen.append((signal.getsignal(signal.SIGINT), stop.asked))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [(signal.default_int_handler, False)]
