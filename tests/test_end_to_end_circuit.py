"""A QNode of one's own as the whole model, from a file to a report, through the command line and Python alike."""

from __future__ import annotations

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdistill
from qdistill.backends.evaluators import evaluator
from qdistill.backends.execution import Execution
from qdistill.backends.execution_plan import ExecutionSettings
from qdistill.cli import main
from qdistill.cli.plugins import forget_plugins
from qdistill.data import source
from qdistill.evaluate.cost import training_work
from qdistill.models import named_weights, predict

QNODE = """
import pennylane as qml

weight_shape, n_features = (2, 4), 4

@qml.qnode(qml.device("default.qubit", wires=4))
def circuit(weights, x):
    for layer in weights:
        for wire in range(4):
            qml.RY(x[wire], wire)
            qml.RX(layer[wire], wire)
        for wire in range(3):
            qml.CNOT([wire, wire + 1])
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1) @ qml.Z(2)), qml.expval(qml.X(3))]
"""

OPTIONS = [
    *("--architecture", "circuit", "--model.circuit", "own.py", "--model.input-scaling", "feature"),
    *("--inner.steps", "2", "--inner.loss", "square", "--compression.step-size", "0.1", "--n-validation", "20"),
    *("--outer.iterations", "400", "--outer.batch", "32", "--outer.validate-every", "100"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few seconds on the command line."""
    folder = tmp_path_factory.mktemp("circuit")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "own.py").write_text(QNODE)
        assert main(["distill", "iris", *OPTIONS, "--out", "run", "--no-compilation-cache"]) == 0
    forget_plugins()
    return folder / "run"


@pytest.fixture(scope="module")
def bundle(run):
    return qdistill.DistilledDataset.load(run / "bundle.safetensors")


def test_the_bundle_replays_from_its_file_alone(run, bundle):
    assert bundle.inner.loss == "square"
    assert bundle.architecture.observables == ("Z0", "Z1 Z2", "X3")
    assert bundle.input_shape == (4,)
    result = qdistill.replay(bundle)
    assert result.test_accuracy == bundle.record.test_accuracy
    assert result.test_accuracy > 0.5  # guessing gives a third


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype complex128")
def test_the_training_is_that_of_the_qnode(bundle):
    """Two steps of momentum on the square error, with the QNode's own values and derivatives by PennyLane."""
    import pennylane as qml

    names = {}
    exec(QNODE, names)
    node = qml.QNode(names["circuit"].func, qml.device("default.qubit", wires=4), interface="jax")
    data, weights = bundle.data, dict(bundle.initial_weights)

    def logits(weights, x):
        values = node(weights["layer.weights"].reshape(2, 4), x * weights["input_scale"])
        return weights["output_scale"] * jnp.stack(values)

    def loss(weights):
        return jnp.mean(jnp.sum((jax.vmap(lambda x: logits(weights, x))(data.inputs) - data.labels) ** 2, axis=1))

    memory = {name: jnp.zeros_like(value) for name, value in weights.items()}
    for sizes in np.asarray(data.step_sizes):
        slopes = jax.grad(loss)(weights)
        optimiser = bundle.inner.optimiser
        keep = {"momentum": 0.9, "gradient_descent": 0.0}[optimiser]
        memory = {name: slopes[name] + keep * memory[name] for name in weights}
        weights = {
            name: weights[name] - sizes[place % len(sizes)] * memory[name]
            for place, name in enumerate(bundle.weight_names)
        }
    trained = named_weights(bundle.train())
    for name, value in weights.items():
        np.testing.assert_allclose(trained[name], value, atol=2e-5, err_msg=name)


def test_it_is_evaluated_from_shots(run, bundle, capsys):
    assert main(["evaluate", str(run), "--shots", "300", "--draws", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert abs(result["mean"] - bundle.record.test_accuracy) < 0.2


def test_it_is_executed_elsewhere_to_the_same_weights(bundle, tmp_path):
    """The loss of the bundle is what an execution descends."""
    execution = Execution(bundle, ExecutionSettings("pennylane:default.qubit"), steps=1)
    measuring = {m: evaluator(m, "pennylane:default.qubit", None)[0] for m in execution.measured}
    execution.open(tmp_path / "executed")
    executed = execution.train(measuring, tmp_path / "executed")
    data = bundle.data
    exact = qdistill.train(
        bundle.initial_model(),
        qdistill.TrainingSet(data.inputs, data.labels, data.step_sizes[:1], data.schedule[:1]),
        qdistill.InnerLoop(1, optimiser=bundle.inner.optimiser, step_sizes=bundle.inner.step_sizes, loss="square"),
    )
    for name, value in named_weights(exact).items():
        np.testing.assert_allclose(named_weights(executed)[name], value, atol=1e-4, err_msg=name)


def test_it_is_executed_on_the_command_line(run, tmp_path, capsys):
    options = ["--backend", "qiskit-aer", "--shots", "50", "--steps", "1", "--out", str(tmp_path / "executed")]
    assert main(["execute", str(run), *options]) == 0
    # Three examples, each one circuit and two more for each of the sixteen angles: eight weights, eight of inputs.
    assert re.search(r"circuits +99 of 50 shots", capsys.readouterr().out)


def test_its_circuits_are_counted(run, bundle, capsys):
    work = training_work(bundle.initial_model(), bundle.input_shape, 6, shots=1024)
    assert work.circuits == 6 * 33
    assert main(["cost", str(run)]) == 0
    out = capsys.readouterr().out
    assert "6 example gradients, 198 circuits" in out
    assert "\\n" not in out


def test_it_has_a_report(run, capsys):
    assert main(["report", str(run), "--no-compilation-cache"]) == 0
    page = (run / "report.html").read_text()
    assert "on which a circuit with known initial weights trains in 2 gradient steps" in page
    assert "--architecture circuit --model.circuit circuit.json --model.observables Z0" in page
    assert "circuit.json, a circuit of the recipe" in page
    assert "Angles of the circuit" in page
    assert page.count('class="missing"') == 0


def test_it_is_shown_and_compressed(run, tmp_path, capsys):
    assert main(["show", str(run)]) == 0
    assert "CircuitArchitecture" in capsys.readouterr().out
    assert main(["compress", str(run), str(tmp_path / "small.safetensors")]) == 0
    small = qdistill.DistilledDataset.load(tmp_path / "small.safetensors")
    assert small.eight_bit
    assert small.architecture == qdistill.DistilledDataset.load(run / "bundle.safetensors").architecture


def test_its_gradients_at_the_start_are_diagnosed(run, tmp_path, capsys):
    assert main(["diagnose", str(run), "--draws", "3", "--out", str(tmp_path / "diagnosis")]) == 0
    assert "layer.weights" in capsys.readouterr().out
    found = json.loads((tmp_path / "diagnosis" / "diagnosis.json").read_text())
    assert set(found["weights"]) == {"layer.weights", "input_scale", "output_scale"}
    assert found["settings"]["loss"] == "square"
    assert all(place["mean"] > 0 for place in found["weights"].values())
    assert main(["diagnose", str(run), "--qubits", "3", "--out", str(tmp_path / "other")]) == 2
    assert "`qubits` must be left out where a bundle or a recipe is given" in capsys.readouterr().err


def test_new_inputs_are_classified(bundle):
    raw = source("iris").load(None)
    logits = predict(bundle.train(), bundle.transform(raw.test_inputs))
    assert logits.shape == (45, 3)


def test_vectors_of_another_length_are_refused(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    assert main(["distill", "moons", *OPTIONS, "--out", "other"]) == 2
    assert "`input_shape` must be of 4 numbers that the circuit reads, but was (2,)" in capsys.readouterr().err
    assert main(["distill", "moons", "--architecture", "lenet", "--n-validation", "20", "--out", "other"]) == 2
    assert "must be (height, width, channels) for a LeNet, but was (2,)" in capsys.readouterr().err
    assert not (run.parent / "other").exists()
    forget_plugins()
