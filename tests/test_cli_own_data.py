"""Files and folders of the user's own on the command line: distilled, found again, refused where they are others."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.report import command_of
from qdistill.data import DATASETS, DataFile, Vectors
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, DataError
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe, recipe_of_run
from qdistill.models import DataReuploading, QuantumLeNetArchitecture

SHORT = [
    *("--model.n-layers", "1", "--inner.steps", "2", "--outer.batch", "16", "--n-validation", "6"),
    *("--outer.iterations", "4", "--outer.validate-every", "2"),
]
"""A run of a second or so after its compilation."""


def write_table(path: Path, shift: float = 0.0) -> Path:
    """Two kinds of points in a plane, with a column of names that is no number."""
    rng = np.random.default_rng(0)
    rows = ["name,x,y,kind"]
    for number in range(40):
        kind = number % 2
        x, y = rng.normal(size=2) + 3 * kind + shift
        rows.append(f"point {number},{x:.4f},{y:.4f},{('near', 'far')[kind]}")
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


OPTIONS = ["--drop", "name", "--label-column", "kind", "--classes", "near", "far", "--test-size", "10"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a table and a run on it that went to its end; only to be read."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_table(Path("points.csv"))
        assert main(["distill", "points.csv", *OPTIONS, *SHORT, "--out", "run"]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys):
    out, err = capsys.readouterr()
    return out, " ".join(err.replace("│", " ").split())


def test_the_recipe_says_how_the_file_is_read(finished):
    recipe = recipe_of_run(finished / "run")

    assert isinstance(recipe.model, DataReuploading)
    expected = DataFile("points.csv", "points", "kind", ("name",), classes=("near", "far"), test_size=10.0)
    found = {"class_names": ("near", "far"), "input_shape": (2,), "n_train": 30}
    assert recipe.data == dataclasses.replace(expected, **found)
    assert recipe.dataset == "points"
    bundle = DistilledDataset.load(finished / "run" / "bundle.safetensors")
    assert (bundle.dataset, bundle.class_names, bundle.input_shape) == ("points", ("near", "far"), (2,))
    assert (bundle.record.n_test, bundle.record.n_validation) == (10, 6)


def test_a_replay_finds_the_file_again(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)

    assert main(["evaluate", "run"]) == 0
    out, err = said(capsys)
    assert "on the test set of points" in out
    assert err == ""


def test_a_replay_elsewhere_says_where_it_looked(finished, here, capsys):
    run = str(finished / "run")
    assert main(["evaluate", run]) == 1
    assert f"points.csv: is not there; it was sought at {here / 'points.csv'}" in said(capsys)[1]
    assert main(["evaluate", run, "--data-dir", str(finished)]) == 0
    # Elsewhere there is another file of the name.
    capsys.readouterr()
    write_table(Path("points.csv"), shift=0.5)
    assert main(["evaluate", run]) == 0
    assert "This is not the data that the bundle was made from" in said(capsys)[1]


def test_a_run_does_not_go_on_with_other_data(finished, here, capsys):
    write_table(Path("points.csv"), shift=0.5)

    assert main(["distill", "--resume", str(finished / "run"), "--iterations", "6"]) == 1
    assert "inputs or labels of its dataset are others than those it began with" in said(capsys)[1]


def test_the_report_needs_no_file_but_for_the_confusion(finished, here, capsys):
    assert main(["report", str(finished / "run"), "--out", "page.html"]) == 0

    page = Path("page.html").read_text(encoding="utf-8")
    assert "The confusion matrix needs the test set of points, which is not at hand" in page
    assert "qdistill distill points.csv --model.n-layers 1" in page
    assert "qdistill data points" not in page


def test_the_command_in_a_report_repeats_the_recipe(finished, monkeypatch):
    monkeypatch.chdir(finished)
    plain = json.loads(Path("run/recipe.json").read_text())
    words = shlex.split(command_of(plain))

    assert words[:3] == ["qdistill", "distill", "points.csv"]
    assert parse_new(words[2:]).recipe == Recipe.from_json(plain)


def test_data_says_what_is_in_a_file(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)

    assert main(["data", "points.csv", *OPTIONS]) == 0
    out, _ = said(capsys)
    for text in ("points\n", "2 features", "30, 15 of each class", "10, 5 of each class", "near, far", "points.csv"):
        assert text in out
    recorded = DistilledDataset.load("run/bundle.safetensors").data_digest
    assert f"digest     {recorded}\n" in out


def test_arrays_and_folders_are_datasets_too(here, capsys):
    images = np.arange(12 * 16, dtype=np.uint8).reshape(12, 4, 4)
    np.savez("pictures.npz", x=images, y=np.arange(12) % 2 * 2 - 1)
    for number, image in enumerate(images):
        Path("leaves", "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(Path("leaves", "ab"[number % 2], f"{number:02}.png"))

    assert main(["data", "pictures.npz", "--test-size", "4"]) == 0
    assert main(["data", "leaves", "--test-size", "4"]) == 0
    assert main(["data", "leaves/", "--test-size", "4", "--name", "others"]) == 0
    out, err = said(capsys)
    assert (out.count("4 x 4, grey, uint8"), out.count("8, 4 of each class")) == (3, 3)
    for text in ("pictures\n", "leaves\n", "others\n", "classes    -1, 1\n", "classes    a, b\n"):
        assert text in out
    assert err == ""


def test_what_a_dataset_of_ones_own_is_distilled_for_by_default(here):
    np.savez("vectors.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    np.savez("pictures.npz", x=np.zeros((40, 28, 28), np.uint8) + np.arange(28, dtype=np.uint8), y=np.arange(40) % 2)

    vectors, pictures = (DataFile(f"{name}.npz").read() for name in ("vectors", "pictures"))
    assert isinstance(default_recipe("vectors", vectors).model, DataReuploading)
    assert isinstance(default_recipe("pictures", pictures).model, QuantumLeNetArchitecture)
    assert default_recipe("vectors", vectors).n_validation == 6
    assert default_recipe("vectors", DataFile("vectors.npz")) == default_recipe("vectors", vectors)


def test_arrays_that_a_program_enters_have_a_recipe_of_their_size(monkeypatch):
    x = np.random.default_rng(0).normal(size=(40, 3))
    monkeypatch.setitem(DATASETS.data, "mine", Vectors(x, np.arange(40) % 2, name="mine"))

    recipe = default_recipe("mine")

    assert isinstance(recipe.model, DataReuploading)
    assert recipe.n_validation == 6


RECIPE = """
n_validation = 5

[data]
path = "points.csv"
drop = ["name"]
test_size = 8

[inner]
steps = 3
"""


def test_a_recipe_file_names_a_file_from_where_it_lies(here, finished):
    (here / "recipes").mkdir()
    write_table(here / "recipes" / "points.csv")
    (here / "recipes" / "own.toml").write_text(RECIPE)

    recipe = read_recipe(Path("recipes/own.toml"))

    assert recipe.data is not None
    assert (recipe.dataset, recipe.data.path) == ("points", "recipes/points.csv")
    assert recipe.data.class_names == ("far", "near")
    assert (recipe.n_validation, recipe.inner.steps, recipe.data.n_train) == (5, 3, 32)
    assert recipe.splits().input_shape == (2,)
    (here / "recipes" / "points.csv").unlink()
    with pytest.raises(DataError, match="is not there"):
        read_recipe(Path("recipes/own.toml"))
    assert read_recipe(Path("recipes/own.toml"), finished).data == recipe.data


def test_diagnose_finds_the_file_of_a_recipe_in_its_data_dir(here, finished, capsys):
    (here / "own.toml").write_text(RECIPE)

    assert main(["diagnose", "own.toml", "--data-dir", str(finished), "--inputs", "0"]) == 2
    assert "`inputs` must be from 1 to 32, but was 0" in said(capsys)[1]


def test_options_change_what_a_recipe_file_says(here):
    write_table(here / "points.csv")
    (here / "own.toml").write_text(RECIPE)

    recipe = parse_new(["own.toml", "--test-size", "20", "--name", "mine", "--seed", "3"]).recipe

    assert recipe.data is not None
    assert (recipe.dataset, recipe.data.n_train, recipe.data.drop) == ("mine", 20, ("name",))
    assert (recipe.n_validation, recipe.inner.steps, recipe.seed) == (5, 3, 3)


def test_the_recipe_of_a_file(here):
    write_table(here / "points.csv")
    file = DataFile("points.csv", drop=("name",))

    recipe = Recipe("points", data=file)

    assert recipe.data == file.read()
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(ArgumentError, match="`dataset` must be 'points', the name of `data`, but was 'digits'"):
        Recipe("digits", data=file)
    plain = recipe.to_json()
    del plain["data"]["drop"]
    with pytest.raises(ArgumentError, match=r"`data\.drop` must be given, but is missing"):
        Recipe.from_json(plain)


@pytest.mark.parametrize("command", ["distill", "data"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["points.csv"], "must have a number in column 'name', but it is 'point 0'"),
        (["points.csv", "--drop", "names"], "`drop` must be one of .* Did you mean 'name'"),
        (["points.csv", "--label-column", "class"], "`label_column` must be one of kind, name, x, y, but was 'class'"),
        (
            ["points.csv", "--drop", "name", "--classes", "nearer", "far"],
            "`classes` must be .* Did you mean 'near'",
        ),
        (
            ["points.csv", "--drop", "name", "--name", "moons"],
            "`name` must stand for one dataset, but 'moons' is the",
        ),
        (["iris.csv", "--drop", "name"], "`name` must stand for one dataset, but 'iris' is the name of another, Iris"),
        (
            ["--name", "moons", "points.csv", "--drop", "name"],
            "`name` must stand for one dataset, but 'moons' is the",
        ),
        (["nothing.csv"], "nothing.csv: is not there"),
        (["empty"], "must hold one folder of images for each class, but is empty"),
        (["irs"], "`dataset` must be a known name, but was 'irs'. Did you mean 'iris'.* by its file or folder"),
        (["iris", "--label-column", "kind"], "--label-column"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(command, arguments, message, here, capsys):
    write_table(here / "points.csv")
    write_table(here / "iris.csv")
    (here / "empty").mkdir()
    before = sorted(here.iterdir())

    assert main([command, *arguments]) in (1, 2)

    _, err = said(capsys)
    assert re.search(message, err), err
    assert "bug" not in err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--label-column", "wine", "points.csv"],
        ["--data.label-column", "wine", "points.csv"],
        ["--label_column", "wine", "points.csv"],
        ["--name", "sepals", "--label-column", "wine", "points.csv"],
        ["--label-column", "wine", "--drop", "mnist", "digits", "points.csv"],
        ["--drop", "mnist", "digits", "--label-column=wine", "./points.csv"],
        ["--classes", "iris", "digits", "--label-column", "wine", "points.csv"],
        ["--label-column", "wine", "--classes", "digits", "iris", "points.csv"],
    ],
)
@pytest.mark.parametrize("command", ["data", "distill"])
def test_a_column_or_a_class_may_have_the_name_of_a_dataset(command, arguments, here, capsys):
    rows = [f"{number % 7},{number % 3},{number % 5},{('digits', 'iris')[number % 2]}" for number in range(20)]
    Path("points.csv").write_text("\n".join(["mnist,digits,x,wine", *rows]), encoding="utf-8")
    if command == "data":
        assert main(["data", *arguments]) == 0, capsys.readouterr().err
        assert re.search("classes +(digits, iris|iris, digits)\n", capsys.readouterr().out)
    else:
        data = parse_new(arguments).recipe.data
        assert data is not None
        assert Path(data.path) == Path("points.csv")
        assert data.label_column == "wine"
        assert sorted(data.class_names) == ["digits", "iris"]


def test_a_built_in_name_is_not_the_folder_here(here, capsys):
    Path("digits").mkdir()

    assert main(["data", "digits"]) == 0
    assert "Note: digits is the dataset of that name, not the file or folder here" in said(capsys)[1]
    assert main(["data", "./digits"]) == 2
    assert "'digits' is the name of another, Digits. Give ./digits another name" in said(capsys)[1]


def test_a_run_is_no_dataset(finished, here, capsys):
    assert main(["distill", str(finished / "run")]) == 2
    assert "--resume" in said(capsys)[1]


def test_the_help_has_the_options_of_a_file(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)

    assert main(["distill", "points.csv", "--drop", "name", "--help"]) == 0
    out = capsys.readouterr().out
    for option in ("--label-column", "--drop", "--odd-columns", "--classes", "--test-size", "--split-seed", "--name"):
        assert option in out
    assert "--data.path" not in out
    assert main(["distill", "digits", "--help"]) == 0
    assert "--label-column" not in capsys.readouterr().out
