"""Ctrl-C that cannot get lost.

Python raises it in whatever runs at the moment. Where that is a callback of JAX's, as for most of a compilation, the
exception goes no further, and the program goes on as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.asked = False

    def look(self) -> None:
        """Stop here, if that was asked for.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def ctrl_c_noted(*, at_once: bool = False) -> Iterator[Stop]:
    """Note a first Ctrl-C, for whoever looks, and raise from a second one on; at the end, whoever has looked or not.

    Outside of the main thread, and where the program handles Ctrl-C in its own way, nothing changes.

    Args:
        at_once: raise from the first one on, where there are long waits that nobody could look in.
    """
    stop = Stop()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        again, stop.asked = stop.asked, True
        if again or at_once:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    stop.look()
