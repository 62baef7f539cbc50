"""Tables: what is run, gathered and compared, on the 8x8 digits."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import statistics
from pathlib import Path
from typing import Any

import jax
import pytest
from scipy import stats

from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.shared import INTERRUPTED
from qdistill.errors import ArgumentError, DivergenceError, RunError
from qdistill.evaluate.baselines import FullTraining
from qdistill.evaluate.cost import training_circuits
from qdistill.experiments.distillers import make_distiller
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe
from qdistill.experiments.tables.gather import _inputs_seen, gather
from qdistill.experiments.tables.read import read_table, table_names
from qdistill.experiments.tables.replay import replay_zoo
from qdistill.experiments.tables.run import run_table
from qdistill.experiments.tables.table import Difference, Row, Table
from qdistill.files import (
    BUNDLE,
    FULL_TRAINING,
    PROVENANCE,
    RECIPE,
    SCORES,
    TABLE,
    TIME,
    read_json,
    shipped,
    write_json,
)
from qdistill.report.table import write_table

from .samples import recipe_of_digits

HERMITIAN = recipe_of_digits(iterations=4, validate_every=2)
REMOVED = dataclasses.replace(HERMITIAN, model=dataclasses.replace(HERMITIAN.model, branch="removed"))
FULL = FullTraining(epochs=1.0, batch=100)
TABLE_OF_DIGITS = Table(
    "small",
    "A small table",
    (
        Row("pad-hermitian", "residual, trainable Hermitian", "ablation", HERMITIAN, (0, 1, 2), published=0.9),
        Row("removed", "quantum branch removed", "control", REMOVED, (0, 1, 2, 3)),
        Row("full", "all inputs", "ceiling", HERMITIAN, (0,), full=FULL),
    ),
    (Difference("pad-hermitian", "removed", "the quantum branch"), Difference("removed", "full", "nothing")),
    groups={"ablation": "Ablations", "control": "Controls", "ceiling": "All"},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    run_table(TABLE_OF_DIGITS, folder)
    return folder


def test_every_row_has_its_seeds_and_the_statistics_are_scipys(folder: Path) -> None:
    table = gather(TABLE_OF_DIGITS, folder, "a command")
    assert json.loads(json.dumps(table)) == json.loads((folder / TABLE).read_text())
    rows = {row["name"]: row for row in table["rows"]}
    scores = {
        name: [read_json(folder / name / f"seed-{seed}" / SCORES)["test_accuracy"] for seed in row["seeds"]]
        for name, row in rows.items()
    }
    removed = rows["removed"]
    assert removed["test_accuracies"] == scores["removed"]
    assert removed["mean"] == pytest.approx(statistics.mean(scores["removed"]))
    low, high = stats.t.interval(0.95, 3, removed["mean"], stats.sem(scores["removed"]))
    assert removed["interval"] == pytest.approx((low, high))
    assert rows["full"]["interval"] is None
    assert (removed["circuits"], removed["examples"], removed["steps"], removed["n_test"]) == (0, 10, 2, 500)
    # Two steps on ten inputs, each with 2 x 6 angles and 3 preparing rotations shifted twice, in three settings.
    assert rows["pad-hermitian"]["circuits"] == 20 * 3 * (1 + 12 + 6)
    assert rows["full"]["circuits"] == 1100 * 3 * (1 + 12 + 6) * (1197 // 100) // 11
    assert (rows["full"]["examples"], rows["full"]["steps"]) == (None, 1197 // 100)
    assert rows["pad-hermitian"]["circuits_of_all"] == rows["full"]["circuits_of_all"] == rows["full"]["circuits"]
    assert removed["circuits_of_all"] == 0
    assert (removed["asked"], rows["full"]["asked"]) == (4, 1)

    (difference,) = table["differences"]  # the other has one seed in common
    gaps = [a - b for a, b in zip(scores["pad-hermitian"], scores["removed"], strict=False)]
    assert difference["mean"] == pytest.approx(statistics.mean(gaps))
    assert difference["n"] == 3
    assert difference["text"].startswith("The quantum branch ")


def test_what_is_there_is_left_alone_and_what_is_missing_is_run(folder: Path) -> None:
    bundle = folder / "removed" / "seed-1" / BUNDLE
    before, other = bundle.read_bytes(), folder / "removed" / "seed-2" / SCORES
    stamp = bundle.stat().st_mtime_ns
    scores = other.read_text()
    other.unlink()
    run_table(TABLE_OF_DIGITS, folder, rows=["removed"])
    assert bundle.read_bytes() == before
    assert bundle.stat().st_mtime_ns == stamp
    assert json.loads(other.read_text())["test_accuracy"] == json.loads(scores)["test_accuracy"]


def test_a_row_of_another_recipe_is_an_error(folder: Path) -> None:
    changed = dataclasses.replace(TABLE_OF_DIGITS.rows[0], recipe=REMOVED)
    with pytest.raises(RunError, match="is of another recipe"):
        run_table(dataclasses.replace(TABLE_OF_DIGITS, rows=(changed,)), folder)


def test_results_of_another_recipe_are_not_gathered_as_a_rows(folder: Path) -> None:
    edited = dataclasses.replace(TABLE_OF_DIGITS.rows[0], recipe=REMOVED)
    retrained = dataclasses.replace(TABLE_OF_DIGITS.rows[2], full=dataclasses.replace(FULL, epochs=2.0))
    for row in (edited, retrained):
        with pytest.raises(RunError, match="is of another recipe or training"):
            gather(dataclasses.replace(TABLE_OF_DIGITS, rows=(row,), differences=()), folder, "a command")


def test_each_dataset_has_its_own_training_on_all_inputs(tmp_path: Path) -> None:
    own = dataclasses.replace(HERMITIAN, dataset="mnist")
    rows = []
    for name, recipe, seen in (("digits", HERMITIAN, 1100), ("mnist", own, 5000)):
        run = tmp_path / f"{name}-full" / "seed-0"
        run.mkdir(parents=True)
        scores = {"test_accuracy": 0.5, "validation_accuracy": 0.5, "n_test": 500, "steps": seen // 100}
        write_json(run / RECIPE, recipe.to_json())
        write_json(run / FULL_TRAINING, dataclasses.asdict(FULL))
        write_json(run / SCORES, scores | {"inputs_seen": seen, "core_seconds": 1.0})
        rows.append(Row(f"{name}-full", "all inputs", "ceiling", recipe, (0,), full=FULL))
    table = dataclasses.replace(TABLE_OF_DIGITS, rows=tuple(rows), differences=())
    found = gather(table, tmp_path, "a command")["rows"]
    assert [row["circuits_of_all"] for row in found] == [row["circuits"] for row in found]
    assert [row["circuits"] for row in found] == [1100 * 3 * (1 + 12 + 6), 5000 * 3 * (1 + 12 + 6)]


def test_networks_that_train_on_all_inputs_for_longer_are_counted_by_themselves() -> None:
    """A network without such a training takes the others' number, unless they differ in it."""
    third = dataclasses.replace(HERMITIAN, model=dataclasses.replace(HERMITIAN.model, skip="none"))
    all_rows = [Row(f"all-{i}", "", "", recipe, (0,), full=FULL) for i, recipe in enumerate((HERMITIAN, REMOVED))]
    table = dataclasses.replace(TABLE_OF_DIGITS, rows=tuple(all_rows))

    def seen(recipe: Recipe, *numbers: int) -> int | None:
        found = {row.name: {0: {"inputs_seen": n}} for row, n in zip(all_rows, numbers, strict=True)}
        return _inputs_seen(recipe, table, found)

    assert [seen(recipe, 100, 300) for recipe in (HERMITIAN, REMOVED, third)] == [100, 300, None]
    assert seen(third, 200, 200) == 200


def test_a_training_on_all_inputs_of_another_kind_is_an_error(folder: Path) -> None:
    changed = dataclasses.replace(TABLE_OF_DIGITS.rows[2], full=dataclasses.replace(FULL, epochs=2.0))
    with pytest.raises(RunError, match="is of another recipe or training"):
        run_table(dataclasses.replace(TABLE_OF_DIGITS, rows=(changed,)), folder)
    assert read_json(folder / "full" / "seed-0" / PROVENANCE)["sessions"][0]["versions"]["jax"] == jax.__version__


def test_a_run_that_diverges_costs_the_table_one_seed_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table"
    shutil.copytree(folder, out)
    (out / "removed" / "seed-1" / SCORES).unlink()

    def stops(*_: object, **__: object) -> None:
        raise DivergenceError("removed: not finite")

    monkeypatch.setattr("qdistill.experiments.tables.read.read_table", lambda dataset: TABLE_OF_DIGITS)
    monkeypatch.setattr("qdistill.experiments.tables.run.run_table", stops)
    assert main(["paper", "table1", "--out", str(out), "--no-compilation-cache"]) == 1
    printed = capsys.readouterr()
    assert "removed: not finite" in printed.err
    assert ", 3 of 4 seeds" in printed.out
    assert "| 3 of 4 |" in (out / "table.md").read_text()


def test_a_table_that_is_stopped_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("qdistill.experiments.tables.run.run_table", stops)
    given = ["paper", "table1", "--dataset", "mnist", "--out", str(tmp_path), "--rows", "removed", "lenet"]
    assert main([*given, "--data-dir", "some/folder", "--no-compilation-cache"]) == INTERRUPTED
    assert f"qdistill {' '.join(given)} --data-dir some/folder" in capsys.readouterr().err


def test_a_row_that_the_table_has_not(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'removed'"):
        run_table(TABLE_OF_DIGITS, folder, rows=["remove"])


def test_it_is_written_as_markdown_csv_and_figures(folder: Path) -> None:
    table = gather(TABLE_OF_DIGITS, folder, "a command")
    paths = write_table(folder)
    assert {path.name for path in paths} >= {"table.md", "table.csv", "table.png", "stability.png"}
    text = (folder / "table.md").read_text()
    assert "`a command`" in text
    assert f"jax {jax.__version__}" in text
    assert f"| residual, trainable Hermitian | `pad-hermitian` | {table['rows'][0]['mean']:.2%} (" in text
    assert table["differences"][0]["text"] in text
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [row["mean"] for row in table["rows"]]


def test_accuracy_against_steps_is_drawn_where_rows_differ_in_them(folder: Path, tmp_path: Path) -> None:
    gather(TABLE_OF_DIGITS, folder, "a command")
    table = read_json(folder / TABLE)
    (tmp_path / TABLE).write_text(json.dumps(table))
    assert "steps.png" not in {path.name for path in write_table(tmp_path)}
    first = table["rows"][0]
    rows = [*table["rows"], {**first, "name": "steps-1", "steps": 1}]
    (tmp_path / TABLE).write_text(json.dumps({**table, "rows": rows, "by_steps": ["steps-1", first["name"]]}))
    assert "steps.png" in {path.name for path in write_table(tmp_path)}


def test_what_a_gpu_took_is_said_to_be_a_gpus(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "table"
    shutil.copytree(folder, out)
    for seed in (0, 1, 2):
        (out / "pad-hermitian" / f"seed-{seed}" / TIME).write_text('{"core_seconds": 60.0, "gpu_seconds": 90.0}')
    gather(TABLE_OF_DIGITS, out, "a command")
    write_table(out)
    (line,) = [line for line in (out / "table.md").read_text().splitlines() if "| `pad-hermitian` |" in line]
    assert line.endswith("| 1.5 (GPU) |")
    assert read_json(out / TABLE)["rows"][1]["gpu_minutes"] is None


def test_a_replay_does_not_replace_a_table_that_was_measured(folder: Path) -> None:
    gather(TABLE_OF_DIGITS, folder, "a command")
    before = (folder / TABLE).read_bytes()
    with pytest.raises(RunError, match="a replay would replace it"):
        replay_zoo(read_table("table1-mnist"), folder, "a command")
    assert (folder / TABLE).read_bytes() == before


def test_a_table_without_bundles_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="`table` must be one of which the zoo has bundles, but was 'small'"):
        replay_zoo(TABLE_OF_DIGITS, tmp_path, "a command")
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_a_tables_own_recipe_names_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = '[[row]]\nname = "a"\ntitle = "A"\ngroup = "g"\nseeds = 3\n[row.recipe]\ndataset = "digits"\nseeed = 1\n'
    (tmp_path / "own.toml").write_text(row)
    monkeypatch.setattr("qdistill.experiments.tables.read.shipped", lambda _: tmp_path)
    with pytest.raises(ArgumentError, match=rf"In the recipe {re.escape(str(tmp_path / 'own.toml'))}: .*seeed"):
        read_table("own")


@pytest.mark.parametrize("name", table_names())
def test_the_tables_recipes_are_whole(name: str) -> None:
    table = read_table(name)
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert {row.group for row in table.rows} == set(table.groups)
    assert all(len(row.seeds) >= 3 for row in table.rows)


@pytest.mark.parametrize("name", table_names())
def test_what_a_reader_sees_of_a_recipe_is_the_recipe(name: str, tmp_path: Path) -> None:
    for row in read_table(name).rows:
        (tmp_path / "recipe.toml").write_text(row.file)
        assert read_recipe(tmp_path / "recipe.toml") == row.recipe, row.name


def test_a_row_alone_is_distilled_with_options_of_its_own() -> None:
    row = read_table("table1-mnist").row("own-images").recipe
    assert row.inner.own_examples
    assert (row.outer.iterations, row.outer.batch) == (24_000, 128)
    assert parse_new(["table1-mnist/own-images"]).recipe == row
    changed = parse_new(["--out", "somewhere", "table1-mnist/own-images", "--seed", "7"]).recipe
    assert changed == dataclasses.replace(row, seed=7)
    with pytest.raises(ArgumentError, match="qdistill table table1-mnist --rows full-dense"):
        parse_new(["table1-mnist/full-dense"])
    with pytest.raises(ArgumentError, match="pad-hermitain"):
        parse_new(["table1-mnist/pad-hermitain"])


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_the_paper_s_tables_are_of_one_dataset(dataset: str) -> None:
    table = read_table(f"table1-{dataset}")
    assert {row.recipe.dataset for row in table.rows} == {dataset}
    assert all(table.row(d.minuend) and table.row(d.subtrahend) for d in table.differences)
    steps = [table.row(name).recipe.inner.steps for name in table.by_steps]
    assert steps[:2] == [1, 3]
    assert sorted(set(steps)) == steps


@pytest.mark.skipif("QDISTILL_DATA_DIR" not in os.environ, reason="needs real MNIST in QDISTILL_DATA_DIR")
def test_the_classical_weights_of_paired_rows_start_alike() -> None:
    rows = {row.name: row.recipe for row in read_table("table1-mnist").rows}
    from qdistill.data import source, split
    from qdistill.models import named_weights

    splits = split(source("mnist").load(), n_validation=5000)
    first = named_weights(make_distiller(rows["pad-hermitian"], splits).model)
    for name in ("pad-fixed_hermitian", "pad-pauli_z", "removed", "frozen", "dense"):
        other = named_weights(make_distiller(rows[name], splits).model)
        for array in ("features.c1.kernel", "features.f2.weight", "f3.weight"):
            assert (first[array] == other[array]).all()


def test_a_recipe_file_is_the_datasets_default_with_changes(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('dataset = "mnist"\n[model]\narchitecture = "lenet"\nwidth = 60\n[outer]\nbatch = 8\n')
    recipe = read_recipe(path)
    assert (recipe.model.width, recipe.outer.batch, recipe.outer.iterations) == (60, 8, 8000)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset = 3 4", "must be a TOML file"),
        ("[outer]\nbatch = 8", "dataset"),
        ('dataset = "mnist"\n[outer]\nbath = 8', "bath"),
        ('dataset = "mnist"\n[outer]\nbatch = 0', "`outer.batch` must be at least 1"),
        ('dataset = "mnist"\n[outr]\nbatch = 1', "outr"),
        ('dataset = "mnist"\n[model]\narchitecture = "lenett"', "Did you mean 'lenet'"),
        ('dataset = "mnist"\n[model]\narchitecture = {}', "`model.architecture` must be a string, but was {}"),
        ('dataset = "mnist"\n[model]\narchitecture = []', r"`model.architecture` must be a string, but was \[\]"),
    ],
)
def test_bad_recipe_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        read_recipe(path)


def test_a_recipe_file_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.toml"
    path.write_text('dataset = "digits"\nn_validation = 100\n[model]\nn_qubits = 2\nn_layers = 1\n[inner]\nsteps = 2\n')
    options = ["--outer.iterations", "2", "--outer.batch", "8", "--no-compilation-cache"]
    assert main(["distill", str(path), *options, "--out", str(tmp_path / "run")]) == 0
    recipe = Recipe.from_json(read_json(tmp_path / "run" / "recipe.json"))
    assert (recipe.inner.steps, recipe.outer.iterations, recipe.model.n_qubits) == (2, 2, 2)  # type: ignore[union-attr]
    assert "Distilled digits" in capsys.readouterr().out


def test_the_rows_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "table1", "--dataset", "mnist", "--list"]) == 0
    out = capsys.readouterr().out
    assert "pad-hermitian" in out
    rows = read_table("table1-mnist").rows
    assert len(out.splitlines()) == len(rows) + len({row.group for row in rows})
    assert main(["paper", "table1", "--list", "--rows", "lenet"]) == 2
    assert "`rows` must not be given together with `list`" in capsys.readouterr().err


@pytest.mark.skipif("QDISTILL_DATA_DIR" not in os.environ, reason="needs real MNIST in QDISTILL_DATA_DIR")
def test_the_zoos_rows_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "table1", "--from-zoo", "--out", str(tmp_path), "--no-compilation-cache"]) == 0
    table = json.loads((tmp_path / TABLE).read_text())
    assert table["rows"]
    assert table["note"] in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "steps.png").exists()
    for row in table["rows"]:
        assert row["mean"] == pytest.approx(row["recorded"], abs=2e-4)
        assert (shipped("zoo") / f"{row['bundle']}.safetensors").exists()
    printed = capsys.readouterr()
    assert f"    {row['mean']:.2%}, 1 of 1 seed, recorded {row['recorded']:.2%}" in printed.out
    assert table["note"] in printed.out
    assert f"{row['bundle']}: {row['mean']:.2%}, recorded {row['recorded']:.2%}" in printed.err


def test_circuits_agree_with_the_model(folder: Path) -> None:
    from qdistill.distill.bundle import DistilledDataset

    bundle = DistilledDataset.load(folder / "pad-hermitian" / "seed-0" / BUNDLE)
    table = gather(TABLE_OF_DIGITS, folder, "")
    assert table["rows"][0]["circuits"] == training_circuits(
        bundle.initial_model(), bundle.input_shape, bundle.data.schedule.size
    )


OLDER = ("97.19", "96.02", "98.36")
"""Of the recipe that the zoo's `mnist-10-qlenet` is by, which is in no table."""


@pytest.mark.parametrize(("document", "numbers"), [("README.md", 4), ("docs/results.md", 10)])
def test_what_is_said_of_the_tables_is_what_they_hold(document: str, numbers: int) -> None:
    root = Path(__file__).parents[2]
    text = " ".join((root / document).read_text().split())
    tables = [read_json(path) for path in (root / "results").glob(f"*/{TABLE}")]
    means = {OLDER, *(_in_percent("{:.2f}", row) for table in tables for row in table["rows"])}
    gains = {_in_percent("{:+.1f}", difference) for table in tables for difference in table["differences"]}
    said = re.findall(r"(\d\d\.\d\d) %(?:,| \() ?(\d\d\.\d\d) to (\d\d\.\d\d)", text)
    compared = re.findall(r"\(([+-]\d\.\d)(?: points)?, (?:95 % interval )?([+-]\d\.\d) to ([+-]\d\.\d)", text)
    assert len(said) >= numbers
    assert compared or document == "README.md"
    assert set(said) <= means
    assert set(compared) <= gains


def _in_percent(form: str, entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(form.format(100 * value) for value in (entry["mean"], *(entry["interval"] or ())))
