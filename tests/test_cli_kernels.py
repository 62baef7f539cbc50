"""A kernel on the command line, from its distillation to its report."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_moons

from qdistill.backends.bundle_export import export_classifier
from qdistill.cli import main
from qdistill.cli.distill_options import parse_new
from qdistill.cli.report import command_of
from qdistill.data import DATASETS, Vectors
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.kernel_cost import kernel_distillation_circuits, kernel_tasks
from qdistill.evaluate.landmarks import compare_landmarks
from qdistill.evaluate.protocol import Evaluation, Evaluations
from qdistill.evaluate.rates import DEFAULT_RATES, read_rates
from qdistill.experiments.defaults import default_recipe, with_model
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe
from qdistill.models import KernelArchitecture, LeNetArchitecture, predict
from qdistill.quantum import Circuit, Operation, constant, feature, weight

from .distill.samples import random_bundle

NEWTON = InnerLoop(steps=1, optimiser="newton", step_sizes="shared", loss="square")
OPTIONS = ["--architecture", "kernel", "--n-validation", "50", "--compression.per-class", "2"]


@pytest.fixture(scope="module", autouse=True)
def moons() -> Iterator[None]:
    inputs, labels = make_moons(260, noise=0.1, random_state=0)
    DATASETS["kernel-moons"] = Vectors(inputs[:200], labels[:200], inputs[200:], labels[200:], name="kernel-moons")
    yield
    del DATASETS["kernel-moons"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    more = ["--outer.iterations", "20", "--outer.validate-every", "10", "--outer.batch", "32", "--out", str(folder)]
    assert main(["distill", "kernel-moons", *OPTIONS, *more]) == 0
    return folder


def test_it_distils_and_replays(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = DistilledDataset.load(run / "bundle.safetensors")
    assert bundle.inner == NEWTON
    assert bundle.data.inputs.shape == (4, 2)
    assert bundle.provenance["n_train"] == 150
    # Support points that are learned are none of the real ones.
    real = bundle.transform(DATASETS["kernel-moons"].load().train_inputs)
    assert all(np.abs(real - point).max(axis=1).min() > 1e-3 for point in bundle.data.inputs)
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reproduced"] is True
    assert main(["evaluate", str(run), "--shots", "200", "--draws", "2", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["test_accuracies"]) == 2


def test_cost_counts_pairs(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", str(run), "--shots", "10", "--json"]) == 0
    bill = json.loads(capsys.readouterr().out)
    works = [task["work"] for task in bill["tasks"]]
    assert [work["circuits"] for work in works] == [6, 4, 150 * 149 // 2, 150]
    assert [work["shots"] for work in works] == [60, 40, 10 * 150 * 149 // 2, 1500]
    assert {work["two_qubit_gates"] for work in works} == {8}
    # Ten angles of the IQP map read features, two evaluations each: of the support point alone six.
    assert main(["cost", str(run)]) == 0
    text = capsys.readouterr().out
    assert "the kernel matrix of all 150 training points: 11,175 circuits (150 x 149 / 2 pairs)" in text
    assert "a prediction from 4 support points: 4 circuits" in text
    dates = sorted({card.date for card in read_rates()})
    assert f"Prices as of: {', '.join(dates)}, from {DEFAULT_RATES}" in text
    assert "hours of the device" in text
    assert bill["rates"] == str(DEFAULT_RATES)
    for option in (["--gradient", "spsa"], ["--measure"], ["--steps", "1"]):
        assert main(["cost", str(run), *option]) == 2
        assert "must be left out for a kernel" in capsys.readouterr().err


def test_what_a_distillation_would_take_is_counted_by_shift_rules() -> None:
    circuit = Circuit(1, (Operation("RX", (0,), (feature(0),)), Operation("RZ", (0,), (feature(0),))))
    recipe = {"outer": {"iterations": 7, "batch": 5}}
    bundle = random_bundle(KernelArchitecture(circuit), NEWTON, (1, 1, 1), 3, recipe=recipe)
    # Three pairs of support points, of which all four angles are shifted; 3 x 5 pairs, of which two are.
    assert kernel_distillation_circuits(bundle) == 7 * (3 * (1 + 8) + 15 * (1 + 4))
    assert [task.work.depth for task in kernel_tasks(bundle, shots=1)] == [4, 4]
    with pytest.raises(ArgumentError, match="`shots` must be at least 1, but was 0"):
        kernel_tasks(bundle, shots=0)
    with pytest.raises(ArgumentError, match="`bundle` must be of a kernel"):
        kernel_tasks(random_bundle(), shots=1)


def test_its_report_is_whole(run: Path) -> None:
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "The kernel matrix of the support points takes 6 circuits, one for each pair, and a prediction 4." in page
    assert "a prediction from all 150 training points" in page
    assert "parameter-shift" not in page
    assert "kernel-moons distilled into 4 support points of a kernel, whose regression is solved at once." in page
    # There are none for it to depend on.
    assert "initial weights in the bundle" not in page


def test_chosen_points_stand_beside_the_distilled_ones(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--landmarks", "--draws", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "landmarks.json").read_text())
    assert [(row["points"], row["labels"]) for row in printed["rows"]] == [
        ("random points", "own"),
        ("random points", "fitted"),
        ("k-means centres", "own"),
        ("k-means centres", "fitted"),
        ("Nyström landmarks", "fitted"),
    ]
    assert all(len(row["evaluation"]["test_accuracies"]) == 3 for row in printed["rows"])
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "Chosen instead of distilled" in page
    assert "Nyström landmarks" in page
    (run / "landmarks.json").write_text('{"points": 4, "rows": [{"points": "random points"}]}')
    assert main(["report", str(run)]) == 1
    assert "landmarks.json" in capsys.readouterr().err
    (run / "landmarks.json").unlink()
    assert main(["evaluate", str(run), "--landmarks", "--shots", "5"]) == 2
    assert "`shots` must be left out with `landmarks`" in capsys.readouterr().err


@pytest.fixture
def other_moons(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset has changed since the run: its test inputs are others."""
    raw = DATASETS["kernel-moons"].load()
    test = raw.test_inputs + 0.1, raw.test_labels
    changed = Vectors(raw.train_inputs, raw.train_labels, *test, name="kernel-moons")
    monkeypatch.setitem(DATASETS.data, "kernel-moons", changed)


def test_landmarks_of_other_data_are_refused(run: Path, other_moons: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--landmarks"]) == 1
    assert "made from other data than kernel-moons now is" in capsys.readouterr().err
    assert not (run / "landmarks.json").exists()


@pytest.mark.parametrize(
    ("option", "computed"),
    [
        (["--shots", "20"], {"noisy.replay_noisy": Evaluations.of([0.5], 60)}),
        (["--initialisations", "1"], {"protocol.replay_unknown": Evaluations.of([0.5], 60)}),
        (["--curve"], {"noisy.noisy_curve": [], "protocol.replay": Evaluation(0.5, 0.9, 60, False, 0.01)}),
    ],
)
def test_results_of_other_data_say_so(
    option: list[str],
    computed: dict[str, Any],
    run: Path,
    other_moons: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, result in computed.items():
        monkeypatch.setattr(f"qdistill.evaluate.{name}", lambda *_, result=result, **__: result)
    monkeypatch.setattr("qdistill.report.noise_figure.draw_noise", lambda *_: run / "noise.png")
    assert main(["evaluate", str(run), *option]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("This is not the data that the bundle was made from")
    assert said.endswith("The recorded accuracy is of the other data and not compared.")


@pytest.mark.parametrize("framework", ["pennylane", "qiskit"])
def test_a_program_of_other_data_names_no_record(
    framework: str, run: Path, tmp_path: Path, other_moons: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "--to", framework, "--out", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "This is not the data that the bundle was made from" in said
    assert "not to be compared with the record" in said
    assert "recorded" not in (tmp_path / "train.py").read_text()


def test_landmarks_are_of_kernels_alone() -> None:
    bundle = random_bundle()
    with pytest.raises(BundleError, match="no kernel"):
        compare_landmarks(bundle, default_recipe("digits").splits(), draws=1)


def test_it_compresses_to_eight_bits(run: Path, tmp_path: Path) -> None:
    assert main(["compress", str(run), str(tmp_path / "small.safetensors")]) == 0
    small = DistilledDataset.load(tmp_path / "small.safetensors")
    assert small.initial_weights["support"].shape == (0, 2)
    assert all(len(np.unique(row)) <= 2 for row in small.data.inputs)


@pytest.mark.parametrize("framework", ["pennylane", "qiskit"])
def test_its_exported_program_gives_the_recorded_accuracy(framework: str, run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--to", framework, "--out", str(tmp_path)]) == 0
    program = runpy.run_path(str(tmp_path / "train.py"))
    record = DistilledDataset.load(run / "bundle.safetensors").record
    assert program["accuracy"](program["fit"]()) == pytest.approx(record.test_accuracy, abs=1e-9)
    assert f"; qdistill recorded {record.test_accuracy:.2%}" in (tmp_path / "train.py").read_text()


@pytest.mark.parametrize("framework", ["pennylane", "qiskit"])
def test_programs_have_any_feature_map(framework: str, tmp_path: Path) -> None:
    gates = (
        Operation("Rot", (0,), (feature(0), weight(1), constant(0.3))),
        Operation("CRX", (0, 1), (weight(0) * feature(1) + 0.2,)),
        Operation("Unitary", (1,), matrix=((0.6 + 0j, 0.8j), (0.8j, 0.6 + 0j))),
        Operation("S", (0,)),
        Operation("SWAP", (0, 1)),
    )
    data = Vectors([[0.1, 0.2], [0.3, 0.5], [0.7, 0.1], [1.0, 2.0]] * 2, [0, 1] * 4, name="kernel-noise")
    bundle = random_bundle(
        KernelArchitecture(Circuit(2, gates)), NEWTON, (2,), 2, dataset="kernel-noise", class_names=("0", "1")
    )
    export_classifier(bundle, framework, tmp_path, data.load())
    program = runpy.run_path(str(tmp_path / "train.py"))
    points = np.random.default_rng(0).normal(size=(3, 2))
    expected = predict(bundle.train(), points)
    np.testing.assert_allclose(program["logits"](program["fit"](), points), expected, atol=1e-5)


@pytest.mark.parametrize(
    "command", [["execute", "--backend", "exact"], ["export", "--to", "qasm"], ["export", "--to", "numpy"]]
)
def test_what_has_no_kernels_says_so(command: list[str], run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command[0], str(run), *command[1:]]) == 1
    assert "kernel" in capsys.readouterr().err.lower()


def test_the_command_of_a_recipe_gives_the_recipe() -> None:
    recipe = with_model(default_recipe("kernel-moons"), KernelArchitecture("zz", 1, 0.5))
    recipe = dataclasses.replace(recipe, outer=dataclasses.replace(recipe.outer, iterations=5), n_validation=50)
    _, _, *arguments = shlex.split(command_of(recipe.to_json()))
    given = parse_new(arguments).recipe
    assert [getattr(given, name) for name in Recipe.__dataclass_fields__] == [
        getattr(recipe, name) for name in Recipe.__dataclass_fields__
    ]


def test_a_recipe_file_that_names_a_kernel_has_what_goes_with_it(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        'dataset = "kernel-moons"\nn_validation = 50\n[model]\narchitecture = "kernel"\n[outer]\nbatch = 9\n'
    )
    recipe = read_recipe(file)
    assert recipe.model == KernelArchitecture()
    assert recipe.inner == NEWTON
    assert recipe.compression.step_size == 1.0
    assert recipe.outer.batch == 9
    back = with_model(recipe, LeNetArchitecture())
    assert back.inner.optimiser != "newton"
    with pytest.raises(ArgumentError, match=r"`inner\.optimiser` must be 'newton' for a network with a closed form"):
        dataclasses.replace(recipe, inner=InnerLoop())
    with pytest.raises(ArgumentError, match=r"for no other, but was 'newton' for a LeNetArchitecture"):
        dataclasses.replace(recipe, model=LeNetArchitecture())
