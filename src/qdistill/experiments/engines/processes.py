"""In processes of this machine, so many at once, each with cores of its own.

They are started anew, never forked, for JAX has threads. A pipe holds them: when this process ends, however that is,
theirs ends too, and they stop after the iteration that they are at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from qdistill.errors import ArgumentError, RunError
from qdistill.experiments.engines.engine import Change, Choice
from qdistill.experiments.engines.process import SERVE, ended, one_process, send
from qdistill.experiments.engines.unit import Failure, Setup, Task, Unit, write_log
from qdistill.folders import make_folder
from qdistill.machine import usable_cores

RETRIES = 3
"""How often a unit is begun again whose process was killed, such as by the system when the memory ran out."""

_PATIENCE = 60.0
"""Seconds for the process of a driver that was killed to end, and to let go of its folder."""


class Processes:
    """`Workers` that are processes of this machine.

    Args:
        setup: what all units have in common.
        count: processes at once, each with the cores of the setup, or one.

    Raises:
        ArgumentError: there are not so many cores.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        cores = setup.cores or 1
        check_count(count, cores)
        self.place = f"{count} processes here"
        self.choices: Mapping[Choice, str] = {
            "stop": "begin no more, and stop those that run, to be gone on with from their last look",
            "wait": "begin no more, and wait for those that run",
        }
        self._setup, self.at_once, self._cores = dataclasses.replace(setup, cores=cores), count, cores
        self._queue: deque[Unit] = deque()
        self._running: dict[Unit, subprocess.Popen[bytes]] = {}
        self._killed: dict[Unit, int] = {}

    def submit(self, units: Sequence[Unit]) -> None:
        """See `Workers`."""
        self._queue.extend(units)

    def look(self) -> Iterator[Change]:
        """See `Workers`."""
        for unit, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[unit]
                yield self._ended(unit, process)
        while self._queue and len(self._running) < self.at_once:
            unit = self._queue.popleft()
            try:
                self._running[unit] = self._start(unit)
                yield Change(unit, "running")
            except RunError as error:
                yield Change(unit, "failed", Failure.of(error))

    def hold_back(self) -> Sequence[Unit]:
        """See `Workers`."""
        held = list(self._queue)
        self._queue.clear()
        return held

    def stop(self) -> None:
        """See `Workers`."""
        for process in self._running.values():
            _let_go(process)
        for process in self._running.values():
            process.wait()

    def close(self) -> None:
        """See `Workers`."""
        self.stop()
        self._running.clear()

    def _start(self, unit: Unit) -> subprocess.Popen[bytes]:
        make_folder(unit.folder)
        task = Task.of(unit, self._setup, patience=_PATIENCE)
        try:
            with unit.log.open("ab") as log:
                process = subprocess.Popen(
                    # Not with the working folder in front, which the command has not either.
                    [sys.executable, "-P", "-c", SERVE],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | one_process(self._cores),
                    # Ctrl-C is this process's to answer.
                    start_new_session=True,
                )
        except OSError as error:
            raise RunError(f"Cannot write {unit.log}: {error.strerror or error}.") from error
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already, which is seen when it is looked at
            send(process.stdin, task)
        return process

    def _ended(self, unit: Unit, process: subprocess.Popen[bytes]) -> Change:
        with process:
            _let_go(process)
            said = process.stdout.read() if process.stdout else b""
        if said:
            failure = ended(said)
            return Change(unit, "done" if failure is None else "failed", failure)
        killed = self._killed[unit] = self._killed.get(unit, 0) + 1
        what = f"its process ended without a word ({_exit(process.returncode)})"
        write_log(unit.log, what)
        if killed > RETRIES:
            return Change(unit, "failed", Failure("RunError", f"{what}, {killed} times."))
        self._queue.appendleft(unit)
        return Change(unit, "queued", remark=f"{what}; it goes on from its last look")


def check_count(count: int, cores: int) -> None:
    """Make sure that this machine has the cores for so many processes.

    Raises:
        ArgumentError: it has not.
    """
    available = usable_cores()
    if not 1 <= count * cores <= available:
        raise ArgumentError(
            f"Argument `on` must be processes:N, which together take at most the {available} cores that this "
            f"process may use, but was processes:{count}, of {cores} each."
        )


def _let_go(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
