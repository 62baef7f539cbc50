"""Engines: every unit ends or says why not, whatever happens to the process that works on it."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import load_file

from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.shared import INTERRUPTED
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError, DataError, DivergenceError, FailedRunsError, QDistillError, RunError
from qdistill.evaluate.baselines import FullTraining
from qdistill.experiments.engines.board import Board, Standing
from qdistill.experiments.engines.choose import engine_for
from qdistill.experiments.engines.drive import Driven, ask_on_terminal
from qdistill.experiments.engines.engine import Change, Choice, Engine, Source, Workers, raise_failures
from qdistill.experiments.engines.here import Here
from qdistill.experiments.engines.options import Each, Place, SlurmOptions
from qdistill.experiments.engines.processes import RETRIES, Processes
from qdistill.experiments.engines.unit import Call, Failure, Setup, Task, Unit, attempt, unfinished
from qdistill.experiments.loop import Observer
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run_on import run_on
from qdistill.files import BUNDLE, CHECKPOINT, METRICS, RECIPE, SCORES, SEEDS, read_json
from qdistill.folders import LOCK
from qdistill.machine import usable_cores

from .samples import recipe_of_digits

RECIPE_OF_DIGITS = recipe_of_digits(iterations=100, validate_every=5)


def units(folder: Path, n: int = 3, recipe: Recipe = RECIPE_OF_DIGITS) -> list[Unit]:
    return [Unit(dataclasses.replace(recipe, seed=s), folder / f"seed-{s}", f"row/seed-{s}") for s in range(n)]


def board(width: int = 200) -> tuple[Board, io.StringIO]:
    said = io.StringIO()
    return Board(Console(file=said, width=width)), said


class Scripted:
    """Workers that do what each unit's script says, a word at each look, as many units at once as are asked for."""

    def __init__(
        self, setup: Setup, scripts: Mapping[str, Sequence[str]], at_once: int = 2, interrupt_at: int = 0
    ) -> None:
        self.place = "paper"
        self.choices: Mapping[Choice, str] = {"stop": "stop", "wait": "wait"}
        self.scripts = {name: list(words) for name, words in scripts.items()}
        self.at_once, self.interrupt_at = at_once, interrupt_at
        self.queue: list[Unit] = []
        self.running: list[Unit] = []
        self.looks = 0
        self.stopped = self.closed = False

    def submit(self, units: Sequence[Unit]) -> None:
        self.queue += units

    def look(self) -> Iterator[Change]:
        self.looks += 1
        if self.looks == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        for unit in list(self.running):
            word = self.scripts[unit.name].pop(0)
            if word == "go":
                continue
            self.running.remove(unit)
            if word == "lost":
                self.queue.insert(0, unit)
                yield Change(unit, "queued", remark="its process ended without a word")
            elif word == "done":
                yield Change(unit, "done")
            else:
                yield Change(unit, "failed", Failure(word, f"what a {word} says"))
        while self.queue and len(self.running) < self.at_once:
            self.running.append(self.queue.pop(0))
            yield Change(self.running[-1], "running")

    def hold_back(self) -> Sequence[Unit]:
        held, self.queue = self.queue, []
        return held

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.closed = True


def scripted(
    folder: Path, *scripts: Sequence[str], interrupt_at: int = 0, ask: Callable[[Workers, Board], Choice] | None = None
) -> tuple[str, Scripted, QDistillError | KeyboardInterrupt | None]:
    """What the board said, the workers, and what was raised."""
    given = units(folder, len(scripts))
    screen, said = board()
    made = []

    def workers(setup: Setup) -> Scripted:
        names = {unit.name: script for unit, script in zip(given, scripts, strict=True)}
        made.append(Scripted(setup, names, interrupt_at=interrupt_at))
        return made[0]

    error: QDistillError | KeyboardInterrupt | None = None
    try:
        Driven(workers, Setup(), screen, ask).run(given)
    except (QDistillError, KeyboardInterrupt) as caught:
        error = caught
    return said.getvalue(), made[0], error


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdistill.experiments.engines.drive._PAUSE", 0.01)


def test_all_end_and_each_is_said_once(tmp_path: Path) -> None:
    said, workers, error = scripted(tmp_path, ["go", "done"], ["done"], ["lost", "go", "done"])
    assert error is None
    assert said.startswith("3 queued on paper.\n")
    assert [line.partition(";")[0] for line in said.splitlines() if line.startswith("done")] == [
        f"done: row/seed-{seed}" for seed in (1, 0, 2)
    ]
    assert "row/seed-2: its process ended without a word" in said
    assert said.endswith("now 3 done\n")
    assert workers.closed
    assert not workers.stopped


class Taken:
    """A source that gives what follows, one after another, as many at once as are asked for."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.left, self.running, self.most = list(units), 0, 0
        self.said: list[tuple[str, str]] = []

    def next(self) -> Sequence[Unit]:
        # The last one is decided on by what has become of the others.
        if not self.left or (len(self.left) == 1 and self.running):
            return ()
        self.running += 1
        self.most = max(self.most, self.running)
        return [self.left.pop(0)]

    def ended(self, unit: Unit, failure: Failure | None) -> None:
        self.running -= 1
        self.said.append((unit.name, "done" if failure is None else failure.kind))

    def in_words(self) -> str:
        return f"{len(self.said)} ended"


def follow(folder: Path, scripts: Sequence[Sequence[str]], interrupt_at: int = 0) -> tuple[Taken, str]:
    given = units(folder, len(scripts))
    screen, said = board()
    source = Taken(given)

    def workers(setup: Setup) -> Scripted:
        return Scripted(setup, {u.name: s for u, s in zip(given, scripts, strict=True)}, interrupt_at=interrupt_at)

    try:
        Driven(workers, Setup(), screen).follow(source)
    finally:
        assert isinstance(source, Source)
    return source, said.getvalue()


def test_a_source_is_told_how_each_ends_and_gives_as_many_as_there_is_room_for(tmp_path: Path) -> None:
    source, said = follow(tmp_path, [["go", "go", "done"], ["DivergenceError"], ["go", "done"], ["done"], ["done"]])
    assert sorted(source.said) == [
        (f"row/seed-{seed}", "DivergenceError" if seed == 1 else "done") for seed in range(5)
    ]
    assert source.said[-1][0] == "row/seed-4", "it waits for all others"
    assert source.most == 2
    assert "5 ended" in said


def test_a_source_whose_unit_has_ended_already_is_told_so_without_a_process(tmp_path: Path) -> None:
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / SCORES).write_text("{}")
    source, _ = follow(tmp_path, [[], ["done"]])
    assert source.said == [("row/seed-0", "done"), ("row/seed-1", "done")]
    source = Taken(units(tmp_path, 1))
    Driven(lambda setup: pytest.fail("nothing is to be done"), Setup(), board()[0]).follow(source)
    assert source.said == [("row/seed-0", "done")]


def test_ctrl_c_ends_a_source_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        follow(tmp_path, [["go"] * 50, ["go"] * 50, ["done"]], interrupt_at=3)


def test_one_that_fails_costs_no_other_and_is_named_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "seed-1").mkdir()
    (tmp_path / "seed-1" / "log.txt").write_text("where it came from")
    said, _, error = scripted(tmp_path, ["go", "go", "done"], ["BundleError"], ["RunError"])
    assert isinstance(error, FailedRunsError)
    first, *rest = str(error).splitlines()
    assert first == "2 of 3 runs failed; all others have ended."
    assert rest == [
        f"row/seed-1: what a BundleError says Logs: {tmp_path / 'seed-1' / 'log.txt'}.",
        "row/seed-2: what a RunError says",
    ]
    assert said.endswith("now 1 done, 2 failed\n")


def test_failures_alike_are_said_once_and_one_alone_is_itself(tmp_path: Path) -> None:
    alike = {unit: Failure("DataError", "There are no files.") for unit in units(tmp_path, 7)}
    with pytest.raises(FailedRunsError, match=r"row/seed-4 and 2 more: There are no files\.$"):
        raise_failures(alike, 8)
    diverged = {unit: Failure("DivergenceError", "Not finite.") for unit in units(tmp_path, 2)}
    with pytest.raises(DivergenceError, match=r"row/seed-0, row/seed-1: Not finite\."):
        raise_failures(diverged, 2)
    (unit,) = units(tmp_path, 1)
    with pytest.raises(DataError, match=r"row/seed-0: There are no files\."):
        raise_failures({unit: Failure("DataError", "There are no files.")}, 1)
    raise_failures({}, 1)


@pytest.mark.parametrize(("choice", "left", "done"), [("stop", True, 0), ("wait", False, 2)])
def test_ctrl_c_begins_no_more_and_asks_about_the_rest(tmp_path: Path, choice: Choice, left: bool, done: int) -> None:
    scripts = [["go", "go", "done"], ["go", "go", "done"], ["done"]]
    said, workers, error = scripted(tmp_path, *scripts, interrupt_at=2, ask=lambda *_: choice)
    assert isinstance(error, KeyboardInterrupt)
    assert f"After Ctrl-C: {choice}." in said
    assert workers.stopped is left
    assert said.count("done: ") == done
    assert "seed-2" not in said
    assert workers.closed


def test_what_is_queued_can_be_left_too(tmp_path: Path) -> None:
    class Leaving(Scripted):
        choices: Mapping[Choice, str]

        def hold_back(self) -> Sequence[Unit]:
            raise AssertionError("nothing is to be taken out of the queue")

    given, (screen, said) = units(tmp_path, 3), board()
    made: list[Leaving] = []

    def workers(setup: Setup) -> Leaving:
        made.append(Leaving(setup, {}, at_once=0, interrupt_at=1))
        made[0].choices = {"leave": "leave all", "stop": "stop"}
        return made[0]

    with pytest.raises(KeyboardInterrupt):
        Driven(workers, Setup(), screen).run(given)
    assert "After Ctrl-C: leave all." in said.getvalue()
    assert made[0].queue == given
    assert not made[0].stopped
    assert made[0].closed


def test_where_there_is_one_choice_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    workers = Scripted(Setup(), {})
    workers.choices = {"wait": "wait"}
    screen = Board(Console(file=io.StringIO(), force_terminal=True))
    assert ask_on_terminal(workers, screen) == "wait"


def test_without_a_terminal_the_first_choice_is_taken(tmp_path: Path) -> None:
    screen, said = board()
    assert ask_on_terminal(Scripted(Setup(), {}), screen) == "stop"
    assert said.getvalue() == ""


@pytest.mark.parametrize(("given", "chosen"), [("\n", "stop"), ("w\n", "wait"), ("what\nwait\n", "wait"), ("", "stop")])
def test_on_a_terminal_the_user_chooses(given: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(given))
    screen = Board(Console(file=io.StringIO(), force_terminal=True))
    assert ask_on_terminal(Scripted(Setup(), {}), screen) == chosen


def test_the_screen_has_a_line_for_each_run_that_goes(tmp_path: Path) -> None:
    said = io.StringIO()
    now = 0.0
    screen = Board(Console(file=said, force_terminal=True, width=100, color_system=None), clock=lambda: now)
    first, second, third = units(tmp_path)
    with screen:
        screen.begin([first, second, third], "2 processes here")
        screen.changed(Change(first, "running"))
        first.folder.mkdir()
        (first.folder / METRICS).write_text('{"iteration": 50, "best_validation_accuracy": 0.875}\n')
        screen.changed(Change(second, "running"))
        now = 30.0
        screen.show()
        screen.changed(Change(second, "failed", Failure("RunError", "No space.\nmore")))
    text = said.getvalue()
    assert "3 queued on 2 processes here." in text
    # Half a run was done in 30 s, and one and a half remain.
    assert "1 queued, 1 running, 1 failed, about 1:30 left\n" in text
    assert "  row/seed-0  50/100  best validation 87.5%\n" in text
    assert "failed: row/seed-1; No space.; now 1 queued, 1 running, 1 failed" in text


def test_the_screen_says_how_far_a_source_is_on_a_line_of_its_own(tmp_path: Path) -> None:
    said = io.StringIO()
    screen = Board(Console(file=said, force_terminal=True, width=80, color_system=None))
    about = "100 trials, best 93.1% (trial-71), 0.13 of 0.25 core-hours, about 1:08:00 left"
    with screen:
        screen.begin(units(tmp_path, 1), "2 processes here", lambda: about)
    assert f"\n{about}" in said.getvalue().replace("\r", "")


def test_the_screen_reads_the_last_line_of_the_metrics_only(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, 1)
    unit.folder.mkdir()
    metrics, line = unit.folder / METRICS, '{"iteration": %d, "best_validation_accuracy": 0.5, "more": "%s"}\n'
    assert Standing.of(unit) == Standing(0, 100, None)
    for iterations in ((5,), (5, 10), range(1, 60)):
        metrics.write_text("".join(line % (iteration, "x" * 300) for iteration in iterations))
        assert Standing.of(unit) == Standing(iterations[-1], 100, 0.5)
        metrics.write_text("not JSON\n" + metrics.read_text())
        assert Standing.of(unit).iteration == iterations[-1], "what is before the last line is not looked at"
    metrics.write_text(line % (40, "x" * 10_000) + '{"iteration": 5')
    assert Standing.of(unit).iteration == 40, "a line that is still being written does not count"
    metrics.write_text('{"iteration": 5')
    assert Standing.of(unit).iteration == 0
    metrics.write_text("damaged\n")
    assert Standing.of(unit) == Standing(0, 100, None)


def test_what_has_ended_is_looked_at_and_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = units(tmp_path)
    done = given[0].folder
    done.mkdir()
    (done / RECIPE).write_text("{}")
    (done / SCORES).write_text("{}")
    with pytest.raises(QDistillError, match="recipe"):
        unfinished(given, None)
    monkeypatch.setattr("qdistill.experiments.folder.recipe_of_run", lambda folder: given[0].recipe)
    assert unfinished(given, None) == given[1:]


def test_a_task_says_what_went_wrong_and_logs_where(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, 1)
    unit.folder.mkdir()
    missing = dataclasses.replace(unit, recipe=dataclasses.replace(unit.recipe, dataset="mnist", n_validation=5000))
    failure = Task.of(missing, Setup(data_dir=tmp_path / "nothing"))()
    assert failure is not None
    assert failure.kind in ("DataError", "DownloadError")
    assert "Traceback" in unit.log.read_text()

    def breaks() -> None:
        raise ZeroDivisionError("two\nlines")

    assert attempt(unit.log, breaks) == Failure("RunError", "unexpected ZeroDivisionError: two lines")


def test_a_task_that_cannot_be_unpacked_says_so_too(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, 1)
    unit.folder.mkdir()
    failure = Task.of(unit, Setup(prepare=Call("qdistill.no_such_module", "prepare")))()
    assert failure is not None
    assert "No module named 'qdistill.no_such_module'" in failure.message
    assert "Traceback" in unit.log.read_text()


def test_all_runs_that_a_failure_here_has_stopped_are_named(tmp_path: Path) -> None:
    many = units(tmp_path, 3)
    many[1].folder.mkdir()
    (many[1].folder / RECIPE).write_text("{}")
    with pytest.raises(FailedRunsError, match=r"3 of 3 runs failed.*\n.*seed-0, row/seed-1, row/seed-2: "):
        Here().run(many)


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_elsewhere_are_different_numbers(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="Argument `seeds` must be different numbers, one at least"):
        run_on(Noted(), RECIPE_OF_DIGITS, tmp_path / "run", seeds=seeds)
    assert not (tmp_path / "run").exists()


def test_the_local_jobs_of_slurm_take_no_options_of_its_own() -> None:
    place = Place.parse("slurm:local")
    engine_for(place, Setup(), slurm=SlurmOptions(time=10))
    with pytest.raises(ArgumentError, match="`slurm` must have nothing but `time` with --on slurm:local"):
        engine_for(place, Setup(), slurm=SlurmOptions(partition="cpu"))


def test_the_words_to_go_on_are_those_that_were_typed() -> None:
    words = [
        "--data-dir",
        "data",
        "--on",
        "slurm",
        "--each.cores",
        "4",
        "--slurm.time",
        "9",
        "--slurm.more",
        "a=1",
        "b",
    ]
    assert parse_new(["digits", *words]).words() == words
    assert parse_new(["digits"]).words() == []


@pytest.mark.parametrize("option", [["--on", "ray"], ["--each.cores", "4"], ["--cores", "1"]])
@pytest.mark.parametrize("instead", ["--from-zoo", "--list"])
def test_a_table_that_runs_nothing_runs_it_nowhere(
    option: list[str], instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["table", "table1-mnist", instead, *option]) == 2
    assert "`on` must be left out with" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "there",
        "here:1",
        "processes",
        "processes:",
        "processes:x",
        "processes:-1",
        "processes:9999999999",
        "ray:",
        "slurm:x",
        "HERE",
    ],
)
def test_no_place(text: str) -> None:
    with pytest.raises(ArgumentError, match="Argument `on` must be one of here, processes:N, ray, ray:ADDRESS, slurm"):
        Place.parse(text)


@pytest.mark.parametrize(
    ("on", "each", "slurm", "message"),
    [
        ("here", Each(cores=2), SlurmOptions(), "`each` must be left out with --on here"),
        ("processes:1", Each(gpus=1.0), SlurmOptions(), "`each` must have nothing but `cores`"),
        ("processes:1", Each(memory=1.5), SlurmOptions(), "`each` must have nothing but `cores`"),
        ("processes:1", Each(), SlurmOptions(partition="x"), "`slurm` must be left out with --on processes"),
        ("processes:0", Each(), SlurmOptions(), "`on` must be processes:N, .* but was processes:0, of 1 each"),
        ("processes:1", Each(cores=9999), SlurmOptions(), "but was processes:1, of 9999 each"),
        ("slurm:local", Each(gpus=0.5), SlurmOptions(), r"`each\.gpus` must be whole"),
    ],
)
def test_options_without_effect_are_refused(on: str, each: Each, slurm: SlurmOptions, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        engine_for(Place.parse(on), Setup(), each=each, slurm=slurm)


def test_cores_of_all_runs_are_said_for_each_of_them_elsewhere() -> None:
    with pytest.raises(ArgumentError, match=r"`setup\.cores` must be left out with --on processes, .* but was 4\."):
        engine_for(Place.parse("processes:1"), Setup(cores=4))
    engine = engine_for(Place.parse("processes:1"), Setup(), each=Each(cores=usable_cores()))
    assert isinstance(engine, Driven)
    assert engine._setup.cores == usable_cores()


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("processes:9999", "must be processes:N"),
        ("ray:127.0.0.1:1", "pip install 'qdistill[ray]'"),
        ("slurm", "pip install 'qdistill[slurm]'"),
    ],
)
def test_a_place_that_is_not_to_be_had_leaves_no_folder(
    on: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, extra, None)
    for command in (["distill", "digits", "--seeds", "0:2"], ["distill", "digits"], ["table", "table1-mnist"]):
        assert main([*command, "--on", on, "--out", str(tmp_path / "run"), "--no-compilation-cache"]) in (1, 2)
        assert message in " ".join(capsys.readouterr().err.split())
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Each(cores=0), "`each.cores` must be at least 1"),
        (lambda: Each(gpus=-0.5), "`each.gpus` must be at least 0"),
        (lambda: Each(memory=0.0), "`each.memory` must be above 0"),
        (lambda: SlurmOptions(time=0), "`slurm.time` must be at least 1"),
        (lambda: SlurmOptions(more=("--nice",)), "`slurm.more` must be NAME=VALUE"),
    ],
)
def test_bad_options(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(("count", "cores"), [(0, 1), (10_000, 1), (1, 10_000)])
def test_more_processes_than_the_machine_has_cores(count: int, cores: int) -> None:
    with pytest.raises(ArgumentError, match=f"at most the {usable_cores()} cores that this process may use"):
        Processes(Setup(cores=cores), count)


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / BUNDLE)


class Watched(Processes):
    """Processes, of which the first is killed as soon as its run has a checkpoint."""

    kills = 0

    def look(self) -> Iterator[Change]:
        for unit, process in self._running.items():
            if not self.kills and (unit.folder / CHECKPOINT).exists():
                self.kills += 1
                os.kill(process.pid, signal.SIGKILL)
        return super().look()


def test_a_process_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, 1)
    screen, said = board()
    made: list[Watched] = []

    def workers(setup: Setup) -> Watched:
        made.append(Watched(setup, 1))
        return made[0]

    Driven(workers, Setup(), screen).run([unit])
    assert made[0].kills == 1
    assert "row/seed-0: its process ended without a word (signal 9); it goes on from its last look" in said.getvalue()
    (undisturbed,) = units(tmp_path / "undisturbed", 1)
    Driven(partial(Processes, count=1), Setup(), board()[0]).run([undisturbed])
    for name, array in tensors(undisturbed.folder).items():
        assert (tensors(unit.folder)[name] == array).all(), name
    scores = [read_json(each.folder / SCORES)["test_accuracy"] for each in (unit, undisturbed)]
    assert scores[0] == scores[1]
    assert not (unit.folder / LOCK).exists()
    assert len(read_json(unit.folder / "provenance.json")["sessions"]) == 2


def test_a_process_that_is_killed_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdistill.experiments.engines.processes.SERVE", "import os; os.kill(os.getpid(), 9)")
    screen, said = board()
    with pytest.raises(RunError, match=rf"row/seed-0: its process .* \(signal 9\), {RETRIES + 1} times\. Log: .*log"):
        Driven(partial(Processes, count=1), Setup(), screen).run(units(tmp_path, 1))
    assert said.getvalue().count("it goes on") == RETRIES


class Noted:
    """An engine that runs nothing, and notes what it was given."""

    def __init__(self, *, stops: bool = False) -> None:
        self.given: list[Unit] = []
        self.stops = stops

    def run(self, units: Sequence[Unit]) -> None:
        self.given += units
        if self.stops:
            raise KeyboardInterrupt

    def follow(self, source: Source) -> None:
        raise AssertionError("nothing here decides one by one")


def test_seeds_on_an_engine_are_folders_as_side_by_side(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE_OF_DIGITS, outer=OuterLoop(iterations=2, batch=16, validate_every=2))
    stopping = Noted(stops=True)
    with pytest.raises(KeyboardInterrupt):
        run_on(stopping, recipe, tmp_path / "run", seeds=(4, 2))
    assert read_json(tmp_path / "run" / SEEDS) == [4, 2]
    assert [(unit.recipe.seed, unit.folder.name) for unit in stopping.given] == [(4, "seed-4"), (2, "seed-2")]
    with pytest.raises(RunError, match="exists already"):
        run_on(Noted(), recipe, tmp_path / "run", seeds=(4, 2))
    with pytest.raises(RunError, match="is of other seeds"):
        run_on(Noted(), recipe, tmp_path / "run", seeds=(2, 4), resume=True)
    bundles = run_on(Here(), recipe, tmp_path / "run", seeds=(4, 2), resume=True)
    scores = read_json(tmp_path / "run" / SCORES)
    assert scores["seeds"] == [4, 2]
    assert scores["mean"] == pytest.approx(np.mean([bundle.record.test_accuracy for bundle in bundles]))


def test_one_run_on_an_engine_has_the_folder_itself(tmp_path: Path) -> None:
    engine = Noted(stops=True)
    with pytest.raises(KeyboardInterrupt):
        run_on(engine, RECIPE_OF_DIGITS, tmp_path / "run")
    assert [unit.folder for unit in engine.given] == [tmp_path / "run"]


def test_here_goes_on_after_a_failure_and_keeps_seeds_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[Path]] = []

    def follow(recipes: Sequence[Recipe], folders: Sequence[Path], **options: object) -> None:
        groups.append(list(folders))
        if len(groups) == 1:
            raise RunError("The disk is full.")

    monkeypatch.setattr("qdistill.experiments.engines.here.run_missing", follow)
    other = dataclasses.replace(RECIPE_OF_DIGITS, n_validation=200)
    given = [*units(tmp_path / "a"), *units(tmp_path / "b", recipe=other)]
    with pytest.raises(FailedRunsError, match=r"3 of 6 runs.*\nrow/seed-0, row/seed-1, row/seed-2: The disk is full\."):
        Here().run(given)
    assert groups == [[tmp_path / name / f"seed-{seed}" for seed in range(3)] for name in "ab"]


def test_the_command_line_names_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engines: list[tuple[Place, Each, SlurmOptions]] = []

    def chosen(place: Place, setup: Setup, *, each: Each, slurm: SlurmOptions, **options: Observer) -> Engine:
        assert setup.prepare is not None
        setup.prepare()
        engines.append((place, each, slurm))
        return Noted(stops=True)

    monkeypatch.setattr("qdistill.experiments.engines.choose.engine_for", chosen)
    usual = ["--no-compilation-cache", "--out", str(tmp_path / "run")]
    given = ["distill", "digits", "--seeds", "0:2", "--on", "slurm", "--slurm.partition", "gpu", "--each.cores", "4"]
    assert main([*given, "--slurm.more", "nice=10", "exclude=n3", *usual]) == INTERRUPTED
    assert "qdistill distill --resume" in (err := capsys.readouterr().err)
    assert "--on slurm" in err
    assert main(["table", "table1-mnist", "--on", "processes:2", *usual]) == INTERRUPTED
    assert engines == [
        (Place("slurm"), Each(cores=4), SlurmOptions(partition="gpu", more=("nice=10", "exclude=n3"))),
        (Place("processes", "2"), Each(), SlurmOptions()),
    ]
    for option in (["--profile"], ["--memory-budget", "5"]):
        assert main(["distill", "digits", "--on", "ray", *option, *usual]) == 2
        assert "must be left out with --on ray: it is for runs here" in capsys.readouterr().err


def test_a_training_on_all_inputs_is_a_unit_too(tmp_path: Path) -> None:
    (unit,) = units(tmp_path, 1)
    full = dataclasses.replace(unit, training=FullTraining(epochs=1.0, batch=100))
    assert Task.of(full, Setup())() is None
    assert full.has_ended
    with pytest.raises(QDistillError):
        unfinished([dataclasses.replace(full, training=FullTraining(epochs=2.0, batch=100))], None)
