"""The command line, called in this process: what it does, what it prints where, and how it fails."""

import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import qdistill
from qdistill.backends.devices import device
from qdistill.backends.qiskit import to_qiskit
from qdistill.cli import COMMANDS, main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.noisy import say_what_is_left_out
from qdistill.data import DATASETS, MNIST, Images, source
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record
from qdistill.distill.zoo import zoo_path
from qdistill.errors import DivergenceError
from qdistill.evaluate.noisy import noisy_curve
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.progress import ProgressDisplay
from qdistill.experiments.recipe import Device, Recipe
from qdistill.models import DressedCircuit, LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import Circuit, DeviceModel, Operation, quantum_layers, weight

from .distill.samples import random_bundle

pytestmark = pytest.mark.usefixtures("shared_programs")

SHORT = [
    *("--architecture", "dressed", "--model.n-qubits", "2", "--model.n-layers", "1"),
    *("--inner.steps", "2", "--compression.start", "real", "--outer.batch", "32"),
    *("--outer.iterations", "6", "--outer.validate-every", "2", "--n-validation", "100"),
]
"""A run of a second or so after its compilation."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of this module's own, which later runs of the module take their compiled programs from."""
    folder = tmp_path_factory.mktemp("cache")
    before = jax.config.jax_compilation_cache_dir
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        patch.delenv("QDISTILL_DATA_DIR", raising=False)
        # What other tests have compiled before fixed for this process that there is no cache.
        compilation_cache.reset_cache()
        yield folder
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a short run that went to its end; only to be read."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["distill", "digits", *SHORT, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def fails(capsys):
    """Call the command line, and return the message of its one clean failure."""

    def call(*arguments, code):
        assert main([str(argument) for argument in arguments]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        return " ".join(err.replace("│", " ").split())

    return call


def interrupt_at(monkeypatch, iteration):
    iterated = ProgressDisplay.iterated

    def interrupted(self, now, loss):
        iterated(self, now, loss)
        if now == iteration:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressDisplay, "iterated", interrupted)


# --- help and version


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(arguments, capsys):
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for command in COMMANDS:
        assert f"  {command} " in out


def test_no_command_gives_the_help_and_fails(capsys):
    assert main([]) == 2
    assert "usage: qdistill COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"usage: qdistill {command}" in out
    assert err == ""


def test_the_ansatz_may_be_a_file_with_a_circuit(tmp_path, fails):
    circuit = Circuit(2, (Operation("CRX", (0, 1), (weight(0),)),))
    file = tmp_path / "circuit.json"
    file.write_text(json.dumps(circuit.to_json()))
    # The numbers of qubits and layers follow the circuit, unless they are given.
    recipe = parse_new(["digits", "--model.ansatz", str(file), "--out", str(tmp_path / "run")]).recipe
    assert recipe.model == QuantumLeNetArchitecture(ansatz=circuit, n_qubits=2, n_layers=1)
    assert type(recipe.model) is QuantumLeNetArchitecture
    given = ["--model.ansatz", file, "--model.n-qubits", "3"]
    assert "`n_qubits` must be 2, the wires of the circuit" in fails("distill", "digits", *given, code=2)
    file.write_text("{}")
    for name, why in ((file, "holds none"), (tmp_path / "nowhere.json", "No such file")):
        message = " ".join(fails("distill", "digits", "--model.ansatz", name, code=2).replace("│", " ").split())
        assert "--model.ansatz" in message
        assert why in message
        assert "typing" not in message
    assert "basic_entangling" in fails("distill", "digits", "--model.ansatz", "basic", code=2)


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_help_shows_the_defaults_of_the_dataset(dataset, capsys):
    assert main(["distill", dataset, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    recipe = default_recipe(dataset)
    assert f"--outer.iterations INT (default: {recipe.outer.iterations})" in shown
    assert f"--compression.per-class INT (default: {recipe.compression.per_class})" in shown
    assert f"--n-validation INT (default: {recipe.n_validation})" in shown


def test_help_shows_the_options_of_the_architecture(capsys):
    assert main(["distill", "digits", "--architecture=lenet", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--model.width" in out
    assert "--model.n-qubits" not in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qdistill {qdistill.__version__}\n"


def test_the_module_runs_as_a_program_and_loads_nothing_it_does_not_need():
    code = "import sys; sys.argv = ['qdistill', '--help']; import runpy\n"
    code += "try: runpy.run_module('qdistill', run_name='__main__')\nexcept SystemExit as stop: assert stop.code == 0\n"
    code += "print(*{'matplotlib', 'pooch', 'requests', 'sklearn'} & sys.modules.keys(), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: qdistill")
    assert done.stderr.split() == []


# --- distill


def test_a_run_leaves_everything_in_its_folder(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {
        *("bundle.safetensors", "checkpoints", "curves.png", "images.png", "metrics.jsonl"),
        *("provenance.json", "recipe.json", "scores.json", "time.json"),
    }


def test_the_options_are_the_recipe(finished):
    recipe = Recipe.from_json(json.loads((finished / "recipe.json").read_text()))
    default = default_recipe("digits")
    assert recipe == dataclasses.replace(
        default,
        model=DressedCircuit(n_qubits=2, n_layers=1),
        compression=dataclasses.replace(default.compression, start="real"),
        inner=dataclasses.replace(default.inner, steps=2),
        outer=dataclasses.replace(default.outer, batch=32, iterations=6, validate_every=2),
        n_validation=100,
    )


def test_results_go_to_stdout_and_progress_to_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # Options before the dataset.
    assert main(["distill", *SHORT, "digits"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "Distilled digits into 10 examples."
    assert "test accuracy" in lines[1]
    assert "(n = 500)" in lines[1]
    assert "validation accuracy" in lines[2]
    assert "(n = 100)" in lines[2]
    assert lines[-1] == f"Next: qdistill evaluate {Path('runs', 'digits-1')}"
    assert err.splitlines()[0] == "Distilling digits, 6 iterations; compiling..."
    assert err.splitlines()[-1] == "Finished at iteration 6 of 6."
    # The next free folder of the default name is another one.
    interrupt_at(monkeypatch, 1)
    assert main(["distill", "digits", *SHORT]) == 130
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits-1", "digits-2"]


def test_compiled_programs_are_kept(finished, cache):
    assert any(path.is_file() for path in (cache / "qdistill" / "xla").rglob("*"))


def test_an_interrupted_run_is_usable_and_resumes_to_the_same_bytes(finished, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert main(["distill", "digits", *SHORT, "--out", str(folder)]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == f"To go on: qdistill distill --resume {folder}"
    assert (folder / "images.png").exists()
    assert DistilledDataset.load(folder / "bundle.safetensors").record.test_accuracy is None
    assert main(["evaluate", str(folder)]) == 0
    assert "not measured" in capsys.readouterr().out

    assert main(["distill", "digits", "--resume", str(folder), "--no-compilation-cache"]) == 0
    assert "from iteration 2" in capsys.readouterr().err
    for name in ("bundle.safetensors", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_resuming_a_finished_run_changes_nothing(finished, capsys):
    before = (finished / "bundle.safetensors").read_bytes()
    assert main(["distill", f"--resume={finished}"]) == 0
    assert (finished / "bundle.safetensors").read_bytes() == before


def test_an_interruption_before_anything_is_written_leaves_nothing(tmp_path, monkeypatch, fails):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("qdistill.data.Digits.load", interrupted)
    for options in ([], ["--out", tmp_path / "run"]):
        assert fails("distill", "digits", *options, code=130) == "Stopped before anything was written."
    assert not list(tmp_path.iterdir())


def test_what_to_type_next_is_quoted_for_the_shell(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "my runs" / "it's one"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert main(["distill", "digits", *SHORT, "--out", str(folder)]) == 130
    go_on = capsys.readouterr().err.splitlines()[-1].removeprefix("To go on: ")
    assert shlex.split(go_on) == ["qdistill", "distill", "--resume", str(folder)]
    assert main([*shlex.split(go_on)[1:], "--iterations", "4"]) == 0
    out, err = capsys.readouterr()
    assert "Distilling digits, 4 iterations from iteration 2" in err
    assert shlex.split(out.splitlines()[-1].removeprefix("Next: ")) == ["qdistill", "evaluate", str(folder)]
    change = {"iteration": 2, "name": "outer.iterations", "before": 6, "after": 4}
    assert json.loads((folder / "provenance.json").read_text())["changes"] == [change]
    assert DistilledDataset.load(folder / "bundle.safetensors").provenance["changes"] == [change]


def test_the_folder_may_have_the_name_of_the_recipe_file(tmp_path, monkeypatch, fails):
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text('dataset = "digits"\n')
    asked = parse_new(["my.toml", "--out", "my.toml"])
    assert (asked.recipe.dataset, asked.folder) == ("digits", Path("my.toml"))
    assert parse_new(["--out", "my.toml", "my.toml"]).folder == Path("my.toml")
    assert "my.toml exists already" in fails("distill", "my.toml", "--out", "my.toml", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["my.toml"]


TOGETHER = """
import os, sys
os.environ["XDG_CACHE_HOME"] = sys.argv[1]
from qdistill.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_runs_that_start_together_do_not_mix(cache, tmp_path):
    def start(*arguments):
        command = [sys.executable, "-c", TOGETHER, str(cache), "distill", "digits", *SHORT, *map(str, arguments)]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    apart = [start("--seed", seed) for seed in (0, 1)]
    alike = [start("--seed", seed, "--out", "same") for seed in (2, 3)]
    told = [process.communicate() for process in (*apart, *alike)]
    assert [process.returncode for process in apart] == [0, 0], told
    found = {json.loads((tmp_path / "runs" / f"digits-{n}" / "recipe.json").read_text())["seed"] for n in (1, 2)}
    assert found == {0, 1}
    assert sorted(process.returncode for process in alike) == [0, 1], told
    ((won, (_, _)), (_, (_, refusal))) = sorted(zip(alike, told[2:], strict=True), key=lambda pair: pair[0].returncode)
    assert "same is being written to by process" in refusal or "same exists already" in refusal
    seed = json.loads((tmp_path / "same" / "scores.json").read_text())["seed"]
    assert seed == 2 + alike.index(won)
    for folder in (tmp_path / "runs" / "digits-1", tmp_path / "runs" / "digits-2", tmp_path / "same"):
        recipe, scores = (json.loads((folder / name).read_text()) for name in ("recipe.json", "scores.json"))
        bundle = DistilledDataset.load(folder / "bundle.safetensors")
        assert recipe["seed"] == scores["seed"] == bundle.recipe["seed"]
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_diverged_run_fails_and_leaves_its_pictures(finished, tmp_path, monkeypatch, fails):
    def diverge(recipe, folder, **_):
        folder.mkdir()
        for name in ("bundle.safetensors", "metrics.jsonl"):
            (folder / name).write_bytes((finished / name).read_bytes())
        raise DivergenceError("It was not finite.")

    monkeypatch.setattr("qdistill.experiments.run.run", diverge)
    assert fails("distill", "digits", "--out", tmp_path / "run", code=1) == "error: It was not finite."
    assert (tmp_path / "run" / "images.png").exists()
    assert (tmp_path / "run" / "curves.png").exists()


def test_seeds_run_side_by_side_and_resume(tmp_path, monkeypatch, capsys, fails):
    folder = tmp_path / "set"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        assert main(["distill", "digits", *SHORT, "--seeds", "1:3", "--out", str(folder)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"To go on: qdistill distill --resume {folder}"
    assert main(["distill", "--resume", str(folder), "--memory-budget", "100"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "Distilling digits, 2 seeds, 6 iterations from iteration 2; compiling..."
    scores = [json.loads((folder / f"seed-{seed}" / "scores.json").read_text()) for seed in (1, 2)]
    for score in scores:
        assert f"seed {score['seed']}" in out
        assert f"{score['test_accuracy']:.2%} (n = 500)" in out
    assert f"{sum(score['test_accuracy'] for score in scores) / 2:.2%}\n" in out
    assert out.splitlines()[-1] == f"Next: qdistill evaluate {folder / 'seed-1'}"
    for name in ("seeds.png", "seed-1/images.png", "seed-2/curves.png"):
        assert (folder / name).stat().st_size > 0
    assert main(["evaluate", str(folder / "seed-2"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == scores[1]["test_accuracy"]
    assert "is of several seeds. Name one of them" in fails("evaluate", folder, code=1)


def test_a_profiled_run_says_where_its_time_went(tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["distill", "digits", *SHORT, "--profile", "--out", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "outer optimiser" in out
    assert f"The trace is {folder / 'profile.trace.json.gz'}" in out
    assert len(out.splitlines()) < 25
    assert (folder / "profile.png").stat().st_size > 0


# --- wrong usage of distill


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mnsit"], "was 'mnsit'. Did you mean 'mnist'?"),
        (["digits", "--inner.step", "3"], "Perhaps you meant: --inner.step"),
        (["digits", "--seeds=3:3"], "Argument `seeds` must be a range such as 0:8, or different numbers such as 0,2,5"),
        (["digits", "--seeds", "0,-1"], "but was '0,-1'"),
        (["digits", "--seeds", "2,2"], "but was '2,2'"),
        (["digits", "--seeds", "a few"], "but was 'a few'"),
        (["digits", "--seeds", "0:2", "--seed", "5"], "Argument `seed` must not be given together with `seeds`."),
        (["digits", "--seeds", "0:2", "--profile"], "Argument `profile` must not be given together with `seeds`"),
        (["digits", "--iterations", "9"], "Argument `iterations` must be given together with --resume only"),
        (["digits", "--memory-budget", "0"], "Argument `memory_budget` must be at least 1 (MiB), but was 0."),
        (["digits", "mnist"], "mnist"),
        (["digits", "--architecture", "lenett"], "Did you mean 'lenet'?"),
        (["digits", "--architecture", "lenet", "--model.n-qubits", "3"], "--model.n-qubits"),
        (["digits", "--inner.steps", "0"], "Argument `steps` must be at least 1, but was 0."),
        (["digits", "--inner.steps", "many"], "--inner.steps"),
        (["digits", "--seed", "-1"], "Argument `seed` must be from 0 to 4294967295, but was -1."),
        (["digits", "--model.observable", "pauli_x"], "invalid choice 'pauli_x'"),
        (["digits", "--inner.own-examples", "--inner.steps", "3"], "must divide the 10 synthetic examples"),
        ([], "RECIPE.toml,TABLE/ROW}"),
        (["--seed", "3"], "RECIPE.toml,TABLE/ROW}"),
    ],
)
def test_wrong_options_are_explained(arguments, message, fails, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in fails("distill", *arguments, code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option", ["--seed=3", "--outer.iterations=9", "--out=elsewhere", "--architecture=lenet", "-x"]
)
def test_a_resumed_run_takes_no_options_of_its_recipe(option, finished, fails):
    message = fails("distill", "--resume", finished, option, code=2)
    assert f"Argument `{option.partition('=')[0]}" in message
    assert "must not be given with --resume" in message


def test_a_resumed_run_is_of_its_own_dataset(finished, fails):
    message = fails("distill", "mnist", "--resume", finished, code=2)
    assert "Argument `dataset` must be 'digits'" in message


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path, fails):
    assert "Is" in fails("distill", "--resume", tmp_path, code=1)
    assert f"Cannot read {tmp_path / 'nowhere' / 'recipe.json'}" in fails(
        "distill", "--resume", tmp_path / "nowhere", code=1
    )


def test_a_run_with_a_damaged_recipe_cannot_be_resumed(tmp_path, fails):
    (tmp_path / "recipe.json").write_text("{")
    assert "recipe.json" in fails("distill", "--resume", tmp_path, code=1)
    (tmp_path / "recipe.json").write_text('{"dataset": "digits"}')
    assert "recipe.json: Argument `model` must be given" in fails("distill", "--resume", tmp_path, code=2)


def test_a_run_never_overwrites_another(finished, fails):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    assert "exists already" in fails("distill", "digits", "--out", finished, code=1)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_folder_that_cannot_be_made(finished, fails):
    message = fails("distill", "digits", "--out", finished / "scores.json" / "run", code=1)
    assert "Cannot create the folder" in message


DEVICE = """n_wires = 2
one_qubit_error = 1e-3
one_qubit_time = 5e-8
t1 = 1e-4
t2 = 1e-4
readout = [0.01, 0.02]
two_qubit_error = 0.01
two_qubit_time = 5e-7
"""
"""A device of one's own, as a file."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["mnist", "--device", "fake_sherbrooke", "--shots", "64"], Device("fake_sherbrooke", 64)),
        (["mnist", "--device.name", "fake_sherbrooke", "--device.shots", "64"], Device("fake_sherbrooke", 64)),
        (["mnist", "--shots=64"], Device(shots=64)),
        (["--device", "lab.toml", "mnist", "--preparation", "ideal"], Device("lab.toml", preparation="ideal")),
        (["--device.name", "lab.toml", "mnist"], Device("lab.toml")),
    ],
)
def test_distill_spells_the_device_as_evaluate_does(given, expected):
    recipe = parse_new(given).recipe
    assert recipe.device == expected
    assert recipe == dataclasses.replace(default_recipe("mnist"), device=expected)


def test_options_of_the_device_go_before_those_of_a_recipe_file(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('dataset = "digits"\n\n[device]\nname = "fake_sherbrooke"\nshots = 64\n')
    assert parse_new([str(file)]).recipe.device == Device("fake_sherbrooke", 64)
    assert parse_new([str(file), "--shots", "8"]).recipe.device == Device("fake_sherbrooke", 8)


@pytest.mark.slow
def test_distill_for_a_device_from_shots(tmp_path, capsys):
    device, folder = tmp_path / "lab.toml", tmp_path / "run"
    elsewhere = "[[pairs]]\nwires = [1, 2]\nerror = 0.01\ntime = 5e-7\n"
    device.write_text(DEVICE.replace("n_wires = 2", "n_wires = 3") + elsewhere)
    noisy = ["--device", str(device), "--shots", "64", "--preparation", "ideal"]
    assert main(["distill", "digits", *SHORT, *noisy, "--outer.iterations", "2", "--out", str(folder)]) == 0
    assert "gates of a circuit are on pairs of wires that lab does not couple" in capsys.readouterr().err
    bundle = DistilledDataset.load(folder / "bundle.safetensors")
    assert bundle.recipe["device"]["shots"] == 64
    assert "layer.weights" in bundle.initial_weights
    assert DeviceModel.from_toml(folder / "device.toml") == DeviceModel.from_toml(device)


# --- evaluate


def test_evaluate_gives_the_recorded_accuracy(finished, capsys):
    scores = json.loads((finished / "scores.json").read_text())
    for path in (finished, finished / "bundle.safetensors"):
        assert main(["evaluate", str(path)]) == 0
        replayed, recorded = capsys.readouterr().out.splitlines()[1:]
        assert f"{scores['test_accuracy']:.2%} (n = 500)" in replayed
        assert f"{scores['test_accuracy']:.2%} (n = 500)" in recorded


def test_evaluate_prints_one_json_object(finished, capsys):
    assert main(["evaluate", str(finished), "--json"]) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert err == ""
    assert out.count("\n") == 1
    assert result["test_accuracy"] == result["recorded_test_accuracy"]
    assert 0 <= result["test_accuracy"] <= 1
    assert result["n_test"] == 500
    assert result["dataset"] == "digits"


def test_evaluate_from_other_initial_weights(finished, capsys):
    options = ["evaluate", str(finished), "--initialisations", "3", "--seed", "1"]
    assert main([*options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["initialisations"], result["seed"], result["n_test"]) == (3, 1, 500)
    assert main(options) == 0
    first, found, own = capsys.readouterr().out.splitlines()
    assert first.endswith("from initial weights that it was not distilled for")
    low, high = result["interval"]
    assert f"{result['mean']:.2%} (n = 500, 3 draws, 95 % interval {low:.2%} to {high:.2%})" in found
    scores = json.loads((finished / "scores.json").read_text())
    assert f"{scores['test_accuracy']:.2%}" in own


@pytest.mark.slow
def test_whitened_inputs_are_distilled_replayed_and_compressed(tmp_path, capsys):
    folder, file = tmp_path / "run", tmp_path / "small.safetensors"
    assert main(["distill", "digits", *SHORT, "--transforms", "standardise", "whiten", "--out", str(folder)]) == 0
    bundle = DistilledDataset.load(folder / "bundle.safetensors")
    assert bundle.transform.steps[1].kernel.shape == (7, 7, 1, 1)
    assert bundle.recipe["transforms"] == ["standardise", "whiten"]
    assert main(["evaluate", str(folder)]) == 0
    assert f"{bundle.record.test_accuracy:.2%}" in capsys.readouterr().out
    assert main(["compress", str(folder), str(file)]) == 0
    kernel = DistilledDataset.load(file).transform.steps[1].kernel
    assert (kernel == bundle.transform.steps[1].kernel).all()
    assert DistilledDataset.load(file).record.n_test == 500


@pytest.mark.slow
def test_compress_measures_what_it_writes(finished, tmp_path, capsys, fails):
    file = tmp_path / "small.safetensors"
    assert main(["compress", str(finished), str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("before: ")
    assert lines[-1] == f"Written: {file}"
    recorded = DistilledDataset.load(file).record
    validated = [float(share) / 100 for share in re.findall(r"([0-9.]+)%", lines[-2])]
    assert lines[-2].startswith("16 roundings had validation accuracies of ")
    assert validated[0] <= validated[1] == pytest.approx(recorded.validation_accuracy)
    assert file.stat().st_size < (finished / "bundle.safetensors").stat().st_size / 2
    assert main(["evaluate", str(file)]) == 0
    assert f"{recorded.test_accuracy:.2%}" in capsys.readouterr().out
    assert (recorded.n_test, recorded.n_validation) == (500, 100)
    assert "exists already" in fails("compress", finished, file, code=1)
    random_bundle(record=Record()).save(tmp_path / "bare")
    assert "does not say how many inputs its validation part has" in fails(
        "compress", tmp_path / "bare", tmp_path / "other", code=1
    )


@pytest.fixture(scope="module")
def quantum(tmp_path_factory):
    """The file of a bundle for a small quantum network on the digits."""
    path = tmp_path_factory.mktemp("quantum") / "bundle.safetensors"
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1, skip="none")
    random_bundle(architecture, InnerLoop(steps=1, step_sizes="shared"), (28, 28, 1), 10, dataset="digits").save(path)
    return path


@pytest.mark.slow
def test_evaluate_on_a_device_from_shots(quantum, tmp_path, capsys):
    device = tmp_path / "lab.toml"
    device.write_text(DEVICE)
    options = ["--shots", "16", "--device", str(device), "--draws", "2", "--preparation", "ideal"]
    assert main(["evaluate", str(quantum), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("on the test set of digits, trained and tested on lab, 16 shots a setting")
    assert "(n = 500, 2 draws)" in lines[1]
    assert main(["evaluate", str(quantum), *options, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["shots"] == 16
    assert len(result["test_accuracies"]) == 2
    # Two draws have a mean, but no interval worth the name.
    assert result["mean"] == sum(result["test_accuracies"]) / 2
    assert result["interval"] is None


@pytest.mark.slow
def test_a_quanvolution_gets_as_many_wires_as_it_needs(tmp_path, capsys):
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1, quanvolution_layers=1)
    path = tmp_path / "bundle.safetensors"
    random_bundle(architecture, InnerLoop(steps=1, step_sizes="shared"), (28, 28, 1), 10, dataset="digits").save(path)
    assert main(["evaluate", str(path), "--device", "FakeManila", "--preparation", "approximate"]) == 0
    assert "trained and tested on fake_manila" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluate_draws_a_curve(quantum, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(noisy_curve.__wrapped__.__kwdefaults__, "shots", (4,))
    monkeypatch.setitem(noisy_curve.__wrapped__.__kwdefaults__, "factors", (0.0,))
    device = tmp_path / "lab.toml"
    device.write_text(DEVICE)
    picture = tmp_path / "curve.png"
    options = ["--device", str(device), "--draws", "2", "--preparation", "ideal", "--curve", "--out", str(picture)]
    assert main(["evaluate", str(quantum), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines[1:4]] == [
        "without noise and shots",
        "4 shots a setting, 1 x the error rates",
        "exact expectation values, 0 x the error rates",
    ]
    assert lines[-1] == f"Drawn in {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--draws", "3"], "`draws` must be given together with `shots` or `device` only"),
        (["--seed", "3"], "`seed` must be given together with `shots`, `device` or `initialisations`"),
        (["--initialisations", "0"], "`initialisations` must be at least 1, but was 0"),
        (["--initialisations", "2", "--shots", "8"], "`initialisations` must be left out with `shots`"),
        (["--shots", "8", "--preparation", "ideal"], "`preparation` must be given together with `device` only"),
        (["--shots", "8", "--curve"], "`shots` must be given with `curve` only where there is a `device`"),
        (["--curve", "--out", "nowhere/x.png"], "`out` must lie in a folder that exists"),
        (["--shots", "8", "--out", "x.png"], "`out` must end in .png and be given with `curve`"),
        (["--shots", "0"], "`shots` must be at least 1, but was 0"),
        (["--device", "fake_nowhere"], "`device` must be a known name, but was 'fake_nowhere'"),
        (["--device", "nowhere.toml"], "Cannot read the device nowhere.toml"),
    ],
)
def test_evaluate_refuses_options_without_an_effect(quantum, fails, options, message):
    assert message in fails("evaluate", quantum, *options, code=2)


def test_evaluate_says_that_swaps_are_left_out(capsys):
    bundle = DistilledDataset.load(zoo_path("mnist-10-qlenet"))
    say_what_is_left_out(DeviceModel.uniform(6), bundle)
    assert not capsys.readouterr().err
    sherbrooke = device("fake_sherbrooke", 6)
    say_what_is_left_out(sherbrooke, bundle)
    # Counted in Qiskit's circuit, whose qubit q is wire 5 - q.
    (layer,) = quantum_layers(bundle.initial_model())
    circuit = to_qiskit(layer, preparation="gates").circuit
    pairs = [{5 - circuit.find_bit(q).index for q in gate.qubits} for gate in circuit.data if len(gate.qubits) == 2]
    coupled = [set(pair.wires) for pair in sherbrooke.pairs]
    count = sum(pair not in coupled for pair in pairs)
    assert f"{count} gates of a circuit are on pairs of wires that" in capsys.readouterr().err


def test_evaluate_refuses_a_device_for_a_classical_network(tmp_path, fails):
    file = tmp_path / "bundle.safetensors"
    random_bundle(LeNetArchitecture(width=4), dataset="digits").save(file)
    assert "for a network without a quantum layer" in fails("evaluate", file, "--device", "fake_manila", code=2)


def test_evaluate_needs_no_cache_folder(finished, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert main(["evaluate", str(finished), "--json"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["evaluate", "show"])
def test_what_is_no_bundle_is_refused(command, finished, tmp_path, fails):
    assert "No such file" in fails(command, tmp_path / "nowhere", code=1)
    assert "Did you mean 'mnist-10-qlenet'?" in fails(command, "mnist-10-qlent", code=2)
    assert "recipe.json" in fails(command, finished / "recipe.json", code=1)
    assert "not a bundle" in fails(command, finished / "checkpoints" / "latest.safetensors", code=1)
    assert "There is no bundle.safetensors in the folder" in fails(command, tmp_path, code=1)
    content = (finished / "bundle.safetensors").read_bytes()
    (tmp_path / "short").write_bytes(content[: len(content) // 2])
    assert "cut short" in fails(command, tmp_path / "short", code=1)


@pytest.mark.parametrize("command", ["evaluate", "show", "data"])
def test_commands_say_what_is_missing_or_unknown(command, fails):
    assert "Missing from" in fails(command, code=2)
    assert "--jsno" in fails(command, "x", "--jsno", code=2)


# --- show


def test_show_describes_the_bundle_and_draws_it(finished, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    assert main(["show", str(finished), "--out", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for text in ("DressedCircuit", "28 x 28 x 1", "2 steps of gradient_descent", "(n = 500)", "(n = 100)", "jax"):
        assert text in out
    assert str(picture) in out.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_show_draws_beside_the_bundle(finished, tmp_path, capsys):
    bundle = tmp_path / "mine.safetensors"
    bundle.write_bytes((finished / "bundle.safetensors").read_bytes())
    (tmp_path / "images.png").write_text("another's")
    assert main(["show", str(bundle)]) == 0
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "images.png").read_text() == "another's"


def test_show_draws_only_png(finished, tmp_path, fails):
    assert "must end in .png" in fails("show", finished, "--out", tmp_path / "x.jpg", code=2)


def test_a_picture_that_cannot_be_written(finished, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["show", str(finished), "--out", str(tmp_path / "file" / "x.png")]) == 1
    err = capsys.readouterr().err
    assert "error: Cannot write" in err
    assert "Traceback" not in err


# --- data


def test_data_says_what_is_in_a_dataset(capsys):
    assert main(["data", "digits"]) == 0
    out = capsys.readouterr().out
    for text in ("28 x 28, grey, uint8", "1,297", "500", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9", "scikit-learn"):
        assert text in out
    assert f"digest     {source('digits').load().digest}\n" in out


def test_data_says_whether_a_dataset_is_what_was_published(capsys, monkeypatch):
    inputs, labels = np.zeros((2, 4, 4), np.uint8), [0, 1]
    raw = Images(inputs, labels, inputs, labels, name="mnist").load()
    monkeypatch.setattr(MNIST, "class_names", raw.class_names)
    monkeypatch.setattr(MNIST, "input_shape", (4, 4, 1))
    monkeypatch.setattr(MNIST, "load", lambda self, data_dir: raw)

    assert main(["data", "mnist"]) == 0
    assert "as published" not in capsys.readouterr().out
    monkeypatch.setattr(MNIST, "digest", raw.digest)
    assert main(["data", "mnist"]) == 0
    assert f"digest     {raw.digest} (as published)\n" in capsys.readouterr().out


def test_data_knows_where_a_dataset_of_ones_own_is_from(capsys):
    inputs, labels = np.zeros((2, 4, 4), np.uint8), [0, 1]
    DATASETS["own"] = Images(inputs, labels, inputs, labels, name="own")
    try:
        assert main(["data", "own"]) == 0
    finally:
        del DATASETS["own"]
    assert "from       Images, which a plugin entered\n" in capsys.readouterr().out


def test_data_names_the_folder_that_lacks_the_files(tmp_path, fails):
    assert str(tmp_path) in fails("data", "mnist", "--data-dir", tmp_path, code=1)


def test_data_suggests_a_dataset(fails):
    assert "Did you mean 'cifar10'?" in fails("data", "cifar", code=2)


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["distil", "digits"], "There is no command 'distil'. Did you mean 'distill'?"),
        (["--versoin"], "There is no option '--versoin'. Did you mean '--version'?"),
        (["evaluate", "--hepl"], "There is no option '--hepl'. Did you mean '--help'?"),
        (
            ["xyzzy"],
            "There is no command 'xyzzy'. The commands are distill, evaluate, rank, show, report, export, compress",
        ),
    ],
)
def test_a_misspelled_command_is_explained(arguments, message, fails):
    assert message in fails(*arguments, code=2)


@pytest.mark.parametrize(
    ("given", "option", "then"), [(None, [], "3"), ("0", [], "0"), (None, ["--debug"], None)], ids=["", "own", "debug"]
)
def test_the_compilers_own_log_is_muted_but_for_who_asks_for_it(given, option, then, monkeypatch, capsys):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", given or "")
    if given is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    assert main([*option, "--version"]) == 0
    assert os.environ.get("TF_CPP_MIN_LOG_LEVEL") == then


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_where_an_error_came_from(place, tmp_path, capsys):
    arguments = ["show", str(tmp_path / "nowhere")]
    arguments.insert(place, "--debug")
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("error: Cannot read the bundle")


def test_a_plugin_that_cannot_be_run_is_explained(tmp_path, fails):
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_the_kind")
    assert "The plugin" in fails("--plugin", broken, "zoo", "list", code=2)
    assert "ModuleNotFoundError: No module named 'nothing_of_the_kind'" in fails("zoo", f"--plugin={broken}", code=2)
    assert "`plugin` must be a Python file, but there is none at" in fails("zoo", "--plugin", "no.py", code=2)
    (tmp_path / "text.txt").write_text("")
    assert "whose name ends in .py" in fails("--plugin", tmp_path / "text.txt", "zoo", "list", code=2)


def test_memory_that_ran_out_is_no_bug(monkeypatch, fails, tmp_path):
    def full(*_):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 515396076544 bytes.")

    monkeypatch.setattr(DistilledDataset, "load", full)
    message = fails("show", tmp_path / "x.safetensors", code=1)
    assert "error: The memory ran out." in message
    assert "this is a bug" not in message


@pytest.mark.parametrize(
    "arguments", [("cost", "mnist-10-qlenet"), ("execute", "mnist-10-qlenet", "--backend", "exact")]
)
def test_directions_are_for_spsa_only(arguments, fails):
    assert "`directions` must be left out but for spsa" in fails(*arguments, "--directions", "4", code=2)


def test_an_unexpected_error_is_one_line(monkeypatch, capsys, fails, tmp_path):
    def broken(*_):
        raise RuntimeError("the\nmoon is full")

    monkeypatch.setattr(DistilledDataset, "load", broken)
    message = fails("show", tmp_path / "x.safetensors", code=1)
    assert "error: unexpected RuntimeError: the moon is full" in message
    assert "--debug" in message
    assert main(["show", str(tmp_path / "x.safetensors"), "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


WAITING = """
import signal, sys, threading, time
from qdistill import cli
def stopped(arguments):
    threading.Thread(target=time.sleep, args=(60,)).start()
    raise KeyboardInterrupt
cli._dispatch = stopped
sys.argv = ["qdistill", "execute"]
sys.exit(cli.main())
"""


def test_a_second_ctrl_c_ends_what_is_still_waited_for_without_a_traceback():
    with subprocess.Popen([sys.executable, "-c", WAITING], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "Stopped.\n"
        while process.poll() is None:  # until it is past the line that it printed
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        assert process.returncode in (-signal.SIGINT, 130)
        assert "Traceback" not in process.stderr.read()


@pytest.mark.skipif(os.name != "posix", reason="a closed pipe is another error elsewhere")
def test_a_reader_that_has_had_enough_is_no_error():
    command = f'"{sys.executable}" -m qdistill --help | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
