"""`qdistill report` and `qdistill diagnose`, called in this process."""

import dataclasses
import json
import math
import os
import shlex

import pytest

from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.report import command_of
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.recipe import Recipe
from qdistill.lock import hold
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture

from .distill.samples import random_bundle

RECIPES = [
    default_recipe("digits"),
    default_recipe("cifar10"),
    dataclasses.replace(default_recipe("mnist"), model=LeNetArchitecture(), seed=7),
    dataclasses.replace(default_recipe("mnist"), model=LeNetArchitecture(width=32)),
    dataclasses.replace(
        default_recipe("cifar10"),
        model=QuantumLeNetArchitecture(observable="fixed_hermitian", skip="none", angle_range=0.1, n_layers=2),
        compression=Compression(per_class=20, start="real"),
        inner=InnerLoop(steps=20, own_examples=False, step_sizes="shared"),
    ),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_the_command_of_a_recipe_gives_the_recipe(recipe):
    program, command, *arguments = shlex.split(command_of(recipe.to_json()))
    assert (program, command) == ("qdistill", "distill")
    given = parse_new(arguments).recipe
    assert {name: getattr(given, name) for name in Recipe.__dataclass_fields__} == {
        name: getattr(recipe, name) for name in Recipe.__dataclass_fields__
    }


def test_the_command_of_a_default_recipe_is_short():
    assert command_of(default_recipe("mnist").to_json()) == "qdistill distill mnist"


def test_a_recipe_of_another_version_is_an_error():
    with pytest.raises(ArgumentError, match="recipe"):
        command_of({"dataset": "mnist", "colour": "blue"})


def test_report_writes_a_page_and_says_where(tmp_path, capsys):
    (tmp_path / "recipe.json").write_text(json.dumps(default_recipe("digits").to_json()))
    (tmp_path / "provenance.json").write_text("{}")
    assert main(["report", str(tmp_path), "--no-compilation-cache"]) == 0
    assert capsys.readouterr().out == f"Report written to {tmp_path / 'report.html'}\n"
    assert "qdistill distill digits" in (tmp_path / "report.html").read_text()
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "other.html"), "--no-compilation-cache"]) == 0
    assert (tmp_path / "other.html").read_text() == (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["report", "{}"], 1, "There is nothing to report"),
        (["report", "{}/gone"], 1, "There is nothing to report"),
        (["report", "{}", "--out", "page.pdf"], 2, "must end in .html"),
        (["report", "{}", "--data-dir", "{}/gone"], 2, "`data_dir` must be a folder, but there is none at"),
        (["diagnose", "--out", "{}", "--dataset", "digit"], 2, "Did you mean 'digits'?"),
        (["diagnose", "--out", "{}", "--inputs", "0"], 2, "`inputs` must be from 1 to"),
        (["diagnose", "--out", "{}", "--draws", "2"], 2, "`draws` must be at least 3"),
        (["diagnose", "--out", "{}", "--qubits", "0"], 2, "`qubits` must be at least 1"),
        (["diagnose", "--out", "{}", "--seed", "-1"], 2, "`seed` must be from 0 to"),
    ],
)
def test_mistakes_are_named(arguments, code, complaint, tmp_path, capsys):
    assert main([argument.format(tmp_path) for argument in arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "bundle.safetensors"
    random_bundle(QuantumLeNetArchitecture(n_qubits=2, n_layers=1), InnerLoop(steps=1)).save(path)
    return path


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["report", "{bundle}", "--out", "{folder}/gone/page.html"], "page.html: No such file or directory"),
        (["report", "{bundle}", "--out", "{folder}/folder.html"], "folder.html: Is a directory"),
        (["compress", "{bundle}", "{folder}/gone/small"], "small: No such file or directory"),
        (["compress", "{bundle}", "{bundle}/small"], "small: Not a directory"),
        (["diagnose", "--out", "{bundle}/folder"], "Cannot create the folder"),
        (["cost", "{bundle}", "--measure"], "full-bundle.json: Is a directory"),
    ],
)
def test_what_cannot_be_written_is_found_before_it_is_computed(arguments, named, saved, tmp_path, capsys, monkeypatch):
    def computed(*_, **__):
        raise AssertionError("computed in vain")

    for name in ("report.run_page.gather", "distill.bundle.DistilledDataset.train", "evaluate.gradients.diagnose"):
        monkeypatch.setattr(
            f"qdistill.{name}", computed if "diagnose" not in name else lambda *_, **__: lazily(computed)
        )
    monkeypatch.setattr("qdistill.experiments.full_data.measure_full_training", computed)
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "full-bundle.json").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main([argument.format(bundle=saved, folder=tmp_path) for argument in arguments]) == 1
    assert named in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before


def lazily(function):
    """A generator, whose body runs when it is first asked for something."""
    yield function()


@pytest.mark.parametrize("command", [["compress", "{bundle}", "{folder}/small"], ["cost", "{bundle}", "--measure"]])
def test_a_file_that_another_process_computes_is_not_computed_twice(command, saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("qdistill.distill.bundle.DistilledDataset.train", None)
    monkeypatch.setattr("qdistill.experiments.full_data.measure_full_training", None)
    file = tmp_path / ("small" if command[0] == "compress" else "full-bundle.json")
    with hold(tmp_path / f".{file.name}.lock", file):
        assert main([argument.format(bundle=saved, folder=tmp_path) for argument in command]) == 1
    assert f"{file} is being written to by process {os.getpid()} on" in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.safetensors"]


def test_diagnose_writes_the_numbers_and_a_figure(tmp_path, capsys):
    folder = tmp_path / "diagnosis"
    sizes = ["--qubits", "1", "2", "--layers", "1", "--draws", "3", "--inputs", "2"]
    assert main(["diagnose", *sizes, "--out", str(folder)]) == 0
    out, err = capsys.readouterr()
    written = json.loads((folder / "diagnosis.json").read_text())
    assert written["settings"] == {
        "dataset": "digits",
        "transforms": ["standardise"],
        "draws": 3,
        "inputs": 2,
        "seed": 0,
        "qubits": [1, 2],
        "layers": [1],
        "angle_range": 2 * math.pi,
        "coefficient_scale": 1.0,
    }
    assert len(written["points"]) == 8
    assert len(written["decay_per_qubit"]) == 4
    assert written["same_at_start"] == {"fixed_hermitian": "hermitian"}
    assert (folder / "diagnosis.png").read_bytes().startswith(b"\x89PNG")
    assert "Hermitian, trained or fixed, no residual" in out
    assert "Variances over the draws" in out
    assert f"x {written['decay_per_qubit'][0]['weights']:.2f}" in out
    assert "2/2: 2 qubits, 1 layers" in err
    assert main(["diagnose", *sizes, "--out", str(folder)]) == 1
    assert "holds a diagnosis already" in capsys.readouterr().err
