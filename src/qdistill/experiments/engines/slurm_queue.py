"""Where jobs stand: in Slurm's own queue, or as processes of submitit's local executor."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from qdistill.experiments.engines.engine import State

_RENEWED, _LAG = 5.0, 60.0
"""Seconds between two looks at Slurm's queue, and for which a job that has left it may still show its result."""

_ANSWER = 60.0
"""Seconds in which Slurm must answer."""

_LOCAL = 0.5
"""Seconds between two looks at the processes."""


class LocalQueue:
    """That of submitit's local executor, where all jobs run at once."""

    pause = _LOCAL

    def __init__(self) -> None:
        self._asked = -math.inf

    def renew(self, jobs: Sequence[Any], *, at_once: bool = False) -> bool:
        """Whether it is time for another look."""
        now = time.monotonic()
        if not at_once and now < self._asked + self.pause:
            return False
        self._asked = now
        return True

    def has(self, job: Any) -> bool:
        """Whether a job has not ended."""
        return not job.done()

    def state(self, job: Any) -> State | None:
        """Running, or None where it has ended."""
        return "running" if self.has(job) else None

    def cancel(self, jobs: Sequence[Any], *, waiting_only: bool = False) -> None:
        """End jobs, of which none waits."""
        if not waiting_only:
            for job in jobs:
                job.cancel(check=False)


class SlurmQueue:
    """Slurm's own queue, which needs no accounting as sacct does, looked at every few seconds."""

    pause = _RENEWED

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._asked = self._looked = -math.inf
        self._missing: dict[str, float] = {}

    def renew(self, jobs: Sequence[Any], *, at_once: bool = False) -> bool:
        """Ask Slurm how its queue stands, if it is time for another look; whether it was.

        Where Slurm does not answer, nothing is known that was not before.

        Args:
            jobs: which to ask for.
            at_once: do not wait until it is time.
        """
        now = time.monotonic()
        if not at_once and now < self._asked + self.pause:
            return False
        self._asked = now
        arrays = ",".join(sorted({job.job_id.partition("_")[0] for job in jobs}))
        if not arrays:
            return True
        found = _slurm("squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={arrays}")
        if found is not None and (not found.returncode or "Invalid job id" in found.stderr):
            self._looked = now
            self._states = dict(line.split(maxsplit=1) for line in found.stdout.splitlines() if " " in line)
        return True

    def has(self, job: Any) -> bool:
        """Whether a job was in the queue at the last look, waiting or running."""
        return job.job_id in self._states

    def state(self, job: Any) -> State | None:
        """Queued or running, or None where it has left the queue for good."""
        state = self._states.get(job.job_id)
        if state is None:
            since = self._missing.setdefault(job.job_id, self._looked)
            # A shared disk may show its result later.
            return None if self._looked > since + _LAG else "running"
        self._missing.pop(job.job_id, None)
        return "running" if state in ("RUNNING", "COMPLETING", "STOPPED", "SUSPENDED") else "queued"

    def cancel(self, jobs: Sequence[Any], *, waiting_only: bool = False) -> None:
        """Take jobs out of the queue, and end those that run.

        Args:
            jobs: which.
            waiting_only: leave those alone that have begun.
        """
        if not jobs:
            return  # Slurm would refuse to cancel nothing
        _slurm("scancel", *(["--state=PENDING"] if waiting_only else []), *(job.job_id for job in jobs))


def _slurm(*words: str) -> subprocess.CompletedProcess[str] | None:
    """Call a command of Slurm's; None where it does not answer."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=_ANSWER)
    except subprocess.TimeoutExpired:
        return None
