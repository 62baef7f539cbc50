"""The other end of `processes`: one process, which works on one unit that it is sent, and says how that ended."""

from __future__ import annotations

import _thread
import dataclasses
import json
import os
import sys
import threading
from typing import IO

from qdistill.experiments.engines.unit import Failure, Task

SERVE = f"from {__name__} import serve; serve()"
"""The program of the process."""

_LENGTH = 8
"""Bytes in which the length of a task comes before it."""

_GRACE = 60.0
"""Seconds to end an iteration in, when the process that sent the unit has ended or wants it to stop."""


def one_process(cores: int) -> dict[str, str]:
    """The environment of a process that is to use so many cores: XLA and BLAS read it when they start."""
    return {
        "NPROC": str(cores),
        "OMP_NUM_THREADS": str(cores),
        "OPENBLAS_NUM_THREADS": str(cores),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def serve() -> None:
    """Receive a `Task` by standard input, do it, and write how it ended to standard output."""
    # What libraries print belongs into the log.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    task = Task(source.read(int.from_bytes(source.read(_LENGTH), "big")).decode())
    threading.Thread(target=_stop_with_sender, daemon=True).start()
    try:
        failure = task()
    except KeyboardInterrupt:
        os._exit(130)
    with answer:
        answer.write(json.dumps(failure and dataclasses.asdict(failure)).encode())
    # Without waiting for threads of other libraries, and for the one that reads.
    os._exit(0)


def send(pipe: IO[bytes], task: Task) -> None:
    """Send a task to `serve`, and leave the pipe open.

    Raises:
        BrokenPipeError: the process has ended already.
    """
    content = task.content.encode()
    pipe.write(len(content).to_bytes(_LENGTH, "big") + content)
    pipe.flush()


def ended(said: bytes) -> Failure | None:
    """How a task ended, from what `serve` has written; None where nothing went wrong."""
    plain = json.loads(said)
    return None if plain is None else Failure(**plain)


def _stop_with_sender() -> None:
    """Wait until the sender has closed the pipe, or has ended; then stop as by Ctrl-C."""
    os.read(0, 1)
    _thread.interrupt_main()
    threading.Event().wait(_GRACE)
    os._exit(1)
