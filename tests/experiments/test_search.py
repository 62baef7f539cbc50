"""The search: it tries what a space holds, stops the worst early, goes on as if never stopped, and reads no test."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from qdistill.cli import main
from qdistill.cli.places import Runs
from qdistill.cli.shared import INTERRUPTED
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError, FailedRunsError, MissingExtraError, RunError
from qdistill.experiments import course
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.engines.unit import Failure, Unit
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe, write_recipe
from qdistill.experiments.run import run
from qdistill.experiments.search.campaign import Campaign, Limits
from qdistill.experiments.search.halving import leader, promotable, rungs
from qdistill.experiments.search.search import search
from qdistill.experiments.search.space import Range, Space
from qdistill.experiments.search.trials import Look, Trial, read_log, write_log
from qdistill.files import BEST, BUNDLE, METRICS, SCORES, SEARCH, TIME, TRIALS
from qdistill.folders import holding
from qdistill.models import DataReuploading

RECIPE = dataclasses.replace(
    default_recipe("moons"),
    model=DataReuploading(n_qubits=2, n_layers=1),
    inner=InnerLoop(steps=2),
    outer=OuterLoop(iterations=18, batch=8, validate_every=2),
    n_validation=50,
)
OVER: dict[str, Any] = {
    "outer": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}, "batch": {"low": 4, "high": 64}},
    "inner": {"optimiser": ["gradient_descent", "momentum", "adam"]},
}
SPACE = Space.of(OVER, RECIPE)


class Paper:
    """An engine that computes nothing: a run's accuracy and time follow from its recipe.

    Args:
        seconds: that an iteration takes.
        stop_after: units, after which Ctrl-C comes in the middle of the next.
        fails: the kind of error that a recipe ends with, if any.
    """

    def __init__(self, seconds: float = 1.0, stop_after: int | None = None, fails: Any = lambda recipe: None) -> None:
        self.seconds, self.stop_after, self.fails = seconds, stop_after, fails
        self.given: list[Unit] = []

    def run(self, units: Sequence[Unit]) -> None:
        raise AssertionError("the end is not reached")

    def follow(self, source: Campaign) -> None:
        while units := source.next():
            for unit in units:
                if len(self.given) == self.stop_after:
                    raise KeyboardInterrupt
                self.given.append(unit)
                kind = self.fails(unit.recipe)
                self._write(unit)
                source.ended(unit, None if kind is None else Failure(kind, f"what a {kind} says"))

    def _write(self, unit: Unit) -> None:
        unit.folder.mkdir(parents=True, exist_ok=True)
        assert unit.until is not None
        every = unit.recipe.outer.validate_every
        looks = [
            {"iteration": iteration, "best_validation_accuracy": accuracy(unit.recipe, iteration)}
            for iteration in range(every, unit.until + 1, every)
        ]
        (unit.folder / METRICS).write_text("".join(json.dumps(look) + "\n" for look in looks))
        (unit.folder / TIME).write_text(json.dumps({"core_seconds": self.seconds * unit.until}))


def accuracy(recipe: Recipe, iteration: int) -> float:
    """Best at a learning rate of 0.01 and the largest batch; rises with the iterations."""
    distance = abs(math.log10(recipe.outer.learning_rate) + 2) + (64 - recipe.outer.batch) / 200
    return round(0.9 - 0.2 * distance - 0.1 / iteration + 0.001 * recipe.seed, 6)


def campaign(
    folder: Path, engine: Paper, *, hours: float = 1.0, trials: int | None = None, seeds: Sequence[int] | None = None
) -> Campaign:
    """A search on paper, gone on with where there is one; until Ctrl-C, if that comes."""
    folder.mkdir(exist_ok=True)
    one = Campaign(SPACE, folder, read_log(folder, SPACE.fields), Limits(3600 * hours, trials), seeds=seeds)
    with contextlib.suppress(KeyboardInterrupt):
        engine.follow(one)
    return one


def trial(number: int, *scores: float, state: Any = "waiting") -> Trial:
    looks = [Look(place, score, 1.0, 1.0) for place, score in enumerate(scores, start=1)]
    return Trial(number, {}, state=state, looks=looks)


@pytest.mark.parametrize(
    ("iterations", "every", "expected"),
    [(18, 2, (2, 6, 18)), (12_000, 100, (1400, 4000, 12_000)), (10, 4, (4, 4, 10)), (10, 20, (10, 10, 10))],
)
def test_a_rung_is_a_share_of_the_iterations_at_which_there_is_a_look(
    iterations: int, every: int, expected: tuple[int, ...]
) -> None:
    loop = OuterLoop(iterations=iterations, validate_every=every)
    assert rungs(dataclasses.replace(RECIPE, outer=loop)) == expected


def test_the_best_third_goes_on_from_the_top_down() -> None:
    there = [trial(0, 0.5), trial(1, 0.7)]
    assert promotable(there) is None, "of two none is the best third"
    there.append(trial(2, 0.6))
    assert promotable(there) is there[1]
    there[1] = trial(1, 0.7, 0.8)
    assert promotable(there) is None
    there += [trial(3, 0.9), trial(4, 0.1), trial(5, 0.95, state="diverged")]
    assert promotable(there) is there[3], "of six two go on, but none that has diverged"
    assert leader(there) is there[3]
    there[3] = trial(3, 0.9, 0.91)
    there.append(trial(6, 0.99))
    assert promotable(there) is None, "two of seven have gone on"
    there[6] = trial(6, 0.99, 0.92)
    assert promotable(there) is there[6], "three at the second rung: the best of them first"
    there[6] = trial(6, 0.99, 0.92, state="running")
    assert promotable(there) is None


def test_worst_trials_stop_early_and_the_best_comes_to_its_end(tmp_path: Path) -> None:
    engine = Paper()
    done = campaign(tmp_path, engine, hours=0.05)
    at_rungs = [sum(len(one.looks) > rung for one in done.trials) for rung in range(3)]
    # One more may have gone on to its end when the budget was.
    assert at_rungs[1] <= at_rungs[0] // 3 + 1
    assert 1 <= at_rungs[2] <= at_rungs[1] // 3 + 1
    best = done.best
    assert best is not None
    assert best.state == "ended"
    assert best.score == max(one.score for one in done.trials)
    first = [one.looks[0].validation_accuracy for one in done.trials]
    stopped = [one for one in done.trials if len(one.looks) == 1]
    middle = sorted(first)[len(first) // 2]
    assert sum(one.score < middle for one in stopped) > sum(one.score >= middle for one in stopped)
    assert all(unit.recipe.outer.iterations == 18 for unit in engine.given), "a prefix, not a shorter run"


@pytest.mark.parametrize("hours", [0.006, 0.02])
def test_the_budget_is_kept_with_the_end_of_the_best_in_it(tmp_path: Path, hours: float) -> None:
    done = campaign(tmp_path, Paper(), hours=hours)
    spent = sum(one.core_seconds for one in done.trials)
    assert 0.7 * 3600 * hours < spent <= 3600 * hours
    assert done.best is not None
    assert done.best.state == "ended"


def test_what_cannot_come_to_its_end_is_not_begun(tmp_path: Path) -> None:
    done = campaign(tmp_path, Paper(), hours=5 / 3600)
    assert [(one.state, one.core_seconds) for one in done.trials] == [("waiting", 2.0)]


def test_the_first_trial_is_the_recipe_and_no_recipe_is_tried_twice(tmp_path: Path) -> None:
    done = campaign(tmp_path, Paper(), trials=15)
    assert done.recipe(done.trials[0]) == RECIPE
    assert len(done.trials) == 15
    assert all(
        one.values not in [other.values for other in done.trials[:place]] for place, one in enumerate(done.trials)
    )
    assert all(SPACE.holds(one.values) for one in done.trials)


def test_a_small_space_comes_to_an_end(tmp_path: Path) -> None:
    space = Space.of({"inner": {"optimiser": ["gradient_descent", "momentum"]}, "outer": {"batch": [8, 16]}}, RECIPE)
    one = Campaign(space, tmp_path, [], Limits(3600.0))
    Paper().follow(one)
    assert len(one.trials) == 4


def test_one_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    undisturbed = campaign(tmp_path / "undisturbed", Paper(), hours=0.03)
    given: list[Unit] = []
    for stop_after in (0, 1, 5, 12, None):
        engine = Paper(stop_after=stop_after)
        resumed = campaign(tmp_path / "stopped", engine, hours=0.03)
        given += engine.given
    assert resumed.trials == undisturbed.trials
    assert (tmp_path / "stopped" / TRIALS).read_bytes() == (tmp_path / "undisturbed" / TRIALS).read_bytes()
    assert len(given) == len(set(given)) > 20, "nothing is run twice"


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    first = campaign(tmp_path, Paper(), hours=0.01)
    later = campaign(tmp_path, Paper(), hours=0.03)
    assert len(later.trials) > len(first.trials)
    assert [one.values for one in later.trials[: len(first.trials)]] == [one.values for one in first.trials]


def test_several_seeds_are_one_trial_with_their_mean(tmp_path: Path) -> None:
    engine = Paper()
    done = campaign(tmp_path, engine, trials=1, seeds=[3, 5])
    assert [(unit.name, unit.recipe.seed) for unit in engine.given[:2]] == [
        ("trial-0/seed-3 to 2", 3),
        ("trial-0/seed-5 to 2", 5),
    ]
    assert done.trials[0].core_seconds == 36.0
    assert done.trials[0].score == pytest.approx(accuracy(RECIPE, 18) + 0.004, abs=1e-6)


def test_what_diverges_is_not_the_best_and_costs_no_other(tmp_path: Path) -> None:
    engine = Paper(fails=lambda recipe: "DivergenceError" if recipe.outer.learning_rate > 0.009 else None)
    done = campaign(tmp_path, engine, hours=0.03)
    assert {one.state for one in done.trials} >= {"diverged", "ended"}
    assert all((one.values["outer.learning_rate"] > 0.009) == (one.state == "diverged") for one in done.trials)
    assert done.best is not None
    assert done.best.state == "ended"


def test_failures_in_a_row_end_it_and_are_tried_again(tmp_path: Path) -> None:
    done = campaign(tmp_path, Paper(fails=lambda recipe: "DataError"))
    assert "3 trials in a row failed (trial-0, trial-1, trial-2)" in done.failure
    assert "what a DataError says" in done.failure
    later = campaign(tmp_path, Paper(), hours=0.02)
    assert {one.state for one in later.trials} <= {"waiting", "ended"}


def test_what_the_recipe_refuses_together_is_left_out(tmp_path: Path) -> None:
    # Five examples are no whole number of each of four steps' own; alone each bound is taken.
    recipe = dataclasses.replace(RECIPE, inner=InnerLoop(steps=1))
    over = {"inner": {"steps": [1, 2], "own_examples": [True, False]}, "compression": {"examples": [2, 5]}}
    one = Campaign(Space.of(over, recipe), tmp_path, [], Limits(3600.0))
    Paper().follow(one)
    refused = [trial for trial in one.trials if trial.state == "refused"]
    assert [trial.values for trial in refused] == [
        {"inner.steps": 2, "inner.own_examples": True, "compression.examples": 5}
    ]
    assert refused[0].message is not None
    assert len(one.trials) == 9, "the recipe as it stood has two of each class, which is not in the space"


@pytest.mark.parametrize(
    ("over", "message"),
    [
        (
            {"outer": {"learning_rat": [0.1, 0.2]}},
            r"'outer\.learning_rat' is none\. Did you mean 'outer\.learning_rate'",
        ),
        ({"outr": {"batch": [1, 2]}}, r"'outr' is none\. Did you mean 'outer'"),
        ({"learning_rate": [0.1, 0.2]}, r"'learning_rate' is none"),
        ({"outer": {"batch": {"low": 4.5, "high": 8}}}, r"`over\.outer\.batch\.low` must be an integer, but was 4\.5"),
        ({"outer": {"batch": {"low": "4", "high": 8}}}, r"`over\.outer\.batch\.low` must be an integer, but was '4'"),
        ({"inner": {"optimiser": {"low": 1, "high": 2}}}, r"`over\.inner\.optimiser` must be a list of choices"),
        ({"outer": {"mirror": {"low": 0, "high": 1}}}, r"must be a list of choices"),
        ({"inner": {"optimiser": ["adam", "admm"]}}, r"`over\.inner\.optimiser\[1\]` .*'admm'"),
        ({"outer": {"batch": {"low": 8, "high": 8}}}, r"`over\.outer\.batch\.high` must be above low, 8, but was 8"),
        ({"outer": {"batch": {"low": 8}}}, r"`over\.outer\.batch\.high` must be given"),
        ({"outer": {"batch": {"low": 8, "hihg": 9}}}, r"has 'hihg'\. Did you mean 'high'"),
        ({"outer": {"batch": {"low": 0, "high": 8}}}, r"`over\.outer\.batch` .* 0 is none\. .*must be at least 1"),
        ({"outer": {"warm_up": {"low": 0, "high": 0.1, "log": True}}}, r"low` must be above 0 where log is true"),
        ({"outer": {"batch": [8]}}, r"must have two choices or more"),
        ({"outer": {"batch": [8, 8]}}, r"all different"),
        ({"outer": {"batch": 8}}, r"must be a list of choices or a range, as in \{ low = 1, high = 10 \}"),
        ({"outer": 8}, r"`over\.outer` must be a table"),
        ({"seed": [0, 1]}, r"must not have `seed`, which all trials have in common"),
        ({"outer": {"validate_every": [1, 2]}}, r"must not have `outer\.validate_every`"),
        ({"device": {"shots": [100, 200]}}, r"must not have `device`"),
        ({"model": {"architecture": ["lenet", "iqp"]}}, r"must not have `model\.architecture`"),
        ({}, r"must name a field of the recipe at least"),
    ],
)
def test_a_space_that_is_none(over: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Space.of(over, RECIPE)


def test_a_bound_that_the_data_refuse() -> None:
    with pytest.raises(ArgumentError, match=r"`over\.transforms` must have values that the recipe takes.*pca"):
        Space.of({"transforms": [["standardise"], ["standardise", "pca:3"]]}, RECIPE)


def test_a_space_of_transforms_and_of_the_network() -> None:
    over = {
        "objective": ["performance", "gradients"],
        "transforms": [["standardise"], ["none"]],
        "model": {"n_layers": {"low": 1, "high": 3}},
    }
    recipe = dataclasses.replace(RECIPE, compression=dataclasses.replace(RECIPE.compression, labels="fixed"))
    space = Space.of(over, recipe)
    assert space.own == {"objective": "performance", "transforms": ["standardise"], "model.n_layers": 1}
    changed = space.recipe_of({"objective": "gradients", "transforms": ["none"], "model.n_layers": 3})
    assert changed.model == DataReuploading(n_qubits=2, n_layers=3)
    assert changed.objective == "gradients"
    assert changed.transforms != RECIPE.transforms


def test_numbers_are_short_and_in_their_range() -> None:
    field = Range(0.003, 0.1)
    assert field.rounded(0.0123456) == 0.0123
    assert Range(0.0123456, 1.0).rounded(0.0123456) == 0.0123456
    assert not Range(4, 8).holds(5.5)


@pytest.mark.parametrize("name", ["mnist-3v5-reuploading-2", "mnist-3v5-reuploading-10-unknown"])
def test_a_recipe_that_was_written_is_read_back(tmp_path: Path, name: str) -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "classifiers" / f"{name}.toml")
    write_recipe(recipe, tmp_path / "recipe.toml", ["of a test"])
    assert read_recipe(tmp_path / "recipe.toml") == recipe


def test_one_on_data_of_the_users_own_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{x / 10},{-x},{'ab'[x % 2]}\n" for x in range(60))
    (tmp_path / "own.csv").write_text(f"x,y,label\n{rows}")
    (tmp_path / "recipe.toml").write_text('n_validation = 5\n[data]\npath = "own.csv"\nlabel_column = "label"\n')
    recipe = read_recipe(tmp_path / "recipe.toml")
    (tmp_path / "elsewhere").mkdir()
    write_recipe(recipe, tmp_path / "elsewhere" / "recipe.toml")
    again = read_recipe(tmp_path / "elsewhere" / "recipe.toml")
    assert dataclasses.replace(again, data=recipe.data) == recipe


def test_a_budget_is_above_nothing(tmp_path: Path) -> None:
    for budget in (0.0, -1.0):
        with pytest.raises(ArgumentError, match="`budget` must be above 0"):
            search(RECIPE, SPACE, tmp_path / "search", budget=budget)
    with pytest.raises(ArgumentError, match="`trials` must be at least 1"):
        search(RECIPE, SPACE, tmp_path / "search", budget=1.0, trials=0)
    assert not (tmp_path / "search").exists()


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'qdistill\[search\]'"):
        search(RECIPE, SPACE, tmp_path / "search", budget=1.0)


def test_a_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    search(RECIPE, SPACE, folder, budget=5 / 3600, engine=Paper())
    other = Space.of({"outer": {"batch": [8, 16]}}, RECIPE)
    with pytest.raises(RunError, match="is of a search with another search space"):
        search(RECIPE, other, folder, budget=1.0, engine=Paper())
    changed = dataclasses.replace(RECIPE, seed=1)
    with pytest.raises(RunError, match="is of a search with another recipe and seeds"):
        search(changed, Space.of(OVER, changed), folder, budget=1.0, engine=Paper())
    with pytest.raises(RunError, match="with another seeds"):
        search(RECIPE, SPACE, folder, budget=1.0, seeds=[0, 1], engine=Paper())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(RunError, match="exists already, and holds no search"):
        search(RECIPE, SPACE, tmp_path / "full", budget=1.0, engine=Paper())


def test_a_folder_has_one_search_at_a_time(tmp_path: Path) -> None:
    with holding(tmp_path / "search"), pytest.raises(RunError, match="is being written to by process"):
        search(RECIPE, SPACE, tmp_path / "search", budget=1.0, engine=Paper())


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / TRIALS).write_text('{"number": 0}\n')
    with pytest.raises(RunError, match=rf"line 1 of .*{TRIALS}"):
        read_log(tmp_path, SPACE.fields)
    write_log(tmp_path, [trial(0, 0.5), trial(2, 0.5)])
    with pytest.raises(RunError, match="must have as `number` 0, 1, 2"):
        read_log(tmp_path, SPACE.fields)
    write_log(tmp_path, [trial(0, 0.5)])
    with pytest.raises(RunError, match=r"`values` must be of .*outer\.batch.* but those of trial 0 are others"):
        read_log(tmp_path, SPACE.fields)


def test_failures_are_raised_with_what_was_tried(tmp_path: Path) -> None:
    with pytest.raises(FailedRunsError, match="The same search tries them again"):
        search(RECIPE, SPACE, tmp_path / "search", budget=1.0, engine=Paper(fails=lambda recipe: "DataError"))


def test_ctrl_c_and_failures_leave_tables_and_say_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recipe(RECIPE, tmp_path / "recipe.toml")
    (tmp_path / "space.toml").write_text("[outer]\nbatch = { low = 4, high = 64 }\n")
    words = [
        str(tmp_path / "recipe.toml"),
        "--over",
        str(tmp_path / "space.toml"),
        "--budget",
        "1",
        "--no-compilation-cache",
    ]
    stopped, broken = tmp_path / "stopped", tmp_path / "broken"
    monkeypatch.setattr(Runs, "engine", lambda runs: Paper(stop_after=4))
    assert main(["search", *words, "--out", str(stopped)]) == INTERRUPTED
    assert f"To go on: qdistill search {words[0]}" in capsys.readouterr().err
    assert "4 trials in" in (stopped / "trials.md").read_text()
    monkeypatch.setattr(
        Runs, "engine", lambda runs: Paper(fails=lambda recipe: "DataError" if recipe != RECIPE else None)
    )
    assert main(["search", *words, "--out", str(broken)]) == 1
    assert "3 trials in a row failed (trial-1, trial-2, trial-3)" in capsys.readouterr().err
    assert (broken / "trials.csv").exists()


def test_the_command_gives_tables_a_figure_and_the_best_recipe_and_the_test_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, measured = tmp_path / "search", []
    of_test = course._measured
    monkeypatch.setattr(course, "_measured", lambda *given: measured.append(given) or of_test(*given))
    write_recipe(RECIPE, tmp_path / "recipe.toml")
    (tmp_path / "space.toml").write_text(
        "[outer]\nlearning_rate = { low = 0.001, high = 0.1, log = true }\nbatch = { low = 4, high = 64 }\n"
        '[inner]\noptimiser = ["gradient_descent", "momentum", "adam"]\n'
    )
    words = [str(tmp_path / "recipe.toml"), "--over", str(tmp_path / "space.toml"), "--out", str(folder)]
    assert main(["search", *words, "--budget", "1", "--trials", "2", "--no-compilation-cache"]) == 0
    said = capsys.readouterr()
    best = json.loads((folder / SEARCH).read_text())["best"]
    assert f"Best: trial {best['trial']}, {best['validation_accuracy']:.2%} on validation" in said.out
    assert len(measured) == 1, "the test part is read for the best, once"
    names = {f"trial-{number}" for number in range(2)}
    assert {path.parent.name for path in folder.glob(f"trial-*/{SCORES}")} == {f"trial-{best['trial']}"}
    for name in names:
        record = DistilledDataset.load(folder / name / BUNDLE).record
        assert (record.test_accuracy is None) == (name != f"trial-{best['trial']}")
    values = read_log(folder, SPACE.fields)[best["trial"]].values
    assert read_recipe(folder / BEST) == SPACE.recipe_of(values)
    for name in ("trials.md", "trials.csv", "search.png"):
        assert str(folder / name) in said.out
        assert (folder / name).stat().st_size > 100
    # A trial that was promoted twice, and paused there, is the run of its recipe.
    run(read_recipe(folder / BEST), tmp_path / "undisturbed")
    paused, whole = (load_file(one / BUNDLE) for one in (folder / f"trial-{best['trial']}", tmp_path / "undisturbed"))
    assert paused.keys() == whole.keys()
    assert all((paused[name] == whole[name]).all() for name in whole)
    assert (folder / f"trial-{best['trial']}" / METRICS).read_bytes() == (
        tmp_path / "undisturbed" / METRICS
    ).read_bytes()
    # Once more: nothing is left to do.
    assert main(["search", *words, "--budget", "1", "--trials", "2", "--no-compilation-cache"]) == 0
    assert len(measured) == 2, "by the run beside it"
