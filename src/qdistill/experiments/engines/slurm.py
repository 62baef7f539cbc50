"""By Slurm: an array of jobs, one a unit, through submitit.

Nodes share the folders of the runs. Before its time is up Slurm sends a job a signal; the job then has itself queued
again, ends after the iteration that it is at, and goes on from its last look when its turn comes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qdistill.backends.extras import require
from qdistill.errors import ArgumentError, RunError
from qdistill.experiments.engines.engine import Change, Choice, State
from qdistill.experiments.engines.options import Each, SlurmOptions
from qdistill.experiments.engines.process import one_process
from qdistill.experiments.engines.slurm_queue import LocalQueue, SlurmQueue
from qdistill.experiments.engines.unit import Failure, Setup, Task, Unit
from qdistill.experiments.loop import Teller
from qdistill.folders import make_folder
from qdistill.lock import STALE_SECONDS
from qdistill.machine import usable_cores

JOBS = "slurm"
"""The folder beside the runs in which submitit keeps what it sends to jobs, what they say and how they ended."""

_PATIENCE = STALE_SECONDS + 60.0
"""Seconds for the lock of a job to be free that was killed on another machine, which its silence tells."""

_REQUEUES = 1000
"""How often a job may run out of its time."""

_CANCELLED = 120.0
"""Seconds in which cancelled jobs must have ended; Slurm kills them after 30 by default."""

_REQUEUED = 144
"""The exit code by which submitit's local executor knows a job that wants to be begun again; Slurm needs none."""


class Slurm:
    """`Workers` that are jobs of Slurm's.

    Args:
        setup: what all units have in common.
        each: what each job takes.
        options: what Slurm is told.
        cluster: ``"slurm"``, or ``"local"`` for the same jobs as processes here.

    Raises:
        ArgumentError: a job cannot take what each is to take.
        MissingExtraError: submitit is not installed.
        RunError: there is no Slurm here.
    """

    def __init__(self, setup: Setup, each: Each, options: SlurmOptions, cluster: str = "slurm") -> None:
        check_slurm(each, options, cluster)
        self._submitit = require("submitit", "slurm")
        self.place = "Slurm" if cluster == "slurm" else "jobs as processes here"
        stop: dict[Choice, str] = {"stop": "cancel all, to be gone on with from their last look"}
        slurms: dict[Choice, str] = {
            "leave": "leave all to Slurm, those in its queue too, and look at their folders later",
            **stop,
            "wait": "take out of the queue what has not begun, and wait for the rest",
        }
        # Ctrl-C of a terminal ends the jobs here by itself, whatever is chosen.
        self.choices: Mapping[Choice, str] = slurms if cluster == "slurm" else stop
        self.at_once = options.at_once if cluster == "slurm" else max(1, usable_cores() // each.cores)
        self._queue: SlurmQueue | LocalQueue = SlurmQueue() if cluster == "slurm" else LocalQueue()
        self._setup, self._each, self._options, self._cluster = setup, each, options, cluster
        self._jobs: dict[Unit, Any] = {}
        self._states: dict[Unit, State] = {}

    def submit(self, units: Sequence[Unit]) -> None:
        """See `Workers`."""
        for unit in units:
            make_folder(unit.folder)
        executor = self._executor(common_folder(units) / JOBS)
        try:
            jobs = executor.map_array(Job(self._each.cores), [Task.of(unit, self._setup, _PATIENCE) for unit in units])
        except Exception as error:  # submitit passes on what sbatch says, as errors of several kinds
            raise RunError(f"Slurm took no jobs: {' '.join(str(error).split())}") from error
        self._jobs.update(zip(units, jobs, strict=True))
        self._states.update(dict.fromkeys(units, "queued"))

    def look(self) -> Iterator[Change]:
        """See `Workers`; between two looks at the queue nothing is asked of it or of the disk."""
        if not self._queue.renew(self._going()):
            return
        for unit, job in list(self._jobs.items()):
            if self._states[unit] in ("done", "failed", "left"):
                continue
            change = self._look_at(unit, job)
            if change.state != self._states[unit]:
                self._states[unit] = change.state
                yield change

    def hold_back(self) -> Sequence[Unit]:
        """See `Workers`; what has begun since the last look is not held back."""
        queued = [unit for unit, state in self._states.items() if state == "queued"]
        if not queued:
            return []
        self._queue.cancel([self._jobs[unit] for unit in queued], waiting_only=True)
        self._queue.renew(self._going(), at_once=True)
        held = [unit for unit in queued if not self._queue.has(self._jobs[unit])]
        self._states.update(dict.fromkeys(held, "left"))
        return held

    def stop(self) -> None:
        """See `Workers`."""
        jobs = self._going()
        self._queue.cancel(jobs)
        until = time.monotonic() + _CANCELLED
        while left := self._left_of(jobs):
            if time.monotonic() > until:
                raise RunError(f"Cancelled jobs have not ended after {_CANCELLED:.0f} s: {', '.join(left)}.")
            time.sleep(self._queue.pause)

    def _left_of(self, jobs: Sequence[Any]) -> list[str]:
        """Which of some jobs have not ended, by another look."""
        self._queue.renew(jobs, at_once=True)
        return [job.job_id for job in jobs if self._queue.has(job)]

    def _going(self) -> list[Any]:
        """The jobs that have not ended, as far as is known."""
        return [job for unit, job in self._jobs.items() if self._states[unit] in ("queued", "running")]

    def close(self) -> None:
        """See `Workers`: jobs need no process here."""

    def _look_at(self, unit: Unit, job: Any) -> Change:
        """What has become of a job; its result is a file, which is there before the job has left the queue."""
        state = self._queue.state(job)
        if job.paths.result_pickle.exists():
            return _result(unit, job)
        if state is not None:
            return Change(unit, state)
        log = job.paths.stderr
        return Change(unit, "failed", Failure("RunError", f"job {job.job_id} ended without a word. Its log: {log}."))

    def _executor(self, folder: Path) -> Any:
        executor = self._submitit.AutoExecutor(
            folder, cluster=self._cluster, **{f"{self._cluster}_max_num_timeout": _REQUEUES}
        )
        executor.update_parameters(**parameters(self._each, self._options, self._cluster))
        return executor


class Job:
    """What submitit calls on a node, and asks for what goes on after the time is up.

    Args:
        cores: that it may use.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._leaving = False

    def __call__(self, task: Task) -> Failure | None:
        """Work on a unit."""
        os.environ.update(one_process(self._cores))
        failure = task(Teller(iterated=self._leave))
        if failure is not None:
            # Slurm ends all processes of a job that is queued again, also the one that has asked for it, which
            # submitit then takes for a failure.
            self._leave()
        return failure

    def checkpoint(self, task: Task) -> Any:
        """The same again, which finds the run's last look; called by submitit's handler of the signal."""
        self._leaving = True
        return require("submitit", "slurm").helpers.DelayedSubmission(Job(self._cores), task)

    def _leave(self) -> None:
        # The handler ends the process too, but what is raised in a callback of JAX's goes no further.
        if self._leaving:
            raise SystemExit(_REQUEUED)


def check_slurm(each: Each, options: SlurmOptions, cluster: str) -> None:
    """Make sure that jobs can be submitted here, and that Slurm knows all that it is to be told.

    Raises:
        ArgumentError, MissingExtraError, RunError: see `Slurm`.
    """
    require("submitit", "slurm")
    parameters(each, options, cluster)
    if cluster == "slurm" and shutil.which("srun") is None:
        raise RunError(
            "There is no Slurm here (no srun). Call this where jobs are submitted, or try it with --on slurm:local."
        )


def parameters(each: Each, options: SlurmOptions, cluster: str) -> dict[str, Any]:
    """What submitit is told."""
    common: dict[str, Any] = {"name": "qdistill", "timeout_min": options.time, "cpus_per_task": each.cores}
    if each.memory is not None:
        common["mem_gb"] = each.memory
    if each.gpus:
        if each.gpus != int(each.gpus):
            raise ArgumentError(f"Argument `each.gpus` must be whole with --on slurm, but was {each.gpus}.")
        common["gpus_per_node"] = int(each.gpus)
    if cluster != "slurm":
        return common
    own = {name: getattr(options, name) for name in ("partition", "account", "qos", "constraint")}
    more = dict(_pair(word) for word in options.more)
    given = {f"slurm_{name}": value for name, value in own.items() if value is not None}
    return common | given | {"slurm_array_parallelism": options.at_once, "slurm_additional_parameters": more}


def _pair(word: str) -> tuple[str, str | bool]:
    """``nice=10``, or a flag such as ``exclusive``."""
    name, equals, value = word.partition("=")
    return name, value if equals else True


def _result(unit: Unit, job: Any) -> Change:
    """How a job ended, as it has written down."""
    try:
        failure: Failure | None = job.result()
    except Exception as error:  # whatever went wrong in unpacking the unit, as submitit says it
        failure = Failure("RunError", f"job {job.job_id} failed: {_last_line(str(error))} Its log: {job.paths.stderr}.")
    return Change(unit, "done" if failure is None else "failed", failure)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip(" -")]
    return lines[-1] if lines else "it does not say why."


def common_folder(units: Sequence[Unit]) -> Path:
    """The folder that all units' folders are in."""
    return Path(os.path.commonpath([unit.folder.resolve().parent for unit in units]))
