"""Programs that train circuit classifiers in PennyLane and Qiskit, run: they give the weights that a replay gives."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from qdistill.backends.bundle_export import export_bundle, export_classifier, export_examples
from qdistill.backends.circuit_program import circuit_program
from qdistill.data import Vectors
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.protocol import measure
from qdistill.models import (
    CircuitArchitecture,
    CircuitCentric,
    DataReuploading,
    DressedCircuit,
    IQPVariational,
    LeNetArchitecture,
    named_weights,
)
from qdistill.quantum import Circuit, Operation, feature, weight

from ..distill.samples import random_bundle

GATES = Circuit(
    2,
    (
        Operation("RY", (0,), (weight(0) * feature(0) + 0.3,)),
        Operation("Rot", (1,), (weight(1), feature(1), weight(2))),
        Operation("CRX", (0, 1), (weight(3),)),
        Operation("RX", (0,), (weight(0),)),
    ),
)
TRAINED = CircuitArchitecture(
    circuit=GATES,
    observables=("0.5 * Z0 Z1 - X1", "Y0 + 0.25"),
    trained_observables=True,
    input_scaling="feature",
    output_scaling="class",
)
MOMENTUM = InnerLoop(steps=3, optimiser="momentum", step_sizes="tensor")

CASES: dict[str, tuple[Any, tuple[int, ...], InnerLoop]] = {
    "data re-uploading": (DataReuploading(n_qubits=2, n_layers=2), (4,), MOMENTUM),
    "circuit-centric": (CircuitCentric(n_copies=2, n_layers=1), (3,), MOMENTUM),
    "IQP": (IQPVariational(n_layers=1), (3,), InnerLoop(steps=2, loss="square")),
    "dressed": (DressedCircuit(n_qubits=2, n_layers=1), (3,), InnerLoop(steps=2, optimiser="adam")),
    "trained observables": (TRAINED, (2,), MOMENTUM),
    "fixed observables": (
        CircuitArchitecture(circuit=GATES, observables=("0.1 * Z0 + Z1", "0.7")),
        (2,),
        InnerLoop(steps=2, loss="square"),
    ),
    "a trained constant": (
        CircuitArchitecture(circuit=GATES, observables=("Z1", "0.7"), trained_observables=True),
        (2,),
        InnerLoop(steps=2, loss="square"),
    ),
    "margin": (CircuitArchitecture(circuit=GATES, readout="margin"), (2,), InnerLoop(steps=3, loss="hinge")),
    "probabilities": (
        CircuitArchitecture(circuit=GATES, readout="probabilities", output_scaling="none"),
        (2,),
        InnerLoop(steps=2, loss="fidelity"),
    ),
    "examples of each step": (
        CircuitArchitecture(circuit=GATES, embedding="angle"),
        (2,),
        InnerLoop(steps=2, epochs=2, own_examples=True, step_sizes="tensor"),
    ),
}


def bundle_of(name: str) -> tuple[DistilledDataset, Vectors]:
    """A bundle of noise for a dataset of noise."""
    architecture, input_shape, inner = CASES[name]
    rng = np.random.default_rng(0)
    data = Vectors(rng.normal(size=(40, *input_shape)), np.arange(40) % 2, name="noise")
    model = architecture.build(input_shape, 2, key=jax.random.key(1))
    return random_bundle(
        architecture,
        inner,
        input_shape,
        2,
        per_class=2,
        class_names=data.class_names,
        initial_weights=named_weights(model),
    ), data


@pytest.mark.parametrize("framework", ["pennylane", "qiskit"])
@pytest.mark.parametrize("name", CASES)
def test_the_program_trains_as_the_replay_does(name: str, framework: Any, tmp_path: Path) -> None:
    bundle, data = bundle_of(name)
    files = export_classifier(bundle, framework, tmp_path, data.load())
    assert [path.name for path in files] == ["bundle.npz", "train.py"]
    program = runpy.run_path(str(tmp_path / "train.py"))
    trained, expected = program["train"](), named_weights(bundle.train())
    assert set(trained) == set(expected)
    for weights, values in expected.items():
        np.testing.assert_allclose(trained[weights], values, atol=2e-5, err_msg=weights)
    accuracy = measure(bundle.train(), bundle, bundle.fitted(data.load()).test_inputs, data.load().test_labels)
    assert program["accuracy"](trained) == pytest.approx(accuracy, abs=1e-6)
    source = (tmp_path / "train.py").read_text()
    assert "qdistill" not in source.replace("; qdistill recorded", "")
    assert max(map(len, source.splitlines())) < 200


@pytest.mark.parametrize("framework", ["pennylane", "qiskit"])
def test_coefficients_are_written_as_they_were_given(framework: Any) -> None:
    bundle, _ = bundle_of("fixed observables")
    program = circuit_program(bundle, framework, 0.5)
    assert "        0.1 * values[:, 0] + values[:, 1],\n        0.7 * np.ones(len(values)),\n" in program
    assert "test accuracy {accuracy(train()):.2%}; qdistill recorded 50.00%" in program
    assert "recorded" not in circuit_program(bundle, framework, None)


def test_factors_before_amplitudes_have_no_shift(tmp_path: Path) -> None:
    architecture = CircuitArchitecture(circuit=GATES, embedding="amplitude", input_scaling="feature")
    bundle = random_bundle(architecture, InnerLoop(steps=1), (4,), 2)
    data = Vectors(np.eye(4), [0, 1, 0, 1], np.eye(4), [0, 1, 0, 1], class_names=bundle.class_names).load()
    with pytest.raises(BundleError, match=r"no parameter shift reaches\. Export it to pennylane"):
        export_classifier(bundle, "qiskit", tmp_path, data)


def test_other_networks_are_no_classifiers(tmp_path: Path) -> None:
    bundle, (_, data) = random_bundle(LeNetArchitecture(width=4), InnerLoop(steps=1)), bundle_of("margin")
    with pytest.raises(BundleError, match="LeNetArchitecture is no circuit classifier"):
        export_classifier(bundle, "pennylane", tmp_path, data.load())


@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_circuits_are_trained_by_other_targets(target: Any, tmp_path: Path) -> None:
    bundle, data = bundle_of("margin")
    with pytest.raises(
        BundleError, match="numpy and torch train LeNets alone; --to pennylane, qiskit or csv take this"
    ):
        export_bundle(bundle, target, tmp_path, data.load())
    assert not list(tmp_path.iterdir())


def test_a_target_is_known_and_has_what_it_needs(tmp_path: Path, unchecked: Any) -> None:
    bundle, _ = bundle_of("margin")
    targets = "csv, huggingface, numpy, pennylane, qasm, qiskit, torch"
    with pytest.raises(ArgumentError, match=f"`target` must be one of {targets}, but was 'onnx'"):
        export_bundle(bundle, "onnx", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="`raw` must be the dataset for the target 'pennylane', but was None"):
        export_bundle(bundle, "pennylane", tmp_path)
    assert [path.name for path in export_bundle(bundle, "csv", tmp_path)] == ["examples.csv"]


def test_examples_as_a_table(tmp_path: Path) -> None:
    bundle, _ = bundle_of("margin")
    (path,) = export_examples(bundle, tmp_path)
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    assert header == ["x0", "x1", "label 0", "label 1"]
    np.testing.assert_array_equal(np.float32(rows)[:, :2], bundle.data.inputs)
    np.testing.assert_array_equal(np.float32(rows)[:, 2:], bundle.data.labels)
