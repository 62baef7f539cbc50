"""`qdistill execute`: held against the exact replay, the cost model and the statistics of samples."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shlex
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pennylane as qml
import pytest
from qiskit.transpiler import PassManager
from qiskit_ibm_runtime import SamplerV2
from qiskit_ibm_runtime.exceptions import RuntimeJobNotFound
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qdistill.backends.evaluators import evaluator
from qdistill.backends.execution import Execution
from qdistill.backends.execution_answers import Answers, Call
from qdistill.backends.execution_plan import MEASURED, ExecutionSettings
from qdistill.backends.measured import Evaluator, MeasuredCircuit, measured_circuit
from qdistill.backends.pennylane_evaluator import LOCAL
from qdistill.backends.shifts import n_evaluations, parameter_shift, spsa
from qdistill.cli import main
from qdistill.cli.execute import _progress as progress
from qdistill.cli.shared import INTERRUPTED
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError, CircuitError, MissingExtraError, RunError
from qdistill.evaluate.cost import Work, circuits_per_gradient, training_circuits
from qdistill.evaluate.rates import read_rates
from qdistill.models import Dense, LeNetArchitecture, QuantumLeNetArchitecture, named_weights
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    Circuit,
    Hermitian,
    Operation,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    each_wire,
    feature,
    on_each,
    weight,
)

from ..distill.samples import digits_bundle, random_bundle
from ..quantum.components import COMBINATIONS

Q = QuantumLeNetArchitecture
SHARED = Circuit(
    2,
    (
        Operation("RY", (0,), (feature(0),)),
        Operation("CRX", (0, 1), (weight(0).scaled(-2.0),)),
        Operation("Rot", (0,), (weight(1), weight(0) * feature(0) + weight(1), feature(1) / 2)),
        Operation("CRZ", (1, 0), (weight(1) - weight(0) * weight(0),)),
        Operation("H", (1,)),
        Operation("RX", (1,), (0.1 * (3 - feature(0)) * (3 - feature(1)),)),
    ),
)
"""Weights that several gates read, controlled rotations, features in the middle, and angles that are polynomials."""


class Layered(eqx.Module):
    """A network of one's own: a layer on both rows of an input, another on what it gives, and that one again."""

    rows: QuantumLayer
    whole: QuantumLayer
    dense: Dense
    mapped: bool = eqx.field(static=True)

    def __call__(self, x: Any) -> Any:
        parts = x.reshape(2, 2)
        values = jax.vmap(self.rows)(parts) if self.mapped else on_each(self.rows, parts)
        outputs = self.whole(values.reshape(-1))
        return self.dense(self.whole(jnp.concatenate([outputs, outputs**2])))


@dataclasses.dataclass(frozen=True)
class LayeredArchitecture:
    """Of two circuits in three calls; `mapped` takes `jax.vmap` in the place of `on_each`."""

    mapped: bool = False

    def build(self, input_shape: tuple[int, int, int], n_classes: int, *, key: Any) -> Layered:
        ansatz = StronglyEntangling(n_wires=2, n_layers=1)
        weights = jax.random.uniform(key, (2, *ansatz.weight_shape), jnp.float32, maxval=6.0)
        hermitian = Hermitian(jax.random.normal(key, (2, 4)), each_wire(2))
        return Layered(
            QuantumLayer(AngleEmbedding(2), ansatz.circuit(), weights[0], PauliZ(each_wire(2))),
            QuantumLayer(AmplitudeEmbedding(2), ansatz.circuit(), weights[1], hermitian),
            Dense(2, n_classes, "xavier_normal", key=key),
            self.mapped,
        )


NETWORKS: dict[str, tuple[Any, InnerLoop]] = {
    "hermitian": (Q(n_qubits=2, n_layers=1), InnerLoop(steps=2, step_sizes="tensor")),
    "pauli_z": (Q(n_qubits=2, n_layers=1, observable="pauli_z", skip="none"), InnerLoop(steps=2, optimiser="momentum")),
    "shared": (
        Q(n_qubits=2, n_layers=1, ansatz=SHARED, embedding="none", skip="projection"),
        InnerLoop(steps=2, step_sizes="shared"),
    ),
    "frozen": (
        Q(n_qubits=2, n_layers=1, branch="frozen", embedding="angle"),
        InnerLoop(steps=3, own_examples=True, optimiser="adam"),
    ),
    "quanvolution": (Q(n_qubits=2, n_layers=1, quanvolution_layers=1), InnerLoop(steps=1, step_sizes="tensor")),
    "own": (LayeredArchitecture(), InnerLoop(steps=3, step_sizes="tensor", optimiser="momentum")),
}
IMAGE_SHAPES = {"own": (2, 2, 1)}


@lru_cache
def small(name: str) -> DistilledDataset:
    architecture, inner = NETWORKS[name]
    return random_bundle(architecture, inner, input_shape=IMAGE_SHAPES.get(name, (28, 28, 1)), n_classes=3)


@lru_cache
def partly_dead() -> DistilledDataset:
    """A bundle whose first input gives the features zero, of which amplitude embedding makes no amplitudes."""
    bundle = small("hermitian")
    biases = {name: 0 * bundle.initial_weights[name] for name in bundle.initial_weights if name.endswith("bias")}
    weights = bundle.initial_weights | biases | {"features.f2.bias": biases["features.f2.bias"] - 0.1}
    inputs = bundle.data.inputs.at[0].set(0)
    return dataclasses.replace(
        bundle, initial_weights=weights, data=eqx.tree_at(lambda data: data.inputs, bundle.data, inputs)
    )


@lru_cache
def replayed(name: str) -> dict[str, Any]:
    return named_weights(small(name).train())


def settings(backend: str = "exact", **fields: Any) -> ExecutionSettings:
    return ExecutionSettings(backend, **{"batch": 20, **fields})


def evaluators(execution: Execution) -> dict[MeasuredCircuit, Evaluator]:
    chosen = execution.settings
    return {measured: evaluator(measured, chosen.backend, chosen.shots)[0] for measured in execution.measured}


def trained(execution: Execution, folder: Path, *, resume: bool = False) -> dict[str, np.ndarray]:
    execution.open(folder, resume=resume)
    return {name: np.asarray(w) for name, w in named_weights(execution.train(evaluators(execution), folder)).items()}


class Recording:
    """An evaluator that counts, and fails from some call on."""

    def __init__(self, inner: Evaluator, fails_from: int = 10**9) -> None:
        self.inner, self.fails_from, self.calls, self.evaluations = inner, fails_from, 0, 0

    def expectations(self, parameters: np.ndarray, *, seed: int) -> np.ndarray:
        if self.calls >= self.fails_from:
            raise ConnectionError("the line is dead")
        self.calls += 1
        self.evaluations += len(parameters)
        return self.inner.expectations(parameters, seed=seed)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *((name, "exact") for name in NETWORKS),
        ("hermitian", "pennylane:default.qubit"),
        ("pauli_z", "pennylane:lightning.qubit"),
        ("hermitian", "qiskit-aer"),
        ("shared", "qiskit-aer"),
        ("own", "qiskit-aer"),
        ("own", "pennylane:default.qubit"),
    ],
)
def test_exact_values_train_as_the_replay(name: str, backend: str, tmp_path: Path) -> None:
    bundle = small(name)
    expected = replayed(name)
    batch = 5000 if name == "quanvolution" else 20
    for key, value in trained(Execution(bundle, settings(backend, batch=batch)), tmp_path).items():
        if bundle.inner.optimiser == "adam" and not key.startswith("f3."):
            continue  # Adam makes a whole step of a gradient of any size, even of rounding.
        np.testing.assert_allclose(value, expected[key], atol=1e-4, err_msg=key)
        moved = np.abs(np.asarray(expected[key] - bundle.initial_weights[key])).max()
        assert np.abs(value - expected[key]).max() <= 0.01 * moved + 1e-6, key


def test_an_image_without_features_trains_as_the_replay(tmp_path: Path) -> None:
    bundle = partly_dead()
    expected = bundle.train()
    for model in (bundle.initial_model(), expected):
        features = np.stack([model.features(x) for x in bundle.data.inputs])
        assert list(np.any(features != 0, axis=1)) == [False, True, True]
    execution = Execution(bundle, settings())
    weights = trained(execution, tmp_path)
    for key, value in named_weights(expected).items():
        np.testing.assert_allclose(weights[key], value, atol=1e-5, err_msg=key)
    inputs_seen = bundle.data.schedule.size
    assert execution.circuits == training_circuits(bundle.initial_model(), bundle.input_shape, inputs_seen)


@pytest.mark.parametrize("size", [0.0, 1e-7, 1e-6, 1e-3])
def test_features_near_zero_have_the_layer_s_values_and_derivatives(size: float) -> None:
    """Where the amplitudes' norm falls below 1, and at zero, where there are none."""
    layer = layer_of("hermitian")
    measured = measured_circuit(layer)
    features = size * jnp.array([1.0, -0.5, 0.25, 2.0])
    angles = np.asarray(measured.layer_angles(layer, features), dtype=float)
    rule = parameter_shift(measured)
    at_offsets = evaluator(measured, "exact", None)[0].expectations(angles + rule.offsets, seed=0)
    terms, slopes = (jnp.asarray(array, jnp.float32) for array in (at_offsets[0], at_offsets.T @ rule.slopes))

    def executed(layer: QuantumLayer, features: Any) -> Any:
        return Answers([Call(measured, 1)], [(terms[None], slopes[None])])(0, layer, features[None])[0]

    np.testing.assert_allclose(executed(layer, features), layer(features), atol=1e-5)
    for output in range(layer.n_outputs):
        ours = jax.grad(lambda parts, k=output: executed(*parts)[k])((layer, features))
        theirs = jax.grad(lambda parts, k=output: parts[0](parts[1])[k])((layer, features))
        for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            # The derivatives by small features are large.
            np.testing.assert_allclose(one, other, atol=1e-5 * max(1.0, float(np.abs(other).max())))
        assert size or not any(np.any(leaf) for leaf in jax.tree.leaves(ours))


@pytest.mark.parametrize("name", NETWORKS)
def test_as_many_circuits_as_predicted(name: str, tmp_path: Path) -> None:
    bundle = small(name)
    execution = Execution(bundle, settings(batch=5000))
    counting = {measured: Recording(measuring) for measured, measuring in evaluators(execution).items()}
    observed: list[int] = []
    execution.open(tmp_path)
    predicted = training_circuits(bundle.initial_model(), bundle.input_shape, bundle.data.schedule.size)
    assert predicted == execution.circuits == sum(execution.circuits_left(tmp_path).values())
    execution.train(counting, tmp_path, observe=observed.append)
    run = sum(one.evaluations * len(measured.settings) for measured, one in counting.items())
    assert predicted == run == sum(observed)
    assert execution.circuits_left(tmp_path) == dict.fromkeys(execution.measured, 0)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_every_component_is_measured_as_it_is_simulated(name: str) -> None:
    layer = COMBINATIONS[name].layer(1)
    measured = measured_circuit(layer)
    features = jnp.asarray(COMBINATIONS[name].features(1)[0])
    angles = np.asarray(measured.layer_angles(layer, features), dtype=float)[None]
    reference, _ = evaluator(measured, "exact", None)
    terms = reference.expectations(angles, seed=0)
    np.testing.assert_allclose(
        measured.values(layer, features, jnp.asarray(terms[0], jnp.float32)), layer(features), atol=2e-5
    )
    for backend in ("pennylane:default.qubit", "qiskit-aer"):
        other, _ = evaluator(measured, backend, None)
        np.testing.assert_allclose(other.expectations(angles, seed=0), terms, atol=2e-5, err_msg=backend)
    assert n_evaluations(measured, "parameter_shift", 1) * len(measured.settings) == circuits_per_gradient(layer)


def layer_of(name: str) -> QuantumLayer:
    model: Any = small(name).initial_model()
    return model.branch


def test_parameter_shift_is_the_derivative() -> None:
    layer = layer_of("shared")
    measured = measured_circuit(layer)
    angles = np.random.default_rng(0).normal(size=len(measured.angles))
    rule = parameter_shift(measured)
    reference, _ = evaluator(measured, "exact", None)
    slopes = reference.expectations(angles + rule.offsets, seed=0).T @ rule.slopes
    step = 1e-2
    for place in range(len(angles)):
        ends = angles + step * np.outer([1, -1], np.eye(len(angles))[place])
        up, down = reference.expectations(ends, seed=0)
        np.testing.assert_allclose(slopes[:, place], (up - down) / (2 * step), atol=2e-4)


def test_spsa_is_right_in_the_mean() -> None:
    layer = layer_of("hermitian")
    measured = measured_circuit(layer)
    angles = np.random.default_rng(1).normal(size=len(measured.angles))
    reference, _ = evaluator(measured, "exact", None)
    exact_rule = parameter_shift(measured)
    exact = reference.expectations(angles + exact_rule.offsets, seed=0).T @ exact_rule.slopes
    rng = np.random.default_rng(2)
    rules = [spsa(measured, 0.05, 2, rng) for _ in range(1000)]
    terms = reference.expectations(np.concatenate([angles + rule.offsets for rule in rules]), seed=0)
    draws = np.stack([t.T @ r.slopes for t, r in zip(terms.reshape(1000, 5, -1), rules, strict=True)])
    z = (draws.mean(axis=0) - exact) / (draws.std(axis=0) / np.sqrt(1000) + 1e-3)
    assert np.abs(z).max() < 4.5
    alone = [spsa(measured, 0.05, 1, rng) for _ in range(1000)]
    terms = reference.expectations(np.concatenate([angles + rule.offsets for rule in alone]), seed=0)
    single = np.stack([t.T @ r.slopes for t, r in zip(terms.reshape(1000, 3, -1), alone, strict=True)])
    # Two directions have half the variance of one; the ratio's own spread is a few per cent a derivative.
    assert single.var(axis=0).sum() / draws.var(axis=0).sum() == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("backend", ["qiskit-aer", "pennylane:default.qubit", "pennylane:lightning.qubit"])
def test_samples_are_within_their_interval(backend: str) -> None:
    measured = measured_circuit(layer_of("shared"))
    angles = np.random.default_rng(3).normal(size=(40, len(measured.angles)))
    exact = evaluator(measured, "exact", None)[0].expectations(angles, seed=0)
    shots = 400
    sampling, _ = evaluator(measured, backend, shots)
    values = sampling.expectations(angles, seed=5)
    z = ((values - exact) / np.sqrt((1 - exact**2) / shots + 1e-6)).reshape(-1)
    assert np.abs(z).max() < 4.5
    # The squares' mean is 1 with a standard deviation of sqrt(2 / n): neither exact values nor one shared sample.
    assert abs(np.mean(z**2) - 1) < 5 * np.sqrt(2 / z.size)
    np.testing.assert_array_equal(values, sampling.expectations(angles, seed=5))
    assert not np.array_equal(values, sampling.expectations(angles, seed=6))


def test_equal_circuits_of_one_job_have_samples_of_their_own() -> None:
    measured = measured_circuit(layer_of("pauli_z"))
    angles = np.repeat(np.random.default_rng(4).normal(size=(1, len(measured.angles))), 8, axis=0)
    for backend in ("qiskit-aer", "pennylane:default.qubit", "pennylane:lightning.qubit"):
        values = evaluator(measured, backend, 1000)[0].expectations(angles, seed=1)
        assert len(np.unique(values, axis=0)) > 4, backend


@dataclasses.dataclass
class Shrinking:
    """An evaluator whose samples are biased towards 0."""

    inner: Evaluator
    factor: float

    def expectations(self, parameters: np.ndarray, *, seed: int) -> np.ndarray:
        return self.factor * self.inner.expectations(parameters, seed=seed)


def test_sampled_trainings_spread_around_the_exact_one(tmp_path: Path) -> None:
    """The mean of weights after one step: Student's t of it is below 6, but not with samples that are 5 % too small."""
    bundle, shots, n_seeds = small("hermitian"), 500, 12
    exact = trained(Execution(bundle, settings(), steps=1), tmp_path / "exact")
    (measured,) = Execution(bundle, settings()).measured
    measuring, _ = evaluator(measured, "qiskit-aer", shots)
    # Those that read the measured values, their derivatives, and both.
    names = ["f3.weight", "branch.weights", "branch.observable.coefficients", "features.f2.bias"]

    def greatest_t(measuring: Evaluator, name: str) -> float:
        weights = []
        for seed in range(n_seeds):
            execution = Execution(bundle, settings("qiskit-aer", shots=shots, seed=seed, batch=300), steps=1)
            folder = tmp_path / name / str(seed)
            execution.open(folder)
            model = named_weights(execution.train({measured: measuring}, folder))
            weights.append(np.concatenate([np.ravel(model[name] - exact[name]) for name in names]))
        error = np.std(weights, axis=0, ddof=1) / np.sqrt(n_seeds)
        sampled = error > 0
        assert sampled.any()
        return float(np.max(np.abs(np.mean(weights, axis=0)[sampled]) / error[sampled]))

    unbiased, biased = greatest_t(measuring, "samples"), greatest_t(Shrinking(measuring, 0.95), "too small")
    assert unbiased < 6 < biased


def test_circuits_are_transpiled_once_for_a_whole_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, transpiled = PassManager.run, []

    def counted(self: PassManager, circuits: Any, *arguments: Any, **options: Any) -> Any:
        transpiled.append(circuits)
        return run(self, circuits, *arguments, **options)

    monkeypatch.setattr(PassManager, "run", counted)
    execution = Execution(small("hermitian"), settings("qiskit-aer", shots=5))
    assert len(list(execution.jobs())) > execution.n_steps > 1
    trained(execution, tmp_path)
    assert len(transpiled) == len(execution.measured[0].settings) == 3


def test_a_broken_backend_loses_nothing(tmp_path: Path) -> None:
    bundle = small("hermitian")
    execution = Execution(bundle, settings("qiskit-aer", shots=20))
    whole = trained(execution, tmp_path / "whole")
    ((measured, measuring),) = evaluators(execution).items()
    broken = Recording(measuring, fails_from=5)
    execution.open(tmp_path / "cut")
    with pytest.raises(RunError, match=r"failed in step 2, batch 3 .*the line is dead.*--resume"):
        execution.train({measured: broken}, tmp_path / "cut")
    jobs = list(execution.jobs())
    assert (tmp_path / "cut" / jobs[4].file).exists()
    assert not (tmp_path / "cut" / jobs[5].file).exists()
    going_on = Recording(measuring)
    execution.open(tmp_path / "cut", resume=True)
    weights = named_weights(execution.train({measured: going_on}, tmp_path / "cut"))
    assert going_on.calls == len(jobs) - 5
    for key, value in weights.items():
        np.testing.assert_array_equal(value, whole[key])


def test_more_steps_go_on_where_fewer_ended(tmp_path: Path) -> None:
    bundle = small("pauli_z")
    trained(Execution(bundle, settings(), steps=1), tmp_path)
    longer = Execution(bundle, settings())
    assert 0 < sum(longer.circuits_left(tmp_path).values()) == longer.circuits // 2
    weights = trained(longer, tmp_path, resume=True)
    np.testing.assert_allclose(weights["f3.weight"], replayed("pauli_z")["f3.weight"], atol=1e-4)


def test_a_job_is_not_too_large() -> None:
    execution = Execution(small("hermitian"), settings(shots=500_000))
    assert max(job.evaluations for job in execution.jobs()) * 3 * 500_000 <= 5_000_000
    assert execution.circuits == Execution(small("hermitian"), settings()).circuits


def test_spsa_trains_with_two_evaluations_a_direction(tmp_path: Path) -> None:
    bundle = small("hermitian")
    execution = Execution(bundle, settings(gradient="spsa", directions=2))
    assert execution.circuits == bundle.data.schedule.size * 5 * 3
    seen = bundle.data.schedule.size
    predicted = training_circuits(bundle.initial_model(), bundle.input_shape, seen, "spsa", directions=2)
    assert predicted == execution.circuits
    weights = trained(execution, tmp_path)
    assert all(np.isfinite(value).all() for value in weights.values())
    # F3 sees the measured values themselves, so that its first step is exact.
    first = trained(Execution(bundle, settings(gradient="spsa"), steps=1), tmp_path / "one")
    exact = trained(Execution(bundle, settings(), steps=1), tmp_path / "exact")
    np.testing.assert_allclose(first["f3.weight"], exact["f3.weight"], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"backend": "qiskit-aer"}, "backend"),
        ({"shots": 10}, "shots"),
        ({"seed": 1}, "seed"),
        ({"gradient": "spsa"}, "gradient"),
        ({"bundle": "pauli_z"}, "bundle"),
    ],
)
def test_another_execution_is_not_resumed(change: dict[str, Any], what: str, tmp_path: Path) -> None:
    Execution(small("hermitian"), settings()).open(tmp_path)
    bundle = small(change.get("bundle", "hermitian"))
    other = Execution(bundle, settings(**{k: v for k, v in change.items() if k != "bundle"}))
    with pytest.raises(RunError, match=f"cannot be resumed: it is for another {what}"):
        other.open(tmp_path, resume=True)


def test_a_folder_is_neither_overwritten_nor_made_up(tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    with pytest.raises(RunError, match=r"no execution in .* to go on with"):
        execution.open(tmp_path, resume=True)
    execution.open(tmp_path)
    with pytest.raises(RunError, match="holds an execution already"):
        execution.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot create the folder"):
        execution.open(tmp_path / "file" / "folder")


def test_a_check_writes_nothing(tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    with pytest.raises(RunError, match=r"no execution in .* to go on with"):
        execution.check(tmp_path, resume=True)
    execution.check(tmp_path / "new")
    assert not list(tmp_path.iterdir())
    execution.open(tmp_path)
    with pytest.raises(RunError, match="holds an execution already"):
        execution.check(tmp_path)
    with pytest.raises(RunError, match="cannot be resumed: it is for another seed"):
        Execution(small("hermitian"), settings(seed=1)).check(tmp_path, resume=True)


def array_file(**arrays: Any) -> bytes:
    """A file of NumPy's: of several arrays, or of one without a name."""
    content = io.BytesIO()
    np.savez(content, **arrays) if arrays else np.save(content, np.zeros(3))
    return content.getvalue()


def changed(good: bytes) -> bytes:
    """The file with other bytes where its first array is compressed."""
    start = 30 + len("parameters.npy") + good[28]
    return good[: start + 4] + bytes(20) + good[start + 24 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: good[: len(good) // 2],
        lambda good: good[:-1],
        changed,
        lambda good: b"foreign",
        lambda good: array_file(),
        lambda good: array_file(inputs=np.zeros(3)),
    ],
    ids=["empty", "half", "without the end", "changed", "text", "one array", "other arrays"],
)
def test_damaged_results(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    trained(execution, tmp_path)
    first = tmp_path / next(execution.jobs()).file
    good = first.read_bytes()
    first.write_bytes(damage(good))
    with pytest.raises(RunError, match=r"Cannot read .*Delete it to measure it again"):
        trained(execution, tmp_path, resume=True)
    first.write_bytes(good)
    trained(execution, tmp_path, resume=True)


def pickled(good: bytes) -> bytes:
    """A file whose values would run a program when they are loaded."""
    with np.load(io.BytesIO(good)) as file:
        return array_file(parameters=file["parameters"], terms=np.array([{"a": 1}], dtype=object))


def with_values(value: Any) -> Callable[[bytes], bytes]:
    """The file with this in the place of every value."""

    def damage(good: bytes) -> bytes:
        with np.load(io.BytesIO(good)) as file:
            return array_file(parameters=file["parameters"], terms=np.full(file["terms"].shape, value))

    return damage


@pytest.mark.parametrize(
    "damage",
    [pickled, lambda good: b"foreign", with_values(np.nan), with_values(np.inf), with_values("1"), with_values(1j)],
    ids=["pickled", "text", "nan", "inf", "strings", "complex"],
)
def test_damaged_results_are_no_reason_to_load_them_unsafely(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    trained(execution, tmp_path)
    first = tmp_path / next(execution.jobs()).file
    first.write_bytes(damage(first.read_bytes()))
    with pytest.raises(RunError, match=r"Cannot read .*Delete it to measure it again") as refused:
        trained(execution, tmp_path, resume=True)
    assert "pickle" not in str(refused.value)


def test_results_of_other_circuits(tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    trained(execution, tmp_path)
    first, second, *_ = [tmp_path / job.file for job in execution.jobs()]
    first.write_bytes(second.read_bytes())
    with pytest.raises(RunError, match="are of other circuits"):
        trained(execution, tmp_path, resume=True)


class Silent:
    def expectations(self, parameters: np.ndarray, *, seed: int) -> np.ndarray:
        return np.full((len(parameters), 6), np.nan)


def test_values_that_are_none(tmp_path: Path) -> None:
    execution = Execution(small("hermitian"), settings())
    execution.open(tmp_path)
    with pytest.raises(RunError, match="finite ones of shape"):
        execution.train(dict.fromkeys(execution.measured, Silent()), tmp_path)
    assert not list((tmp_path / MEASURED).iterdir())


@pytest.mark.parametrize(
    ("backend", "shots", "message"),
    [
        ("qiskit-ear", 10, "`backend` must be one of .*Did you mean 'qiskit-aer'"),
        ("pennylane:", 10, "`backend` must be one of"),
        ("pennylane:default.nothing", 10, "'pennylane:default.nothing' cannot be made"),
        ("pennylane:default.gaussian", 10, "'pennylane:default.gaussian' cannot be made .*'seed'"),
        ("qiskit:FakeManil", 10, "Did you mean 'qiskit:fake_manila'"),
        ("qiskit:FakeManilaV2", None, "`shots` must be given for qiskit:FakeManilaV2"),
        ("ibm:ibm_somewhere", None, "`shots` must be given for ibm:ibm_somewhere"),
        ("qiskit-aer", 0, "`shots` must be at least 1"),
        ("exact", 10, "`shots` must be left out"),
    ],
)
def test_backends_that_are_none(backend: str, shots: int | None, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        evaluator(measured_circuit(layer_of("hermitian")), backend, shots)


@pytest.mark.parametrize("device", ["ionq.qpu", "braket.aws.qubit", "qiskit.remote", "qiskit.aer", "null.qubit"])
def test_no_device_of_a_plugin_is_even_made(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*arguments: Any, **options: Any) -> None:
        raise AssertionError("made")

    monkeypatch.setattr("pennylane.device", made)
    with pytest.raises(ArgumentError, match=rf"`backend` must .*'pennylane:{device}'.*paid for.*only ibm:NAME"):
        evaluator(measured_circuit(layer_of("hermitian")), f"pennylane:{device}", 10)


def test_the_simulators_that_are_taken_are_pennylane_s_own() -> None:
    taken = {name: entry for name, entry in qml.plugin_devices.items() if name.startswith(LOCAL)}
    assert {"default.qubit", "lightning.qubit", "reference.qubit"} <= set(taken)
    assert {entry.dist.name.replace("_", "-").lower() for entry in taken.values()} == {
        "pennylane",
        "pennylane-lightning",
    }


def test_a_device_that_needs_more_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    def demanding(wires: int, *, token: str) -> None:
        raise AssertionError("made")

    entry = SimpleNamespace(load=lambda: demanding)
    monkeypatch.setitem(qml.plugin_devices, "default.demanding", entry)
    with pytest.raises(ArgumentError, match=r"'pennylane:default.demanding' cannot be made \(.*argument"):
        evaluator(measured_circuit(layer_of("hermitian")), "pennylane:default.demanding", 10)


def test_a_device_with_too_few_qubits() -> None:
    model: Any = Q(n_qubits=6, n_layers=1).build((28, 28, 1), 3, key=jax.random.key(0))
    with pytest.raises(ArgumentError, match="the layer's 6 qubits at least, but qiskit:FakeManilaV2 has 5"):
        evaluator(measured_circuit(model.branch), "qiskit:FakeManilaV2", 10)


@pytest.mark.parametrize(
    ("backend", "missing", "extra"),
    [
        ("qiskit-aer", "qiskit_aer.primitives", "qiskit"),
        ("qiskit:FakeManilaV2", "qiskit_ibm_runtime.fake_provider", "qiskit"),
        ("ibm:ibm_somewhere", "qiskit_ibm_runtime", "qiskit"),
        ("pennylane:default.qubit", "pennylane", "pennylane"),
    ],
)
def test_an_extra_that_is_missing(backend: str, missing: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=rf"qdistill\[{extra}\]"):
        evaluator(measured_circuit(layer_of("hermitian")), backend, 10)


def test_networks_and_settings_that_cannot_be_executed() -> None:
    for classical in (LeNetArchitecture(width=4), Q(n_qubits=2, branch="dense")):
        with pytest.raises(BundleError, match="has no quantum layer that could be executed on exact"):
            Execution(random_bundle(classical), settings())
    with pytest.raises(CircuitError, match=r"within `jax\.vmap`, .*Call it by `quantum\.on_each`"):
        Execution(random_bundle(LayeredArchitecture(mapped=True), input_shape=(2, 2, 1)), settings())
    for steps in (0, 3):
        with pytest.raises(ArgumentError, match="`steps` must be from 1 to the 2"):
            Execution(small("hermitian"), settings(), steps=steps)
    for field, value in [("shots", 0), ("seed", -1), ("perturbation", 0.0), ("directions", 0), ("batch", 0)]:
        with pytest.raises(ArgumentError, match=f"`{field}` must be"):
            settings(**{field: value})


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_gradient() -> None:
    with pytest.raises(ArgumentError, match="`gradient` must be one of"):
        settings(gradient="shift")


def test_a_simulated_device_has_noise() -> None:
    measured = measured_circuit(layer_of("pauli_z"))
    angles = np.random.default_rng(7).normal(size=(4, len(measured.angles)))
    exact = evaluator(measured, "exact", None)[0].expectations(angles, seed=0)
    noisy, _ = evaluator(measured, "qiskit:FakeManilaV2", 4000)
    error = np.abs(noisy.expectations(angles, seed=1) - exact)
    assert 0.005 < error.mean() < 0.15


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    bundle = digits_bundle(*NETWORKS["pauli_z"])
    bundle.save(tmp_path / "bundle.safetensors")
    return tmp_path / "bundle.safetensors"


def test_the_command(saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["execute", str(saved), "--backend", "qiskit-aer", "--shots", "50", "--steps", "1"]
    arguments += ["--out", str(tmp_path / "out"), "--price", "0.01", "--no-compilation-cache"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    circuits = scores["circuits"]
    assert f"{circuits:,} of 50 shots" in out
    assert "after all 2 steps" in out
    assert "To go on: the same with --resume, and without --steps" in out
    assert f"{circuits:,} circuits of 50 shots, {circuits * 0.01:,.2f} at 0.01 a circuit" in err
    assert f"{circuits:,} circuits done, 0 left, {circuits * 0.01:,.2f} of {circuits * 0.01:,.2f}, 0 s to go" in err
    assert scores["steps"] == 1
    assert scores["n_test"] == 500
    assert (tmp_path / "out" / "weights.safetensors").exists()
    assert main(arguments) == 1
    assert "holds an execution already" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["test_accuracy"] == scores["test_accuracy"]
    assert f"{circuits:,} of them measured already" in capsys.readouterr().err

    monkeypatch.setattr(DistilledDataset, "made_from", lambda *_: False)
    assert main([*arguments, "--resume"]) == 0
    out, err = capsys.readouterr()
    assert "recorded" not in out
    assert "The recorded accuracy is of the other data and left out." in " ".join(err.split())
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["recorded_test_accuracy"] is None


@dataclasses.dataclass
class Ran:
    """What a sampler of Qiskit's really ran, told from its results."""

    circuits: int = 0
    shots: int = 0

    def watch(self, measuring: Any) -> Evaluator:
        """The same `QiskitSampler`, with samplers that are counted."""
        made = measuring.sampler
        return dataclasses.replace(measuring, sampler=lambda seed: SimpleNamespace(run=partial(self._run, made(seed))))

    def _run(self, sampler: Any, pubs: Any, *, shots: int) -> Any:
        job = sampler.run(pubs, shots=shots)
        for part in job.result():
            self.circuits += part.data.wires.size
            self.shots += part.data.wires.size * part.data.wires.num_shots
        return job


@pytest.mark.parametrize("rule", [["parameter_shift"], ["spsa", "--directions", "2"], ["spsa"]], ids=" ".join)
@pytest.mark.parametrize("steps", [["--steps", "1"], []], ids=["one step", "all steps"])
def test_cost_predicts_what_execute_runs(
    rule: list[str], steps: list[str], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ran = tmp_path / "bundle.safetensors", Ran()
    digits_bundle(*NETWORKS["hermitian"]).save(path)

    def counted(*arguments: Any) -> tuple[Evaluator, None]:
        return ran.watch(evaluator(*arguments)[0]), None

    monkeypatch.setattr("qdistill.backends.evaluators.evaluator", counted)
    both = [str(path), "--shots", "3", *steps]
    assert main(["cost", *both, "--json", "--gradient", *rule]) == 0
    work = json.loads(capsys.readouterr().out)["trainings"][0]["work"]
    out = tmp_path / "out"
    arguments = [*both, "--backend", "qiskit-aer", "--gradient", *rule, "--out", str(out), "--no-compilation-cache"]
    assert main(["execute", *arguments]) == 0
    assert (ran.circuits, ran.shots) == (work["circuits"], work["shots"])
    assert json.loads((out / "scores.json").read_text())["circuits"] == ran.circuits


def test_the_command_with_wrong_options(saved: Path, tmp_path: Path, capsys: Any) -> None:
    for options, message in [
        (["--backend", "qiskit-aer", "--shots", "0"], "`shots` must be at least 1"),
        (["--backend", "nowhere"], "`backend` must be one of"),
        (["--backend", "exact", "--price", "-1"], "`price` must be"),
        (["--backend", "exact", "--steps", "9"], "`steps` must be from 1 to the 2"),
    ]:
        assert main(["execute", str(saved), *options, "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_no_time_is_told_before_something_new_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    now = [0.0]
    monkeypatch.setattr("qdistill.cli.execute.time", SimpleNamespace(monotonic=lambda: now[0]))

    def told(before: int, times: list[float]) -> list[str]:
        now[0] = 0.0
        with progress(40, before, None) as observe:
            for now[0] in times:
                observe(10)
        return re.findall(r"left(?:, (.*) s to go)?\n", capsys.readouterr().err)

    assert told(0, [5, 10, 15, 20]) == ["15", "10", "5", "0"]
    assert told(20, [100, 200, 205, 210]) == ["", "", "5", "0"]
    assert told(40, [1, 2, 3, 4]) == ["", "", "", ""]


class Interrupted(Recording):
    """As if Ctrl-C were pressed in the middle of a batch."""

    def expectations(self, parameters: np.ndarray, *, seed: int) -> np.ndarray:
        if self.calls >= self.fails_from:
            raise KeyboardInterrupt
        return super().expectations(parameters, seed=seed)


def test_ctrl_c_says_how_to_go_on(saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> tuple[Evaluator, None]:
        return Interrupted(evaluator(*arguments)[0], fails_from=2), None

    monkeypatch.setattr("qdistill.backends.evaluators.evaluator", interrupted)
    out = tmp_path / "a folder"
    arguments = ["execute", str(saved), "--backend", "exact", "--gradient", "spsa", "--directions", "32"]
    arguments += ["--out", str(out), "--no-compilation-cache"]
    for options in ([], ["--resume"]):
        assert main([*arguments, *options]) == INTERRUPTED
        (line,) = re.findall("To go on: (.*)\n", capsys.readouterr().err)
        program, *again = shlex.split(line)
        assert [program, *again] == ["qdistill", *arguments, "--resume"]
        assert not (out / "scores.json").exists()
    monkeypatch.undo()
    stored = len(list((out / MEASURED).iterdir()))
    assert stored == 4
    assert main(again) == 0
    assert json.loads((out / "scores.json").read_text())["steps"] == 2


class Service:
    """IBM's service with one device, which is simulated, and the jobs that were sent to it.

    Args:
        breaks: what happens to the first job while it is waited for.
    """

    def __init__(self, breaks: BaseException | None = None) -> None:
        self.breaks, self.sent = breaks, 0
        self.jobs: dict[str, Any] = {}

    def backend(self, name: str) -> Any:
        if name != "ibm_here":
            raise LookupError("token=secret")
        return FakeManilaV2()

    def job(self, job_id: str) -> Any:
        try:
            return self.jobs[job_id]
        except KeyError:
            raise RuntimeJobNotFound("token=secret") from None

    def sampler(self, mode: Any) -> Any:
        """In the place of `SamplerV2`: the real one, whose jobs are kept."""
        with warnings.catch_warnings():
            # Since qiskit-ibm-runtime 0.50, in favour of `executor_sampler.Sampler`.
            warnings.filterwarnings("ignore", "The SamplerV2 class is deprecated", DeprecationWarning)
            return SimpleNamespace(run=partial(self._run, SamplerV2(mode=mode)))

    def _run(self, sampler: Any, pubs: Any, *, shots: int) -> Any:
        self.sent += 1
        job = sampler.run(pubs, shots=shots)
        self.jobs[job.job_id()] = job
        if self.breaks is not None and self.sent == 1:
            return Broken(job.job_id(), self.breaks)
        return job


class Broken:
    """A job that runs on, but is not heard of any more."""

    def __init__(self, job_id: str, error: BaseException) -> None:
        self.id, self.error = job_id, error

    def job_id(self) -> str:
        return self.id

    def result(self) -> Any:
        raise self.error


class Ended:
    """A job that will never have a result."""

    def in_final_state(self) -> bool:
        return True

    def done(self) -> bool:
        return False


def use_service(service: Service, answer: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qiskit_ibm_runtime.QiskitRuntimeService", lambda: service)
    monkeypatch.setattr("qiskit_ibm_runtime.SamplerV2", service.sampler)
    monkeypatch.setattr("builtins.input", answer)


def on_ibm(saved: Path, out: Path, *options: str) -> list[str]:
    """A job of 30 circuits in each of two steps."""
    arguments = ["execute", str(saved), "--backend", "ibm:ibm_here", "--shots", "20", "--gradient", "spsa"]
    return [*arguments, "--directions", "1", "--out", str(out), "--no-compilation-cache", *options]


def refuse_to_ask() -> str:
    raise AssertionError("asked")


@pytest.mark.parametrize("answer", ["no", ""])
def test_a_real_device_asks_first(
    answer: str, saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    use_service(service, lambda: answer, monkeypatch)
    assert main(on_ibm(saved, tmp_path / "out", "--shots", "100")) == 1
    err = capsys.readouterr().err
    (card,) = [card for card in read_rates() if card.name.startswith("IBM")]
    # 250 us a shot, as long as the card has it.
    work = Work(60, 60 * 100, 1, 0, 0)
    assert "ibm:ibm_here would run 60 circuits of 100 shots, in about 1.5 s of its time" in err
    assert f"({card.name}, as of {card.date}) that is about {card.price(work):,.2f} {card.currency}." in err
    assert "nothing was sent" in err
    assert service.sent == 0
    assert not (tmp_path / "out").exists()


def test_every_circuit_of_a_network_is_on_the_bill(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = digits_bundle(*NETWORKS["quanvolution"])
    bundle.save(tmp_path / "bundle.safetensors")
    lasting = {4: 1e-3, 2: 1e-2}  # seconds of a circuit with its shots, by wires

    def timed(measured: MeasuredCircuit, *_: Any) -> tuple[Evaluator, float]:
        return evaluator(measured, "exact", None)[0], lasting[measured.circuit.n_wires]

    monkeypatch.setattr("qdistill.backends.evaluators.evaluator", timed)
    monkeypatch.setattr("builtins.input", lambda: "no")
    assert main(on_ibm(tmp_path / "bundle.safetensors", tmp_path / "out", "--shots", "100")) == 1
    # By SPSA along one direction three evaluations a vector: of 4 wires for the 16 x 16 patches, in one setting, and
    # of 2 wires for what F2 gives, in three.
    seen = bundle.data.schedule.size
    patches, features = 3 * 256 * seen, 3 * 3 * seen
    seconds = patches * lasting[4] + features * lasting[2]
    err = capsys.readouterr().err
    told = f"would run {patches + features:,} circuits of 100 shots, in about {seconds:,.1f} s of its time."
    assert told in err
    (card,) = [card for card in read_rates() if card.name.startswith("IBM")]
    assert f"that is about {seconds * card.per_second:,.2f} {card.currency}." in err


def test_a_real_device_with_too_few_qubits(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    use_service(service, refuse_to_ask, monkeypatch)
    model: Any = Q(n_qubits=6, n_layers=1).build((28, 28, 1), 3, key=jax.random.key(0))
    with pytest.raises(ArgumentError, match="the layer's 6 qubits at least, but ibm:ibm_here has 5"):
        evaluator(measured_circuit(model.branch), "ibm:ibm_here", 10)
    assert service.sent == 0


IBM_CARD = """[[card]]
name = "Ours"
currency = "USD"
per_task = 9.0
date = "2026-01-01"
source = "here"

[[card]]
name = "our IBM plan"
currency = "EUR"
per_second = 4.0
seconds_per_shot = 1.0
per_task = 0.5
date = "2026-02-03"
source = "here"
"""


def test_a_real_device_is_priced_by_the_user_s_card(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_service(Service(), lambda: "yes", monkeypatch)
    rates = tmp_path / "rates.toml"
    rates.write_text(IBM_CARD)
    assert main(on_ibm(saved, tmp_path / "out", "--shots", "100", "--rates", str(rates))) == 0
    err = capsys.readouterr().err
    # 250 us a shot by the device, whatever the card says: 60 circuits of 100 shots are 1.5 s.
    assert "At 4 EUR a second and 0.5 EUR a circuit (our IBM plan, as of 2026-02-03) that is about 36.00 EUR." in err
    assert "30 circuits done, 30 left, 18.00 of 36.00 EUR, " in err
    assert "60 circuits done, 0 left, 36.00 of 36.00 EUR, " in err


def test_a_price_of_the_user_s_is_shown_instead_of_the_card_s(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_service(Service(), lambda: "yes", monkeypatch)
    assert main(on_ibm(saved, tmp_path / "out", "--steps", "1", "--price", "2")) == 0
    assert "30 circuits done, 0 left, 60.00 of 60.00, " in capsys.readouterr().err
    assert main(on_ibm(saved, tmp_path / "out", "--resume")) == 0
    (card,) = [card for card in read_rates() if card.name.startswith("IBM")]
    price = card.price(Work(60, 60 * 20, 1, 0, 0))
    assert f"60 circuits done, 0 left, {price:,.2f} of {price:,.2f} {card.currency}, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "backend", "message"),
    [
        (IBM_CARD.replace("IBM", "I.B.M."), "ibm:ibm_here", "has none: 'Ours', 'our I.B.M. plan'"),
        (IBM_CARD.replace("Ours", "IBM"), "ibm:ibm_here", "has 2: 'IBM', 'our IBM plan'"),
        ("", "ibm:ibm_here", "must hold a table [[card]]"),
        (IBM_CARD, "qiskit-aer", "must be left out but for ibm:NAME"),
    ],
)
def test_rates_that_do_not_fit(
    text: str,
    backend: str,
    message: str,
    saved: Path,
    tmp_path: Path,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Service()
    use_service(service, refuse_to_ask, monkeypatch)
    rates = tmp_path / "rates.toml"
    rates.write_text(text)
    assert main(on_ibm(saved, tmp_path / "out", "--backend", backend, "--rates", str(rates))) == 2
    err = capsys.readouterr().err
    assert "Argument `rates` must" in err
    assert message in err
    assert service.sent == 0
    assert not (tmp_path / "out").exists()


def test_a_real_device_after_yes(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    use_service(service, lambda: "yes", monkeypatch)
    assert main(on_ibm(saved, tmp_path / "out")) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["circuits"] == scores["circuits_measured_now"] == 60
    assert service.sent == 2
    use_service(service, refuse_to_ask, monkeypatch)
    assert main(on_ibm(saved, tmp_path / "out", "--resume")) == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["test_accuracy"] == scores["test_accuracy"]
    assert service.sent == 2


def test_nothing_is_asked_for_a_folder_that_does_not_fit(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_service(Service(), refuse_to_ask, monkeypatch)
    arguments = ["execute", str(saved), "--backend", "exact", "--steps", "1", "--out", str(tmp_path)]
    assert main([*arguments, "--gradient", "spsa", "--directions", "1", "--no-compilation-cache"]) == 0
    capsys.readouterr()
    for options, message in [([], "holds an execution already"), (["--resume"], "for another backend, shots")]:
        assert main(on_ibm(saved, tmp_path, *options)) == 1
        err = capsys.readouterr().err
        assert message in err
        assert "would run" not in err
        assert "measured already" not in err


def test_a_real_device_that_fails_without_a_word_of_the_account(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Service):
        def _run(self, sampler: Any, pubs: Any, *, shots: int) -> Any:
            if self.sent:
                raise ConnectionError("token=secret")
            return super()._run(sampler, pubs, shots=shots)

    use_service(Failing(), lambda: "yes", monkeypatch)
    assert main([*on_ibm(saved, tmp_path), "--debug"]) == 1
    err = capsys.readouterr().err
    assert "The backend ibm:ibm_here failed in step 2, batch 1 (ConnectionError). All batches before are in" in err
    assert "secret" not in err
    first, second = Execution(
        DistilledDataset.load(saved), ExecutionSettings("ibm:ibm_here", 20, "spsa", directions=1)
    ).jobs()
    assert (tmp_path / first.file).exists()
    assert not (tmp_path / second.file).exists()
    assert not (tmp_path / second.id_file).exists()


@pytest.mark.parametrize(("breaks", "code"), [(ConnectionError("token=secret"), 1), (KeyboardInterrupt(), INTERRUPTED)])
def test_a_job_that_was_sent_is_fetched(
    breaks: BaseException, code: int, saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(breaks)
    use_service(service, lambda: "yes", monkeypatch)
    assert main(on_ibm(saved, tmp_path)) == code
    assert "secret" not in capsys.readouterr().err
    assert service.sent == 1
    assert main(on_ibm(saved, tmp_path, "--resume")) == 0
    assert service.sent == 2


@pytest.mark.parametrize("ended", [True, False], ids=["failed", "unknown"])
def test_a_job_without_a_result_is_sent_again(
    ended: bool, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(ConnectionError())
    use_service(service, lambda: "yes", monkeypatch)
    assert main(on_ibm(saved, tmp_path)) == 1
    service.jobs = {job_id: Ended() for job_id in service.jobs if ended}
    assert main(on_ibm(saved, tmp_path, "--resume")) == 0
    assert service.sent == 3


def test_a_job_is_not_sent_again_while_the_service_cannot_be_asked(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(job_id: str) -> Any:
        raise ConnectionError("token=secret")

    service = Service(ConnectionError())
    use_service(service, lambda: "yes", monkeypatch)
    assert main(on_ibm(saved, tmp_path)) == 1
    monkeypatch.setattr(service, "job", unreachable)
    assert main(on_ibm(saved, tmp_path, "--resume")) == 1
    assert service.sent == 1
    assert "secret" not in capsys.readouterr().err


def test_no_account_and_no_device_without_a_word_of_the_account(
    saved: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_account() -> None:
        raise ValueError("token=secret")

    for service, message in [(no_account, "Save an account first"), (Service, "has no device 'ibm_there'")]:
        monkeypatch.setattr("qiskit_ibm_runtime.QiskitRuntimeService", service)
        arguments = [
            "execute",
            str(saved),
            "--backend",
            "ibm:ibm_there",
            "--shots",
            "9",
            "--out",
            str(tmp_path / "out"),
        ]
        assert main(arguments) == 1
        err = capsys.readouterr().err
        assert message in err
        assert "secret" not in err
