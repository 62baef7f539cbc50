"""Damaged files of a run folder: valid JSON of the wrong shape, at every place of every file."""

import copy
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qdistill.errors import QDistillError, RunError
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import recipe_of_run
from qdistill.files import read_json
from qdistill.report.figures import draw_run
from qdistill.report.page import write_report
from qdistill.report.table import write_table
from qdistill.run_files import (
    read_course,
    read_final_scores,
    read_profile,
    read_recipe_and_provenance,
    read_results,
    read_scores,
    read_search,
    read_seeds,
    read_time,
    read_trials,
)

pytestmark = pytest.mark.usefixtures("unchecked")

LOOK = {"iteration": 10, "loss": 1.5, "validation_accuracy": 0.5, "step_sizes": [[0.1, 0.2], [0.3, 0.4]]}
LOOK_OF_TABLE = {"iteration": 10, "validation_loss": 1.5, "rejected": 0, "gradient_norm": None}
SCORES = {
    "test_accuracy": 0.5, "n_test": 10, "validation_accuracy": 0.5, "n_validation": 10, "best_iteration": 10,
    "rejected": 0, "seconds": 1.5, "seed": 0,
}  # fmt: skip
TRAINING = {
    "test_accuracy": 0.5, "validation_accuracy": 0.5, "n_test": 10, "steps": 5, "inputs_seen": 9, "core_seconds": 1,
}  # fmt: skip
PROFILE = {
    "iterations": 10, "iteration_ms": 1.5, "traced_ms": 2,
    "rows": [{"part": "C1", "phase": "", "ms": 1, "operations": 2.5}],
}  # fmt: skip
ROW = {
    "name": "one", "title": "One", "group": "ablation", "recipe": "", "seeds": [0], "asked": 1, "mean": 0.5,
    "test_accuracies": [0.5], "interval": None, "n_test": 10, "published": 0.4, "examples": 10, "steps": 10,
    "circuits": 100, "circuits_of_all": None, "core_minutes": 1.5, "gpu_minutes": None,
}  # fmt: skip
DIFFERENCE = {
    "minuend": "one", "subtrahend": "two", "titles": ["a", "b"], "mean": 0.1, "interval": [0.0, 0.2], "n": 3,
    "text": "none",
}  # fmt: skip
TABLE = {
    "title": "Table", "name": "table", "command": "qdistill paper table1", "note": None, "made_with": ["jax"],
    "rows": [ROW], "groups": {}, "by_steps": [], "differences": [DIFFERENCE],
}  # fmt: skip

TRIAL = {
    "number": 0, "values": {"outer.batch": 8}, "state": "waiting", "core_seconds": 1.5, "message": None,
    "looks": [{"iteration": 2, "validation_accuracy": 0.5, "core_seconds": 1.5, "spent": 1.5}],
}  # fmt: skip
SEARCH = {
    "recipe": {"dataset": "digits"}, "space": {"outer.batch": [8, 16]}, "seeds": [0],
    "importances": {"outer.batch": 1.0},
    "best": {"trial": 0, "validation_accuracy": 0.5, "test_accuracy": None, "n_test": None}, "made_with": ["jax"],
}  # fmt: skip

FILES: dict[str, tuple[str, Any, Callable[[Path], Any]]] = {
    "metrics": ("metrics.jsonl", LOOK, read_course),
    "metrics of a table": ("metrics.jsonl", LOOK_OF_TABLE, lambda folder: read_course(folder, "table")),
    "scores": ("scores.json", SCORES, read_scores),
    "final scores": ("scores.json", SCORES, lambda folder: read_final_scores(folder, on_all_inputs=False)),
    "training": ("scores.json", TRAINING, lambda folder: read_final_scores(folder, on_all_inputs=True)),
    "seeds": ("seeds.json", [0, 1], read_seeds),
    "profile": ("profile.json", PROFILE, read_profile),
    "table": ("table.json", TABLE, read_results),
    "trials": ("trials.jsonl", TRIAL, lambda folder: read_trials(folder, ["outer.batch"])),
    "search": ("search.json", SEARCH, read_search),
    "time": ("time.json", {"core_seconds": 1.5, "seconds": 2}, read_time),
    "recipe": ("recipe.json", Recipe("digits").to_json(), recipe_of_run),
    "provenance": ("provenance.json", {"versions": {"jax": "1"}}, read_recipe_and_provenance),
}

OPTIONAL = ("seed", "iterations", "gradient_norm", "name", "seconds")
"""Fields that are left out of a shape, or need not be there."""

WRONG = [None, True, -1, 10.5, "x", [], [1], [[]], {}, {"a": 1}, float("nan"), float("inf"), 10**400]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested data, the whole first."""
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*place, key))


def changed(value: Any, place: tuple[Any, ...], to: Any) -> Any:
    if not place:
        return to
    whole = copy.deepcopy(value)
    inside = whole
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = to
    return whole


def without(value: Any, place: tuple[Any, ...]) -> Any:
    whole = copy.deepcopy(value)
    inside = whole
    for key in place[:-1]:
        inside = inside[key]
    del inside[place[-1]]
    return whole


@pytest.mark.parametrize("of", FILES)
def test_what_is_whole_is_read(of: str, tmp_path: Path) -> None:
    name, content, read = FILES[of]
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    assert read(tmp_path)


@pytest.mark.parametrize("of", FILES)
def test_no_damage_is_taken_for_a_fault_of_the_program(of: str, tmp_path: Path) -> None:
    name, content, read = FILES[of]
    damaged = [changed(content, place, to) for place in places(content) for to in WRONG]
    damaged += [without(content, place) for place in places(content) if place]
    for each in damaged:
        (tmp_path / name).write_text(json.dumps(each), encoding="utf-8")
        try:
            read(tmp_path)
        except QDistillError as error:
            assert name in str(error)  # noqa: PT017


@pytest.mark.parametrize("of", [of for of in FILES if of not in ("recipe", "provenance", "seeds", "trials", "search")])
def test_a_field_that_is_missing_or_a_text_is_named(of: str, tmp_path: Path) -> None:
    name, content, read = FILES[of]
    fields = [place for place in places(content) if place and isinstance(place[-1], str) and place[-1] not in OPTIONAL]
    assert fields
    for place in fields:
        (tmp_path / name).write_text(json.dumps(without(content, place)), encoding="utf-8")
        with pytest.raises(RunError, match=place[-1]):
            read(tmp_path)
        (tmp_path / name).write_text(json.dumps(changed(content, place, {"a": 1})), encoding="utf-8")
        with pytest.raises(RunError, match=place[-1]):
            read(tmp_path)


@pytest.mark.parametrize(
    ("shape", "content", "message"),
    [
        (list[int], "{}", r"x.json: it must be a list, but was \{\}\."),
        (list[int], "[1, true]", r"x.json: `\[1\]` must be an integer, but was True\."),
        (dict[str, float], '{"a": "b"}', r"x.json: .* must be a number, but was "),
        (list[int], "[1", r"Cannot read .*x.json"),
        (Any, "[" * 101 + "]" * 101, "nested too deeply"),
    ],
)
def test_the_place_of_what_does_not_fit_is_named(tmp_path: Path, shape: Any, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=message):
        read_json(tmp_path / "x.json", shape)


@pytest.mark.parametrize("sizes", [[], [[]], [[0.1], [0.1, 0.2]], [[0.1]]])
def test_step_sizes_are_as_many_in_every_line(tmp_path: Path, sizes: Any) -> None:
    lines = [LOOK, {**LOOK, "step_sizes": sizes}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with pytest.raises(RunError, match="`step_sizes` must have as many"):
        read_course(tmp_path)


def write_all(root: Path) -> dict[str, Path]:
    """Folders of a run, of two seeds and of a table, without bundles, whose replay would take long."""
    run = root / "run"
    run.mkdir(parents=True)
    for of in ("scores", "profile", "recipe", "provenance"):
        name, content, _ = FILES[of]
        (run / name).write_text(json.dumps(content), encoding="utf-8")
    (run / "metrics.jsonl").write_text(json.dumps(LOOK) + "\n", encoding="utf-8")
    for seed in (0, 1):
        shutil.copytree(run, root / "seeds" / f"seed-{seed}")
    (root / "seeds" / "seeds.json").write_text("[0, 1]", encoding="utf-8")
    (root / "table").mkdir()
    (root / "table" / "table.json").write_text(json.dumps(TABLE), encoding="utf-8")
    return {name: root / name for name in ("run", "seeds", "table")}


DAMAGED = [("run", of) for of in ("metrics", "scores", "profile", "recipe", "provenance")]
DAMAGED += [("seeds", of) for of in ("seeds", "metrics", "scores", "recipe", "provenance")] + [("table", "table")]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(what=st.sampled_from(DAMAGED), data=st.data())
def test_pages_and_pictures_are_made_or_refused(what: tuple[str, str], data: Any, tmp_path: Path) -> None:
    kind, of = what
    folder = write_all(Path(tempfile.mkdtemp(dir=tmp_path)))[kind]
    name, content, _ = FILES[of]
    place = data.draw(st.sampled_from(list(places(content))))
    damaged = changed(content, place, data.draw(st.sampled_from(WRONG)))
    file = folder / "seed-1" / name if kind == "seeds" and of != "seeds" else folder / name
    file.write_text(json.dumps(damaged), encoding="utf-8")
    try:
        # The page draws what the pictures show.
        write_table(folder) if kind == "table" else None
        write_report(folder, command_of=lambda *_: "")
    except QDistillError:
        pass


@pytest.mark.parametrize(
    ("kind", "of"), [("run", "metrics"), ("run", "profile"), ("seeds", "seeds"), ("seeds", "metrics")]
)
def test_pictures_are_refused_by_the_name_of_the_damaged_file(kind: str, of: str, tmp_path: Path) -> None:
    folder = write_all(tmp_path)[kind]
    name = FILES[of][0]
    file = folder / "seed-1" / name if kind == "seeds" and of != "seeds" else folder / name
    file.write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(RunError, match=name):
        draw_run(folder)
