"""A report of a run with every kind of network, and a command that repeats it."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shlex

import jax.numpy as jnp
import pytest

from qdistill import models
from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.report import command_of
from qdistill.distill.bundle import DistilledDataset
from qdistill.experiments.defaults import default_recipe, with_model
from qdistill.experiments.recipe import Recipe
from qdistill.quantum import Circuit
from qdistill.report.page import write_report
from qdistill.report.repeat import commands_of

from ..distill.samples import random_weights
from .architectures import ARCHITECTURES, CIRCUIT, PLUGINS
from .runs import make_bundle, write_run

IN_PYTHON = ("plugin, a text that no option can say", "plugin, a table")
"""Networks with a value that is no option."""

WITH_A_FILE = {
    "a circuit of the user's own": "ansatz.json",
    "a circuit, and other options": "ansatz.json",
    "a circuit alone": "circuit.json",
    "plugin, a circuit": "circuit.json",
    "plugin, no default": "circuit.json",
}
"""Networks with a circuit that is no default, and the file that a command names."""


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for kind in PLUGINS:
        monkeypatch.setitem(models.ARCHITECTURES, kind.__name__, kind)


def recipe_of(name):
    return dataclasses.replace(with_model(default_recipe("digits"), ARCHITECTURES[name]), seed=3)


def bundle_of(name, **changes):
    architecture = ARCHITECTURES[name]
    weights = random_weights(architecture, (28, 28, 1), 10, seed=0)
    return make_bundle(architecture=architecture, initial_weights=weights, recipe=recipe_of(name).to_json(), **changes)


def run_of(folder, bundle):
    write_run(folder, bundle)
    (folder / "recipe.json").write_text(json.dumps(bundle.recipe))
    return folder


def test_every_registered_architecture_is_in_the_table():
    assert {kind.__name__ for kind in map(type, ARCHITECTURES.values())} == set(models.ARCHITECTURES)


@pytest.mark.parametrize(
    "name",
    ["a circuit of the user's own", "pairs, a quanvolution", "removed", "classical", "plugin", "plugin, no circuit"],
)
def test_a_run_of_every_network_has_a_page(name, tmp_path, capsys):
    bundle = bundle_of(name)
    folder = run_of(tmp_path / "run", bundle)
    assert main(["report", str(folder), "--no-compilation-cache"]) == 0, capsys.readouterr().err
    page = (folder / "report.html").read_text()
    assert html.escape(command_of(bundle.recipe), quote=False).replace("'", "&#39;").replace('"', "&#34;") in page
    assert (".json, a circuit of the recipe" in page) == (name in WITH_A_FILE)
    assert page.count('class="missing"') == 0


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in IN_PYTHON])
def test_the_command_of_a_page_gives_the_recipe(name, tmp_path, monkeypatch):
    recipe = recipe_of(name)
    monkeypatch.chdir(tmp_path)
    for file in WITH_A_FILE.values():
        circuit = getattr(ARCHITECTURES[name], file.removesuffix(".json"), None)
        if isinstance(circuit, Circuit):
            (tmp_path / file).write_text(json.dumps(circuit.to_json()))
    program, command, *arguments = shlex.split(command_of(recipe.to_json()))
    assert (program, command) == ("qdistill", "distill")
    assert Recipe.from_json(parse_new(arguments).recipe.to_json()) == recipe


@pytest.mark.parametrize("name", IN_PYTHON)
@pytest.mark.parametrize("seeds", [(), (3, 5)])
def test_what_no_option_can_say_is_repeated_in_python(name, seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bundle_of(name).save(tmp_path / "bundle.safetensors")
    called = []
    monkeypatch.setattr("qdistill.run", lambda *given: called.append(given), raising=False)
    monkeypatch.setattr("qdistill.run_seeds", lambda *given: called.append(given), raising=False)
    exec(command_of(recipe_of(name).to_json(), seeds), {})
    expected = dataclasses.replace(recipe_of(name), seed=3)
    assert called == [(expected, list(seeds), "again") if seeds else (expected, "again")]


def test_seeds_of_a_circuit_of_the_user_s_own_have_a_page(tmp_path):
    bundle = bundle_of("a circuit of the user's own")
    for seed in (3, 5):
        run_of(tmp_path / f"seed-{seed}", bundle)
    (tmp_path / "seeds.json").write_text("[3, 5]")
    page = write_report(tmp_path, command_of=command_of).read_text()
    assert "--model.ansatz ansatz.json --seeds 3,5" in page


def test_the_circuit_that_a_page_shows_is_the_recipe_s(tmp_path):
    folder = run_of(tmp_path / "run", bundle_of("a circuit of the user's own"))
    page = write_report(folder, command_of=command_of).read_text()
    (shown,) = re.findall(r"<code>(\{.*?\})</code>", page, re.DOTALL)
    assert Circuit.from_json(json.loads(html.unescape(shown))) == CIRCUIT
    assert "a circuit of 3 operations on 2 wires" in page


def test_a_training_that_is_not_finite_is_said_in_one_sentence(tmp_path):
    bundle = bundle_of("the package's network")
    data = dataclasses.replace(bundle.data, step_sizes=jnp.full_like(bundle.data.step_sizes, 1e30))
    page = write_report(
        run_of(tmp_path / "run", dataclasses.replace(bundle, data=data)), command_of=command_of
    ).read_text()
    assert page.count('class="missing"') == 2
    assert len(re.findall(r"not finite|no longer finite", page)) == 2
    assert not re.search(r">\s*[-\u2212]?(nan|inf)\b", page)
    assert "circuits." in page


def test_no_name_ends_the_page_or_the_report(tmp_path):
    names = ["<script>alert(1)</script>", "\x00\x1b[31m", "two\nlines", "x" * 5000, "\u202eabc", "{{ 1 }}", "猫"]
    bundle = bundle_of("the package's network", class_names=(*names, "a", "b", "c"), provenance={"\x00": ["\x1b"]})
    page = write_report(run_of(tmp_path / "run", bundle), command_of=command_of).read_text()
    assert "<script" not in page
    assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", page)
    assert "\\x00\\x1b[31m" in page
    assert "{{ 1 }}" in page
    assert "x" * 600 not in page


def test_a_huge_provenance_is_counted_and_not_shown(tmp_path):
    bundle = bundle_of("the package's network", provenance={f"key {k}": {"a": k} for k in range(20_000)})
    bundle.save(tmp_path / "b.safetensors")
    page = write_report(tmp_path / "b.safetensors", command_of=command_of).read_text()
    assert "and 19,800 more" in page
    assert page.count("<tr>") < 1000
    assert DistilledDataset.load(tmp_path / "b.safetensors").provenance == bundle.provenance


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [{"iteration": 4, "name": "outer.iterations", "before": 6, "after": 9}],
            ["first 6", "qdistill distill --resume RUN --iterations 9  # from iteration 4"],
        ),
        (None, ["first 9"]),
        ("foreign", ["first 9"]),
        ([{"iteration": 4}], ["first 9"]),
    ],
)
def test_a_run_that_went_on_to_more_iterations_says_so(changes, expected):
    recipe = {"outer": {"iterations": 9}}
    shown = commands_of(lambda r: f"first {r['outer']['iterations']}", recipe, {"changes": changes}, None)
    assert shown.splitlines() == expected
    assert recipe == {"outer": {"iterations": 9}}
