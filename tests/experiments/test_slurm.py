"""Jobs of Slurm's: what it is told, how its queue is read, and that a job whose time is up goes on."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from safetensors.numpy import load_file

from qdistill.errors import ArgumentError, MissingExtraError, RunError
from qdistill.experiments.engines import slurm as slurm_module
from qdistill.experiments.engines.board import Board
from qdistill.experiments.engines.choose import engine_for
from qdistill.experiments.engines.engine import Change
from qdistill.experiments.engines.options import Each, Place, SlurmOptions
from qdistill.experiments.engines.process import one_process
from qdistill.experiments.engines.slurm import JOBS, Job, Slurm, check_slurm, common_folder, parameters
from qdistill.experiments.engines.slurm_queue import SlurmQueue
from qdistill.experiments.engines.unit import Setup, Task, Unit
from qdistill.experiments.loop import Teller
from qdistill.experiments.run import run
from qdistill.files import BUNDLE, CHECKPOINT, read_json
from qdistill.folders import LOCK
from qdistill.lock import hold

from .samples import recipe_of_digits

RECIPE_OF_DIGITS = recipe_of_digits(iterations=4, validate_every=2)


def unit_in(folder: Path, seed: int = 0) -> Unit:
    return Unit(dataclasses.replace(RECIPE_OF_DIGITS, seed=seed), folder / f"seed-{seed}", f"seed-{seed}")


@pytest.fixture(autouse=True)
def same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoes what a job sets for its process."""
    for name in one_process(1):
        monkeypatch.setenv(name, os.environ.get(name, "2"))


def test_slurm_is_told_what_was_asked_for() -> None:
    options = SlurmOptions("gpu", time=90, account="a", at_once=8, more=("exclude=n3", "exclusive"))
    assert parameters(Each(4, 2.0, 1.5), options, "slurm") == {
        "name": "qdistill",
        "timeout_min": 90,
        "cpus_per_task": 4,
        "mem_gb": 1.5,
        "gpus_per_node": 2,
        "slurm_partition": "gpu",
        "slurm_account": "a",
        "slurm_array_parallelism": 8,
        "slurm_additional_parameters": {"exclude": "n3", "exclusive": True},
    }
    assert parameters(Each(), SlurmOptions(), "local") == {"name": "qdistill", "timeout_min": 240, "cpus_per_task": 1}
    with pytest.raises(ArgumentError, match=r"`each\.gpus` must be whole with --on slurm, but was 0\.5"):
        parameters(Each(gpus=0.5), SlurmOptions(), "slurm")


def test_submitit_knows_all_that_it_is_told(tmp_path: Path) -> None:
    from submitit.slurm.slurm import _make_sbatch_string

    options = SlurmOptions("gpu", time=90, account="a", qos="q", constraint="c", more=("exclude=n3", "exclusive"))
    told = parameters(Each(4, 2.0), options, "slurm")
    names = {"name": "job_name", "timeout_min": "time"}
    text = _make_sbatch_string(
        command="x", folder=tmp_path, **{names.get(n, n.removeprefix("slurm_")): value for n, value in told.items()}
    )
    for line in ("--partition=gpu", "--time=90", "--account=a", "--cpus-per-task=4", "--exclude=n3", "--exclusive"):
        assert f"#SBATCH {line}\n" in text
    assert "#SBATCH --signal=USR2@90" in text


def test_without_submitit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'qdistill\[slurm\]'"):
        Slurm(Setup(), Each(), SlurmOptions())


def test_where_no_slurm_is_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"There is no Slurm here .*--on slurm:local"):
        check_slurm(Each(), SlurmOptions(), "slurm")
    with pytest.raises(RunError, match=r"There is no Slurm here .*--on slurm:local"):
        Slurm(Setup(), Each(), SlurmOptions())


class Commands:
    """Slurm's commands, of which each writes down how it was called; `queue` is what squeue says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.now = folder, 1000.0
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._pass)
        for name in ("srun", "squeue", "scancel"):
            self.write(name, f'echo {name} "$@" >> {folder}/called')
        self.write("squeue", f'echo squeue "$@" >> {folder}/called; cat {folder}/queue')
        self.queue("")

    def write(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)

    def queue(self, lines: str) -> None:
        (self.folder / "queue").write_text(lines)

    def _pass(self, seconds: float) -> None:
        self.now += seconds

    def called(self, name: str) -> list[str]:
        path = self.folder / "called"
        return [line for line in path.read_text().splitlines() if line.startswith(name)] if path.exists() else []


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    (tmp_path / "bin").mkdir()
    return Commands(tmp_path / "bin", monkeypatch)


@dataclasses.dataclass
class Known:
    """A job as far as the queue needs it, and how often its result was looked for."""

    job_id: str
    folder: Path = Path("/nowhere")
    looks: int = 0

    @property
    def paths(self) -> Any:
        self.looks += 1
        return SimpleNamespace(result_pickle=self.folder / f"{self.job_id}_result.pkl", stderr="err")


def test_the_queue_is_slurms_own(commands: Commands) -> None:
    queue = SlurmQueue()
    jobs = [Known(f"7_{number}") for number in range(4)]

    def states(lines: str, later: float) -> list[Any]:
        commands.queue(lines)
        commands.now = 1000.0 + later
        queue.renew(jobs)
        return [queue.state(job) for job in jobs]

    assert states("7_0 PENDING\n7_1 RUNNING\n7_2 COMPLETING\n7_3 REQUEUED\n", 0) == [
        "queued",
        "running",
        "running",
        "queued",
    ]
    assert commands.called("squeue") == ["squeue --noheader --array --format=%i %T --jobs=7"]
    assert states("", 1)[1] == "running", "it is not looked at every time"
    assert states("7_0 RUNNING\n", 10) == ["running"] * 4, "a shared disk may show a result later"
    assert states("7_0 RUNNING\n", 100) == ["running", None, None, None]
    commands.write("squeue", f"echo squeue >> {commands.folder}/called; echo Unable to contact >&2; exit 1")
    before = len(commands.called("squeue"))
    assert states("", 200) == ["running", None, None, None], "nothing is known that was not before"
    assert states("", 201) == ["running", None, None, None]
    assert len(commands.called("squeue")) == before + 1, "what does not answer is not asked again at once"
    commands.write("squeue", "echo Invalid job id specified >&2; exit 1")
    assert states("", 300)[0] == "running"
    assert states("", 400)[0] is None


def with_jobs(folder: Path, n: int) -> tuple[Slurm, list[Unit], list[Known]]:
    """Workers that have submitted jobs."""
    workers = Slurm(Setup(), Each(), SlurmOptions())
    units, jobs = [unit_in(folder, seed) for seed in range(n)], [Known(f"7_{n}", folder) for n in range(n)]
    workers._jobs = dict(zip(units, jobs, strict=True))
    workers._states = dict.fromkeys(units, "queued")
    return workers, units, jobs


def test_neither_the_queue_nor_results_are_looked_at_more_often_than_every_few_seconds(
    commands: Commands, tmp_path: Path
) -> None:
    workers, (first, second), jobs = with_jobs(tmp_path, 2)
    commands.queue("7_0 RUNNING\n7_1 PENDING\n")
    assert list(workers.look()) == [Change(first, "running")]
    commands.now = 1000.0  # what waiting for squeue took is no part of this
    looks = [job.looks for job in jobs]
    commands.queue("7_0 RUNNING\n7_1 RUNNING\n")
    for _ in range(40):
        commands.now += 0.1
        assert list(workers.look()) == []
    assert [job.looks for job in jobs] == looks
    assert len(commands.called("squeue")) == 1
    commands.now += 1.1
    assert list(workers.look()) == [Change(second, "running")]


def test_what_slurm_has_begun_meanwhile_is_not_taken_out_of_the_queue(commands: Commands, tmp_path: Path) -> None:
    workers, units, _ = with_jobs(tmp_path, 3)
    commands.queue("7_0 RUNNING\n7_1 PENDING\n7_2 PENDING\n")
    assert list(workers.look()) == [Change(units[0], "running")]
    # 7_1 has begun since.
    after = f"echo 7_0 RUNNING > {commands.folder}/queue; echo 7_1 RUNNING >> {commands.folder}/queue"
    commands.write("scancel", f'echo scancel "$@" >> {commands.folder}/called; {after}')
    assert workers.hold_back() == [units[2]]
    assert commands.called("scancel") == ["scancel --state=PENDING 7_1 7_2"]
    commands.now += 10
    assert list(workers.look()) == [Change(units[1], "running")]
    assert list(workers.choices) == ["leave", "stop", "wait"]


def test_what_is_cancelled_is_waited_for(commands: Commands, tmp_path: Path) -> None:
    workers, _, _ = with_jobs(tmp_path, 2)
    commands.queue("7_0 RUNNING\n7_1 COMPLETING\n")
    list(workers.look())
    commands.write("squeue", f"cat {commands.folder}/queue; : > {commands.folder}/queue")
    begun = commands.now
    workers.stop()
    assert commands.called("scancel") == ["scancel 7_0 7_1"]
    assert commands.now > begun, "Slurm takes a while to end them"
    commands.write("squeue", "echo 7_0 COMPLETING")
    with pytest.raises(RunError, match=r"Cancelled jobs have not ended after 120 s: 7_0\."):
        workers.stop()


def test_a_job_whose_time_is_up_lets_go_and_goes_on_when_it_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = unit_in(tmp_path)
    task, job = Task.of(unit, Setup()), Job(2)

    class Signalled(Teller):
        """Stands for submitit's handler, of which JAX has lost the exception."""

        def iterated(self, iteration: int, loss: float) -> None:
            if iteration == 3:
                again.append(job.checkpoint(task))
            super().iterated(iteration, loss)

    again: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(slurm_module, "Teller", Signalled)
        with pytest.raises(SystemExit, match="144"):
            job(task)
    assert (unit.folder / CHECKPOINT).exists()
    assert not (unit.folder / LOCK).exists()
    assert not unit.has_ended
    assert again[0].function(*again[0].args) is None
    assert unit.has_ended
    assert [one["iteration"] for one in read_json(unit.folder / "provenance.json")["sessions"]] == [0, 2]
    run(unit.recipe, tmp_path / "undisturbed")
    expected, found = (load_file(folder / BUNDLE) for folder in (tmp_path / "undisturbed", unit.folder))
    for name, array in expected.items():
        assert (found[name] == array).all(), name


def test_a_job_that_slurm_ends_while_it_is_queued_again_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = unit_in(tmp_path)
    unit.folder.mkdir()
    task, job = Task.of(unit, Setup()), Job(2)

    def ends(*_: Any, **__: Any) -> None:
        job.checkpoint(task)
        raise subprocess.CalledProcessError(-15, ["scontrol", "requeue", "1_0"])

    monkeypatch.setattr(Unit, "work", ends)
    with pytest.raises(SystemExit, match="144"):
        job(task)


def test_jobs_as_processes_here(tmp_path: Path) -> None:
    said = io.StringIO()
    board = Board(Console(file=said, width=200))
    unit, other = unit_in(tmp_path / "a"), unit_in(tmp_path / "b", seed=1)
    other.folder.mkdir(parents=True)
    (other.folder / "of-somebody").touch()
    engine = engine_for(Place("slurm", "local"), Setup(), board=board)
    with pytest.raises(RunError, match=r"^1 of 2 runs failed; all others have ended\.\nseed-1: The run folder .*"):
        engine.run([unit, other])
    assert unit.has_ended
    assert said.getvalue().startswith("2 queued on jobs as processes here.\nbegun: seed-0\nbegun: seed-1\n")
    assert list((common_folder([unit, other]) / JOBS).glob("*_log.err"))
    assert common_folder([unit, other]) == tmp_path.resolve()


def test_jobs_here_are_ended_and_waited_for(tmp_path: Path) -> None:
    recipe = recipe_of_digits(iterations=100_000, validate_every=2)
    unit = Unit(recipe, tmp_path / "run", "run")
    workers = Slurm(Setup(), Each(), SlurmOptions(), "local")
    assert list(workers.choices) == ["stop"]
    workers.submit([unit])
    until = time.monotonic() + 120
    while not unit.folder.joinpath(CHECKPOINT).exists():
        assert time.monotonic() < until
        assert all(change.state == "running" for change in workers.look())
        time.sleep(0.2)
    workers.stop()
    assert workers._jobs[unit].done()
    with hold(unit.folder / LOCK, unit.folder):
        pass
