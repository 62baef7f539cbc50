"""Runs: what a run folder holds, and that a run ends alike however often it was stopped on its way."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache
from safetensors.numpy import load_file

import qdistill
from qdistill.data import source, split
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.distill.outer_state import OuterState
from qdistill.distill.seeds import SideBySide
from qdistill.errors import ArgumentError, BundleError, DivergenceError, RunError
from qdistill.evaluate.protocol import measure, replay
from qdistill.experiments import course as course_module
from qdistill.experiments import folder as folder_module
from qdistill.experiments import loop as loop_module
from qdistill.experiments import provenance as provenance_module
from qdistill.experiments.checkpoint import load_checkpoint
from qdistill.experiments.course import Course
from qdistill.experiments.distillers import make_distiller
from qdistill.experiments.metrics import Report, read_metrics
from qdistill.experiments.profile import profile
from qdistill.experiments.recipe import Device, Recipe
from qdistill.experiments.run import run, run_seeds
from qdistill.files import BUNDLE, CHECKPOINT, METRICS, PROFILE, SEEDS, TRACE
from qdistill.folders import LOCK, holding
from qdistill.models import DressedCircuit, QuantumLeNetArchitecture, named_weights
from qdistill.quantum import DeviceModel

pytestmark = pytest.mark.usefixtures("shared_programs")

RECIPE = Recipe(
    "digits",
    model=DressedCircuit(n_qubits=2, n_layers=1),  # of all networks the one that is compiled soonest
    compression=Compression(step_size=0.05),
    inner=InnerLoop(steps=2, step_sizes="tensor"),
    outer=OuterLoop(iterations=6, batch=16, validate_every=2, learning_rate=0.05),
    n_validation=100,
    seed=3,
)


class Watch:
    """An observer that notes what it is told, and does something at one iteration."""

    def __init__(self, at: int = 0, action: Callable[[], Any] = lambda: None) -> None:
        self.at, self.action = at, action
        self.told: list[Any] = []

    def begin(self, recipe: Recipe, iteration: int, n_seeds: int) -> None:
        self.told.append(("begin", iteration))

    def iterated(self, iteration: int, loss: float) -> None:
        self.told.append(("iterated", iteration))
        if iteration == self.at:
            self.action()

    def reported(self, reports: Sequence[Report]) -> None:
        self.told += [("reported", report) for report in reports]

    def end(self, message: str) -> None:
        self.told.append(("end", message))


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of compiled functions: all runs here, in this process and in others, need the same few."""
    folder = tmp_path_factory.mktemp("compiled")
    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that nothing stopped."""

    folder: Path
    bundle: DistilledDataset
    told: list[Any]
    tensors: dict[str, np.ndarray]

    def copy_to(self, folder: Path) -> Path:
        shutil.copytree(self.folder, folder)
        return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Finished:
    folder, watch = tmp_path_factory.mktemp("runs") / "some" / "run", Watch()
    bundle = run(RECIPE, folder, observer=watch)
    return Finished(folder, bundle, watch.told, load_file(folder / BUNDLE))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_same_end(folder: Path, finished: Finished) -> None:
    """The run in this folder ended with the same numbers, to the bit."""
    tensors = load_file(folder / BUNDLE)
    assert tensors.keys() == finished.tensors.keys()
    assert all(tensor.tobytes() == tensors[name].tobytes() for name, tensor in finished.tensors.items())
    assert (folder / METRICS).read_text() == (finished.folder / METRICS).read_text()
    assert files(folder) == files(finished.folder)
    scores, expected = (json.loads((place / "scores.json").read_text()) for place in (folder, finished.folder))
    assert scores | {"seconds": 0} == expected | {"seconds": 0}


def test_a_run_folder_is_complete(finished: Finished) -> None:
    assert files(finished.folder) == {
        "recipe.json", "provenance.json", METRICS, BUNDLE, CHECKPOINT, "scores.json", "time.json",
    }  # fmt: skip
    assert Recipe.from_json(json.loads((finished.folder / "recipe.json").read_text())) == RECIPE
    provenance = json.loads((finished.folder / "provenance.json").read_text())
    (session,) = provenance["sessions"]
    assert session["versions"]["qdistill"] == qdistill.__version__
    assert session["versions"]["jax"] == jax.__version__
    assert (session["iteration"], session["host"]) == (0, socket.gethostname())
    # As `pytest` or, by `python -m pytest`, as `__main__.py`: without its place.
    assert session["command"] == [Path(sys.argv[0]).name.replace("__main__.py", "qdistill"), *sys.argv[1:]]
    assert (provenance["seed"], provenance["changes"]) == (3, [])


def test_metrics_have_a_line_for_every_look_at_the_validation_part(finished: Finished) -> None:
    lines = read_metrics(finished.folder)
    assert [line["iteration"] for line in lines] == [2, 4, 6]
    of_draws = {"validation_spread", "validation_worst"}
    assert all(set(line) == {field.name for field in dataclasses.fields(Report)} - of_draws for line in lines)
    accuracies = [line["validation_accuracy"] for line in lines]
    assert [line["best_validation_accuracy"] for line in lines] == pytest.approx(np.maximum.accumulate(accuracies))
    assert all(line["rejected"] == 0 and line["loss"] > 0 and line["gradient_norm"] > 0 for line in lines)
    shapes = {np.shape(line["step_sizes"]) for line in lines}
    assert shapes == {(2, len(finished.bundle.initial_weights))}


def test_scores_and_bundle_tell_what_the_replay_gives(finished: Finished) -> None:
    lines = read_metrics(finished.folder)
    best = max(lines, key=lambda line: line["validation_accuracy"])
    scores = json.loads((finished.folder / "scores.json").read_text())
    assert scores["seconds"] > 0
    assert scores == {
        **finished.bundle.record.to_json(),
        "best_iteration": best["iteration"],
        "rejected": 0,
        "seconds": scores["seconds"],
        "seed": 3,
    }
    assert (scores["n_test"], scores["n_validation"]) == (500, 100)
    assert scores["validation_accuracy"] == best["validation_accuracy"]

    loaded = DistilledDataset.load(finished.folder / BUNDLE)
    assert loaded.record == finished.bundle.record
    assert Recipe.from_json(loaded.recipe) == RECIPE
    result = replay(loaded)
    assert result.test_accuracy == result.recorded_test_accuracy == scores["test_accuracy"]
    validation = split(source("digits").load(), n_validation=100).validation
    assert measure(loaded.train(), loaded, validation.inputs, validation.labels) == best["validation_accuracy"]
    assert result.reproduced
    assert result.same_data
    rounding = loaded.rounding
    assert rounding is not None
    assert rounding.test is not None
    assert rounding.validation is not None
    assert (rounding.test.n, rounding.validation.n) == (500, 100)
    assert rounding.test.accuracy == scores["test_accuracy"]
    assert rounding.validation.accuracy == best["validation_accuracy"]


def test_an_observer_is_told_everything(finished: Finished) -> None:
    kinds = [(kind, what if kind != "reported" else what.iteration) for kind, what in finished.told]
    assert kinds == [
        ("begin", 0),
        *(("iterated", 1), ("iterated", 2), ("reported", 2)),
        *(("iterated", 3), ("iterated", 4), ("reported", 4)),
        *(("iterated", 5), ("iterated", 6), ("reported", 6)),
        ("end", "finished"),
    ]
    reports = [what.to_json() for kind, what in finished.told if kind == "reported"]
    assert reports == read_metrics(finished.folder)


def test_the_checkpoint_is_of_the_last_iteration(finished: Finished) -> None:
    splits = split(source("digits").load(), n_validation=100)
    state = load_checkpoint(finished.folder / CHECKPOINT, make_distiller(RECIPE, splits).start())
    assert int(state.iteration) == 6
    best = state.best if state.best_iteration else state.learned
    assert best.inputs.tobytes() == finished.tensors["inputs"].tobytes()


def test_a_run_does_not_overwrite(finished: Finished, tmp_path: Path) -> None:
    before = {name: (finished.folder / name).read_bytes() for name in files(finished.folder)}
    with pytest.raises(RunError, match=r"exists already\. Choose another, or resume the run in it"):
        run(RECIPE, finished.folder)
    assert before == {name: (finished.folder / name).read_bytes() for name in files(finished.folder)}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already"):
        run(RECIPE, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["file/run", "x" * 300, "link"])
def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
    with pytest.raises(RunError, match="Cannot create the folder"):
        run(RECIPE, tmp_path / name)


@pytest.mark.parametrize("function", ["mkdir", "open"])
def test_a_place_that_cannot_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def denied(self: Path, *arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    # Not by the folder's permissions, for the administrator may write anywhere.
    monkeypatch.setattr(Path, function, denied)
    with pytest.raises(RunError, match=r"Cannot .*run.*: Permission denied"):
        run(RECIPE, tmp_path / "run")


def test_a_bundle_that_could_not_be_written_stops_a_run_before_it_begins(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Own(DressedCircuit):
        pass

    watch, recipe = Watch(), dataclasses.replace(RECIPE, model=Own(n_qubits=2, n_layers=1))
    with pytest.raises(BundleError, match=r"could not be written: the architecture Own is not one of.*Register it"):
        run(recipe, tmp_path / "run", observer=watch)
    assert not watch.told


def test_with_double_precision_switched_on_everything_learned_is_still_in_single() -> None:
    with jax.enable_x64(True):
        distiller = make_distiller(RECIPE, split(source("digits").load(None), n_validation=100))
        arrays = [*named_weights(distiller.model).values(), *jax.tree.leaves(distiller.start().learned)]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


def test_a_run_goes_on_with_the_device_that_it_began_with(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    DeviceModel.uniform(2, two_qubit_error=0.01).save(file)
    recipe = dataclasses.replace(RECIPE, device=Device(str(file), shots=50, preparation="ideal"))
    (tmp_path / "run").mkdir()
    folder_module.begin(tmp_path / "run", recipe)
    began_with = recipe.device.execution(recipe.n_wires)
    DeviceModel.uniform(2, two_qubit_error=0.2).save(file)
    kept = folder_module.execution_of(tmp_path / "run", recipe)
    assert kept == began_with != recipe.device.execution(recipe.n_wires)


def test_only_a_run_folder_can_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"Cannot read .*recipe\.json.*Is .* a run folder"):
        run(RECIPE, tmp_path / "none", resume=True)
    (tmp_path / "recipe.json").write_text('{"dataset": "dig')
    with pytest.raises(RunError, match=r"Cannot read .*recipe\.json"):
        run(RECIPE, tmp_path, resume=True)
    (tmp_path / "recipe.json").write_text('{"dataset": "digits"}')
    with pytest.raises(ArgumentError, match="`model` must be given, but is missing"):
        run(RECIPE, tmp_path, resume=True)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(RECIPE, seed=4),
        dataclasses.replace(RECIPE, outer=dataclasses.replace(RECIPE.outer, iterations=8)),
        dataclasses.replace(RECIPE, model=DressedCircuit(n_qubits=2, n_layers=2)),
    ],
)
def test_a_run_is_resumed_with_its_own_recipe_only(finished: Finished, other: Recipe) -> None:
    with pytest.raises(RunError, match=r"is of another recipe\. Resume it with its own"):
        run(other, finished.folder, resume=True)


def edited(folder: Path, **changes: Any) -> Recipe:
    """The folder's recipe after somebody has changed `recipe.json`."""
    path = folder / "recipe.json"
    plain = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, own = name.split("__")
        part = plain
        for parent in parents:
            part = part[parent]
        part[own] = value
    path.write_text(json.dumps(plain))
    return Recipe.from_json(plain)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 4}, r"seed is 4 and was 3\."),
        ({"outer__learning_rate": 0.01}, r"outer\.learning_rate is 0\.01 and was 0\.05\."),
        ({"outer__iterations": 8}, r"outer\.iterations is 8 and was 6\..*--iterations"),
        ({"n_validation": 90, "seed": 1}, r"n_validation is 90 and was 100; seed is 1 and was 3\."),
        ({"model__fields__spread": 1.0}, r"model\.spread is 1\.0 and was 0\.01"),
    ],
)
def test_an_edited_recipe_is_refused_by_what_was_edited(
    finished: Finished, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    folder = finished.copy_to(tmp_path / "run")
    recipe = edited(folder, **changes)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(RunError, match=rf"cannot go on from its checkpoint: {said}"):
        run(recipe, folder, resume=True)
    assert before == {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("part", ["train_inputs", "train_labels", "test_inputs", "order"])
def test_other_data_under_the_same_name_are_refused(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    folder, raw = finished.copy_to(tmp_path / "run"), source("digits").load()
    if part == "order":
        other = dataclasses.replace(raw, train_inputs=raw.train_inputs[::-1], train_labels=raw.train_labels[::-1])
    else:
        values = getattr(raw, part).copy()
        values.flat[300] = (values.flat[300] + 1) % 10
        other = dataclasses.replace(raw, **{part: values})
    monkeypatch.setattr("qdistill.data.Digits.load", lambda *_: other)
    with pytest.raises(RunError, match="the inputs or labels of its dataset are others than those it began with"):
        run(RECIPE, folder, resume=True)


def test_another_device_in_the_folder_is_refused(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copy_to(tmp_path / "run")
    (folder / CHECKPOINT).unlink()
    splits = split(source("digits").load(), n_validation=100)
    DeviceModel.uniform(2, two_qubit_error=0.01).save(folder / "device.toml")
    course = Course(RECIPE, folder, make_distiller(RECIPE, splits))
    course._save_checkpoint()
    DeviceModel.uniform(2, two_qubit_error=0.02).save(folder / "device.toml")
    with pytest.raises(RunError, match="its device is another than the one it began with"):
        Course(RECIPE, folder, make_distiller(RECIPE, splits))


def test_more_iterations_are_an_option_that_is_recorded(finished: Finished, tmp_path: Path) -> None:
    """With a constant learning rate, going on to more of them is a run of so many, to the bit."""
    constant = dataclasses.replace(RECIPE, outer=dataclasses.replace(RECIPE.outer, schedule="constant"))
    shorter = dataclasses.replace(constant, outer=dataclasses.replace(constant.outer, iterations=4))
    whole = run(constant, tmp_path / "whole")
    run(shorter, tmp_path / "run")
    bundle = run(shorter, tmp_path / "run", resume=True, iterations=6)
    for name in ("inputs", "labels", "step_sizes"):
        assert np.asarray(getattr(bundle.data, name)).tobytes() == np.asarray(getattr(whole.data, name)).tobytes()
    assert (tmp_path / "run" / METRICS).read_text() == (tmp_path / "whole" / METRICS).read_text()
    assert Recipe.from_json(json.loads((tmp_path / "run" / "recipe.json").read_text())) == constant
    change = {"iteration": 4, "name": "outer.iterations", "before": 4, "after": 6}
    made = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert made["changes"] == [change]
    assert [session["iteration"] for session in made["sessions"]] == [0, 4]
    loaded = DistilledDataset.load(tmp_path / "run" / BUNDLE)
    assert loaded.provenance["changes"] == [change]
    assert "sessions" not in loaded.provenance, "both were made by the same versions on the same machine"
    assert Recipe.from_json(loaded.recipe) == constant
    # From now on the run is one of so many, and can be gone on with as such only.
    assert run(constant, tmp_path / "run", resume=True).provenance["changes"] == [change]
    with pytest.raises(ArgumentError, match=r"`iterations` must be at least the 6 that are done in .*run, but was 5"):
        run(constant, tmp_path / "run", resume=True, iterations=5)
    with pytest.raises(ArgumentError, match="`iterations` must be left out without `resume`"):
        run(constant, tmp_path / "other", iterations=5)


def test_a_cosine_goes_on_where_that_of_a_longer_run_is(finished: Finished, tmp_path: Path) -> None:
    folder = finished.copy_to(tmp_path / "run")
    longer = dataclasses.replace(RECIPE.outer, iterations=8)
    splits = split(source("digits").load(), n_validation=100)
    recipe = dataclasses.replace(RECIPE, outer=longer)
    course = Course(recipe, folder, make_distiller(recipe, splits), change_iterations=True)
    before, (state, _) = course.state, course.distiller.iterate(course.state)
    # Adam moves no entry by much more than the learning rate; a cosine of 6 iterations would be at 0.
    rate = float(longer.learning_rates()(6))
    assert rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 6 / 8)) / 2)
    moved = np.abs(np.asarray(state.learned.inputs - before.learned.inputs)).max()
    assert 0.1 * rate < moved < 3 * rate


def test_a_run_that_goes_on_elsewhere_says_so(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.copy_to(tmp_path / "run")
    monkeypatch.setattr(provenance_module, "_processor", lambda: "another processor")
    bundle = run(RECIPE, folder, resume=True)
    made = json.loads((folder / "provenance.json").read_text())
    assert [session["machine"].endswith("another processor") for session in made["sessions"]] == [False, True]
    assert [session["iteration"] for session in bundle.provenance["sessions"]] == [0, 6]
    assert "host" not in bundle.provenance["sessions"][0], "bundles are given away"
    assert bundle.provenance["machine"] == made["sessions"][1]["machine"]


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        (METRICS, lambda text: text.replace('"loss"', "'loss'", 1), r"Cannot read .*metrics\.jsonl: line 1 is damaged"),
        (METRICS, lambda text: "3\n" + text, r"metrics\.jsonl: line 1 is damaged: it is no JSON object"),
        (METRICS, lambda text: text.replace("iteration", "iteratio"), "each line must have the iteration"),
        (METRICS, lambda text: text.replace('"iteration": 6', '"iteration": "6"'), "each line must have the iteration"),
        (METRICS, lambda text: "", "it has no line of iteration 6, where the checkpoint stands"),
        ("time.json", lambda text: text[:10], r"Cannot read .*time\.json"),
        ("time.json", lambda text: "[1]", r"Cannot read .*time\.json"),
        ("time.json", lambda text: '{"seconds": "a few"}', r"Cannot read .*time\.json"),
        ("provenance.json", lambda text: "{}", r"provenance\.json: it must hold a list of sessions"),
        ("provenance.json", lambda text: '{"sessions": [{}]}', r"provenance\.json: it must hold a list of sessions"),
    ],
)
def test_damaged_files_of_a_run_are_named(
    finished: Finished, tmp_path: Path, name: str, damage: Callable[[str], str], said: str
) -> None:
    folder = finished.copy_to(tmp_path / "run")
    (folder / name).write_text(damage((folder / name).read_text()))
    with pytest.raises(RunError, match=said):
        run(RECIPE, folder, resume=True)


def test_a_finished_run_can_be_resumed(finished: Finished, tmp_path: Path) -> None:
    folder, watch = finished.copy_to(tmp_path / "run"), Watch()
    # A crash in the middle of a line, and before that between a line and its checkpoint.
    lines = (folder / METRICS).read_text().splitlines(keepends=True)
    (folder / METRICS).write_text(
        "".join(lines) + lines[-1].replace('"iteration": 6', '"iteration": 8') + lines[0][:30]
    )
    run(RECIPE, folder, resume=True, observer=watch)
    assert watch.told == [("begin", 6), ("end", "finished")]
    assert_same_end(folder, finished)
    seconds = [json.loads((place / "scores.json").read_text())["seconds"] for place in (finished.folder, folder)]
    assert seconds[0] <= seconds[1], "what was spent before counts"


KILLED = """
import json, os, signal, sys
from pathlib import Path
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run

replace, written = Path.replace, []

def replaced(self, target):
    written.append(Path(target).name)
    # The metrics have the line of iteration 4 by now, the time that of iteration 2.
    if written.count("latest.safetensors") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = replaced
run(Recipe.from_json(json.loads(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_ends_alike(finished: Finished, compiled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    command = [sys.executable, "-c", KILLED, json.dumps(RECIPE.to_json()), str(folder)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert any(name.endswith(".tmp") for name in files(folder))
    assert_ends_alike(folder, finished, [2, 4], 2)


def assert_ends_alike(folder: Path, finished: Finished, lines: list[int], goes_on_from: int) -> None:
    assert [line["iteration"] for line in read_metrics(folder)] == lines
    assert BUNDLE not in files(folder)
    watch = Watch()
    run(RECIPE, folder, resume=True, observer=watch)
    assert watch.told[:2] == [("begin", goes_on_from), ("iterated", goes_on_from + 1)]
    assert_same_end(folder, finished)


def test_what_a_run_has_on_disk_at_any_moment_is_enough_to_end_alike(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves the files of its moment, and a lock that is nobody's."""
    replace = Path.replace

    def keep(name: str) -> None:
        shutil.copytree(tmp_path / "run", tmp_path / name)
        (tmp_path / name / LOCK).unlink()

    def replaced(self: Path, target: Path) -> Path:
        result = replace(self, target)
        if target.name == Path(CHECKPOINT).name and len(read_metrics(tmp_path / "run")) == 2:
            keep("after the checkpoint")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaced)
        run(RECIPE, tmp_path / "run", observer=Watch(5, lambda: keep("between")))
    assert_ends_alike(tmp_path / "after the checkpoint", finished, [2, 4], 4)
    assert_ends_alike(tmp_path / "between", finished, [2, 4], 4)


BEGUN = """
import json, os, signal, sys
from pathlib import Path
from qdistill.experiments.folder import begin
from qdistill.experiments.recipe import Recipe
from qdistill.folders import holding

name, left = sys.argv[3], int(sys.argv[4])
original = getattr(os, name)

def counted(*arguments, **options):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)

recipe = Recipe.from_json(json.loads(sys.argv[1]))
setattr(os, name, counted)
with holding(Path(sys.argv[2])):
    begin(Path(sys.argv[2]), recipe)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "left"), [("ftruncate", 0), ("fsync", 0), ("fsync", 1), ("replace", 0), ("unlink", 0)]
)
def test_a_folder_whose_making_was_killed_is_free_or_a_run(tmp_path: Path, name: str, left: int) -> None:
    command = [sys.executable, "-c", BEGUN, json.dumps(RECIPE.to_json()), str(tmp_path / "run"), name, str(left)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    folder = tmp_path / "run"
    begun = folder_module.is_begun(folder)
    assert begun == (name == "unlink"), "where only the lock was left to be removed"
    with holding(folder):
        if begun:
            folder_module.check_begun(folder, RECIPE)
        else:
            folder_module.begin(folder, RECIPE)
    assert files(folder) == {"recipe.json"}


def test_ctrl_c_where_exceptions_are_lost_still_stops_a_run(finished: Finished, tmp_path: Path) -> None:
    class Swallows:
        """Python goes on after what is raised here, as JAX does after what is raised in its callbacks."""

        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    watch = Watch(3, lambda: Swallows() and None)
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, tmp_path / "run", observer=watch)
    assert watch.told[-2:] == [("iterated", 3), ("end", "stopped")]
    assert DistilledDataset.load(tmp_path / "run" / BUNDLE).record.test_accuracy is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run(RECIPE, tmp_path / "run", resume=True)
    assert_same_end(tmp_path / "run", finished)


def test_a_run_whose_folder_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def taken() -> None:
        (folder / LOCK).write_text('{"host": "far-away", "process": 1, "since": "now"}')

    with pytest.raises(RunError, match=r"was taken over by process 1 on far-away since now.*nothing more is written"):
        run(RECIPE, folder, observer=Watch(3, taken))
    assert [line["iteration"] for line in read_metrics(folder)] == [2]
    assert BUNDLE not in files(folder)


def test_an_interrupted_run_leaves_its_best_and_ends_alike(finished: Finished, tmp_path: Path) -> None:
    folder, watch = tmp_path / "run", Watch(3, interrupt)
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, folder, observer=watch)
    assert watch.told[-1] == ("end", "stopped")
    assert "scores.json" not in files(folder)
    bundle = DistilledDataset.load(folder / BUNDLE)
    [line] = read_metrics(folder)
    assert bundle.record.validation_accuracy == line["validation_accuracy"]
    assert bundle.record.test_accuracy is None
    validation = split(source("digits").load(), n_validation=100).validation
    assert measure(bundle.train(), bundle, validation.inputs, validation.labels) == line["validation_accuracy"]

    # Stopped a second time, before anything new was saved.
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, folder, resume=True, observer=Watch(3, interrupt))
    run(RECIPE, folder, resume=True)
    assert_same_end(folder, finished)


def test_a_run_interrupted_at_once_leaves_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(RECIPE, tmp_path / "run", observer=Watch(1, interrupt))
    bundle = DistilledDataset.load(tmp_path / "run" / BUNDLE)
    assert bundle.record.validation_accuracy is None
    trained = named_weights(bundle.train())
    assert all(np.isfinite(weight).all() for weight in trained.values())


@pytest.mark.parametrize("function", ["fsync", "replace", "open"])
def test_a_full_disk_leaves_the_checkpoint_before(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    folder, full = tmp_path / "run", []
    before: dict[str, bytes] = {}
    place: Any = Path if function == "open" else os
    original = getattr(place, function)

    def fill() -> None:
        full.append(True)
        before.update({name: (folder / name).read_bytes() for name in files(folder)})

    def on_a_full_disk(*arguments: Any, **options: Any) -> Any:
        if full and (function != "open" or "a" in arguments[1:]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, function, on_a_full_disk)
        with pytest.raises(RunError, match=r"Cannot write .*: No space left on device"):
            run(RECIPE, folder, observer=Watch(4, fill))
    assert files(folder) == {"recipe.json", "provenance.json", METRICS, CHECKPOINT, "time.json"}
    assert (folder / CHECKPOINT).read_bytes() == before[CHECKPOINT]
    run(RECIPE, folder, resume=True)
    assert_same_end(folder, finished)


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "an array less"])
def test_a_damaged_checkpoint_is_named(finished: Finished, tmp_path: Path, damage: str) -> None:
    folder = finished.copy_to(tmp_path / "run")
    path = folder / CHECKPOINT
    content = path.read_bytes()
    damaged = {"truncated": content[:-100], "empty": b"", "garbage": content[::-1]}
    if damage in damaged:
        path.write_bytes(damaged[damage])
    else:
        shutil.copy(folder / BUNDLE, path)
    with pytest.raises(RunError, match=r"[Tt]he checkpoint"):
        run(RECIPE, folder, resume=True)
    assert files(folder) == files(finished.folder)


def test_divergence_ends_with_advice_and_the_best_so_far(tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE,
        compression=dataclasses.replace(RECIPE.compression, step_size=1e30),
        outer=dataclasses.replace(RECIPE.outer, max_rejected=3),
    )
    watch = Watch()
    with pytest.raises(DivergenceError, match=r"3 iterations in a row.*Lower `outer\.learning_rate`") as caught:
        run(recipe, tmp_path / "run", observer=watch)
    assert str(tmp_path / "run" / BUNDLE) in str(caught.value)
    assert watch.told[-1] == ("end", "stopped")
    last = read_metrics(tmp_path / "run")[-1]
    assert (last["iteration"], last["rejected"], last["loss"], last["gradient_norm"]) == (3, 3, None, None)
    bundle = DistilledDataset.load(tmp_path / "run" / BUNDLE)
    # What was looked at was not finite, so nothing was measured of it.
    assert bundle.record.validation_accuracy is None
    assert last["best_validation_accuracy"] == 0
    assert "scores.json" not in files(tmp_path / "run")


def test_the_test_set_decides_nothing(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = source("digits").load()
    inputs, labels = 255 - raw.test_inputs[:40], (raw.test_labels[:40] + 1) % 10
    other = dataclasses.replace(raw, test_inputs=inputs, test_labels=labels.astype(np.int32))
    monkeypatch.setattr("qdistill.data.Digits.load", lambda *_: other)
    bundle = run(RECIPE, tmp_path / "run")
    assert bundle.record.n_test == 40
    tensors = load_file(tmp_path / "run" / BUNDLE)
    assert all(tensor.tobytes() == tensors[name].tobytes() for name, tensor in finished.tensors.items())
    assert (tmp_path / "run" / METRICS).read_text() == (finished.folder / METRICS).read_text()


def test_seeds_side_by_side_are_the_runs_alone(finished: Finished, tmp_path: Path) -> None:
    watch = Watch()
    bundles = run_seeds(RECIPE, [5, 3, 4], tmp_path / "set", observer=watch)
    assert files(tmp_path / "set") == {
        *(f"seed-{seed}/{name}" for seed in (3, 4, 5) for name in files(finished.folder)),
        *(SEEDS, "recipe.json", "scores.json"),
    }  # fmt: skip
    assert [kind for kind, _ in watch.told[:5]] == ["begin", "iterated", "iterated", "reported", "reported"]
    tensors = load_file(tmp_path / "set" / "seed-3" / BUNDLE)
    for name, alone in finished.tensors.items():
        # Adam divides by the size of a gradient, which magnifies the rounding of small ones.
        np.testing.assert_allclose(tensors[name], alone, rtol=1e-4, atol=1e-4, err_msg=name)
    inputs = [np.asarray(bundle.data.inputs) for bundle in bundles]
    assert not np.allclose(inputs[0], inputs[1])
    scores = json.loads((tmp_path / "set" / "scores.json").read_text())
    each = [bundle.record.test_accuracy for bundle in bundles]
    assert (scores["seeds"], scores["test_accuracies"]) == ([5, 3, 4], each)
    assert scores["interval"][0] <= scores["mean"] <= scores["interval"][1]
    for seed, bundle in zip((5, 3, 4), bundles, strict=True):
        loaded = DistilledDataset.load(tmp_path / "set" / f"seed-{seed}" / BUNDLE)
        assert loaded.record == bundle.record
        assert Recipe.from_json(loaded.recipe) == dataclasses.replace(RECIPE, seed=seed)


SEVERAL_DEVICES = """
import json, sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 2)
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.run import run_seeds
assert len(jax.devices()) == 2
# Three seeds on two devices: one place stays empty.
run_seeds(Recipe.from_json(json.loads(sys.argv[1])), [3, 4, 5], Path(sys.argv[2]))
"""


def test_seeds_are_spread_over_devices(finished: Finished, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SEVERAL_DEVICES, json.dumps(RECIPE.to_json()), str(tmp_path / "set")]
    subprocess.run(command, check=True)
    tensors = load_file(tmp_path / "set" / "seed-3" / BUNDLE)
    for name, alone in finished.tensors.items():
        # Adam divides by the size of a gradient, which magnifies the rounding of small ones.
        np.testing.assert_allclose(tensors[name], alone, rtol=1e-4, atol=1e-4, err_msg=name)


def test_seeds_that_were_killed_between_two_checkpoints_end_alike(tmp_path: Path) -> None:
    whole = run_seeds(RECIPE, [3, 4], tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_seeds(RECIPE, [3, 4], tmp_path / "set", observer=Watch(3, interrupt))
    assert (tmp_path / "set" / "seed-4" / BUNDLE).exists()
    # One seed is further than the other, as after a crash between their checkpoints.
    run(dataclasses.replace(RECIPE, seed=3), tmp_path / "set" / "seed-3", resume=True)
    watch = Watch()
    bundles = run_seeds(RECIPE, [3, 4], tmp_path / "set", resume=True, observer=watch)
    assert watch.told[0] == ("begin", 2)
    for bundle, expected in zip(bundles, whole, strict=True):
        for name in ("inputs", "labels", "step_sizes"):
            np.testing.assert_allclose(getattr(bundle.data, name), getattr(expected.data, name), rtol=1e-4, atol=1e-4)
    with pytest.raises(RunError, match="is of other seeds"):
        run_seeds(RECIPE, [3, 5], tmp_path / "set", resume=True)


@pytest.mark.usefixtures("unchecked")
def test_runs_from_shots_are_the_same_alone_side_by_side_and_resumed(finished: Finished, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, device=Device(shots=64))
    alone = run(recipe, tmp_path / "alone")
    assert not np.allclose(alone.data.inputs, finished.bundle.data.inputs, atol=1e-2), "shots are taken"
    with pytest.raises(KeyboardInterrupt):
        run_seeds(recipe, np.array([3, 4]), tmp_path / "set", observer=Watch(3, interrupt))
    together, second = run_seeds(recipe, [3, 4], tmp_path / "set", resume=True)
    for name in ("inputs", "labels", "step_sizes"):
        expected = getattr(alone.data, name)
        np.testing.assert_allclose(getattr(together.data, name), expected, rtol=1e-3, atol=1e-3, err_msg=name)
        assert not np.allclose(getattr(second.data, name), expected, atol=1e-2)


def test_a_seed_that_diverges_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Poisoned(SideBySide):
        def join(self, states: Sequence[OuterState]) -> OuterState:
            broken = eqx.tree_at(lambda s: s.learned.inputs, states[0], jnp.nan * states[0].learned.inputs)
            return super().join([broken, *states[1:]])

    shared: list[tuple[int, int]] = []
    monkeypatch.setattr(loop_module, "SideBySide", Poisoned)
    monkeypatch.setattr(Course, "share_with", lambda course, n: shared.append((course.recipe.seed, n)))
    recipe = dataclasses.replace(RECIPE, outer=dataclasses.replace(RECIPE.outer, max_rejected=3))
    with pytest.raises(DivergenceError, match=r"3 iterations in a row.*seed-3/bundle\.safetensors \(iteration 3\)"):
        run_seeds(recipe, [3, 4], tmp_path / "set")
    assert "scores.json" not in files(tmp_path / "set" / "seed-3")
    assert json.loads((tmp_path / "set" / "seed-4" / "scores.json").read_text())["test_accuracy"] is not None
    assert [line["iteration"] for line in read_metrics(tmp_path / "set" / "seed-4")] == [2, 4, 6]
    assert shared == [(4, 1)]


@pytest.mark.parametrize("seeds", [[], [1, 1]])
def test_seeds_are_different_numbers(tmp_path: Path, seeds: list[int]) -> None:
    with pytest.raises(ArgumentError, match="Argument `seeds` must be different numbers, one at least"):
        run_seeds(RECIPE, seeds, tmp_path / "set")


def test_courses_share_the_time_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"seconds": 0.0, "core_seconds": 0.0}
    monkeypatch.setattr(course_module, "_now", lambda: dict(clock))
    splits = split(source("digits").load(), n_validation=RECIPE.n_validation)
    course = Course(RECIPE, tmp_path, make_distiller(RECIPE, splits), 2)
    clock.update(seconds=10.0, core_seconds=20.0)
    assert course.time == {"seconds": 10.0, "core_seconds": 10.0}
    course.share_with(1)
    clock.update(seconds=15.0, core_seconds=30.0)
    assert course.time == {"seconds": 15.0, "core_seconds": 20.0}


def test_a_profile_changes_nothing(finished: Finished, tmp_path: Path) -> None:
    run(RECIPE, tmp_path / "run", with_profile=True)
    assert files(tmp_path / "run") == {*files(finished.folder), PROFILE, TRACE}
    assert (tmp_path / "run" / METRICS).read_text() == (finished.folder / METRICS).read_text()


def test_a_profile_tells_where_the_time_goes(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, model=QuantumLeNetArchitecture(n_qubits=2, n_layers=1))
    distiller = make_distiller(recipe, recipe.splits(None))
    profile(distiller, distiller.start(), tmp_path)
    measured = json.loads((tmp_path / PROFILE).read_text())
    parts = {row["part"] for row in measured["rows"]}
    assert parts >= {"C1 and pooling", "C2 and pooling", "F1, F2 and F3", "quantum layer", "outer optimiser"}
    # One scan a step and one over slices of the real batch: nearly every operation belongs to a phase.
    in_a_phase = sum(row["ms"] for row in measured["rows"] if row["phase"])
    assert in_a_phase > 0.7 * sum(row["ms"] for row in measured["rows"])
    assert all(row["operations"] > 0 and row["ms"] > 0 for row in measured["rows"])
    events = json.loads(gzip.decompress((tmp_path / TRACE).read_bytes()))["traceEvents"]
    assert any("hlo_op" in event.get("args", {}) for event in events)


def test_a_memory_budget_that_is_too_small_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="Argument `memory_budget` must be at least"):
        run(RECIPE, tmp_path / "run", memory_budget=100)
