"""Programs that train a circuit classifier on its distilled examples in PennyLane or Qiskit, gate by gate.

They hold nothing of this package, and are meant to be read and changed: the circuit is written out as a person would
write it, with the angles as formulas of weights and features.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from qdistill.backends.layer_scripts import (
    coefficient_texts,
    pennylane_gate,
    pennylane_string,
    qiskit_gates,
    qiskit_sum,
    with_axes,
    written_out,
)
from qdistill.backends.pennylane import coefficients_of
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import BundleError
from qdistill.models import named_weights
from qdistill.models.circuit import CircuitClassifier
from qdistill.models.circuit_centric import AmplitudeCopies, wires_of_a_copy
from qdistill.models.dressed import DressedClassifier
from qdistill.quantum import AmplitudeEmbedding, Circuit, Observable, QuantumLayer
from qdistill.quantum.paulis import PauliString

Framework = Literal["pennylane", "qiskit"]


@dataclass(frozen=True)
class Parts:
    """A model in the pieces that its program is made of.

    Args:
        name: of the layer among the model's weights.
        layer: the circuit, and what is measured.
        before: lines that make `features` (n, features) from `inputs` (n, ...), with weights `w`.
        after: lines that make `values` (n, classes) from `values` (n, outputs).
        trains_inputs: whether weights stand before the circuit.
    """

    name: str
    layer: QuantumLayer
    before: tuple[str, ...]
    after: tuple[str, ...]
    trains_inputs: bool


def parts_of(model: Any) -> Parts | None:
    """The pieces of a circuit classifier; None for a model that is none."""
    if isinstance(model, CircuitClassifier) and isinstance(model.layer, QuantumLayer):
        return _of_classifier(model)
    if isinstance(model, AmplitudeCopies) and isinstance(model.classifier.layer, QuantumLayer):
        inner = _of_classifier(model.classifier, "classifier.")
        size = 2 ** wires_of_a_copy(int(np.prod(model.input_shape)))
        copies = [
            f"padding = np.full((len(features), {size} - features.shape[1]), 1 / {size})",
            "copy = np.concatenate([features, padding], axis=1)",
            "features = copy",
        ]
        copies += ["features = (features[:, :, None] * copy[:, None, :]).reshape(len(features), -1)"] * (
            model.n_copies - 1
        )
        return Parts(inner.name, inner.layer, (inner.before[0], *copies, *inner.before[1:]), inner.after, False)
    if isinstance(model, DressedClassifier) and isinstance(model.layer, QuantumLayer):
        before = (
            "features = inputs.reshape(len(inputs), -1)",
            'features = features @ w["before.weight"].T + w["before.bias"]',
            "features = np.pi / 2 * (np.tanh(features) + 1)",
        )
        after = ('values = values @ w["after.weight"].T + w["after.bias"]',)
        return Parts("layer", model.layer, before, after, True)
    return None


def _of_classifier(model: CircuitClassifier, prefix: str = "") -> Parts:
    before = ["features = inputs.reshape(len(inputs), -1)"]
    if model.input_scale is not None:
        before.append(f'features = features * w["{prefix}input_scale"]')
    after = [f"values = {model.factor!r} * values"] * (model.factor != 1)
    if model.output_scale is not None:
        after.append(f'values = values * w["{prefix}output_scale"]')
    if model.bias is not None:
        after.append(f'values = values + w["{prefix}bias"]')
    if model.margin:
        after.append(
            "values = np.concatenate([-values / 2, values / 2], axis=1)  # a margin speaks for the second class"
        )
    layer = model.layer
    assert isinstance(layer, QuantumLayer)
    return Parts(f"{prefix}layer", layer, tuple(before), tuple(after), model.input_scale is not None)


def is_classifier(bundle: DistilledDataset) -> bool:
    """Whether a bundle's network is one that `circuit_program` writes a program for."""
    return bundle.architecture is not None and parts_of(bundle.structure()) is not None


def circuit_program(bundle: DistilledDataset, framework: Framework, recorded: float | None) -> str:
    """The program that trains a bundle's model in that framework.

    Args:
        bundle: of a circuit classifier.
        recorded: the test accuracy that the program names beside its own.
        framework: whose gates and gradients it uses. PennyLane differentiates the simulation; Qiskit takes every
            derivative of the circuit by parameter shift, as a device would.

    Raises:
        BundleError: its model is no circuit classifier, or has weights before an amplitude embedding, which no shift of
            an angle reaches, for Qiskit.
    """
    model = bundle.initial_model()
    parts = parts_of(model)
    if parts is None:
        kind = type(bundle.architecture).__name__
        raise BundleError(f"The bundle's network {kind} is no circuit classifier, so no program can train it as one.")
    if framework == "qiskit" and parts.trains_inputs and isinstance(parts.layer.embedding, AmplitudeEmbedding):
        raise BundleError(
            "The bundle's model trains factors of its inputs before an amplitude embedding, which no parameter shift "
            "reaches. Export it to pennylane."
        )
    n = len(bundle.data.inputs)
    names = list(named_weights(model))
    fixed = untrained(parts.name, parts.layer, names)
    return TEMPLATES.get_template("circuit_train.py.jinja").render(
        what=f"the model {type(bundle.architecture).__name__}",
        n_examples=f"{n:,}",
        names=json.dumps(names),
        fixed=json.dumps(fixed) if fixed else "",
        optimiser=bundle.inner.optimiser,
        loss=_LOSSES[bundle.inner.loss],
        recorded="" if recorded is None else f"; qdistill recorded {recorded:.2%}",
        **(_pennylane(parts) if framework == "pennylane" else _qiskit(parts)),
    )


TEMPLATES = Environment(
    loader=PackageLoader("qdistill.backends", "scripts"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
"""The programs that are written, with what differs from bundle to bundle left open."""

_LOSSES = {
    "cross_entropy": '''\
"""Cross-entropy, the mean over the examples."""
shifted = logits - np.max(logits, axis=1, keepdims=True)
return -np.mean(np.sum(labels * (shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))), axis=1))''',
    "square": '''\
"""The squared difference, summed over the classes, the mean over the examples."""
return np.mean(np.sum((logits - labels) ** 2, axis=1))''',
    "hinge": '''\
"""How far each label's margin over the largest other logit is below 1, the mean over the examples."""
classes = range(logits.shape[1])
others = [np.max(logits[:, [other for other in classes if other != c]], axis=1) for c in classes]
return np.mean(np.sum(labels * np.maximum(0, 1 - logits + np.stack(others, axis=1)), axis=1))''',
    "fidelity": '''\
"""What the fidelity with the label's state lacks to 1, the mean over the examples."""
return 1 - np.mean(np.sum(labels * logits, axis=1))''',
}
"""For each of `qdistill.distill.losses` its lines, which NumPy, Autograd's and complex numbers take alike."""


def untrained(layer_name: str, layer: QuantumLayer, names: Collection[str]) -> list[str]:
    """The weights of a layer, among those of a network, that training leaves as they are."""
    own = [] if layer.trainable else [f"{layer_name}.weights"]
    if not (layer.trainable and getattr(layer.observable, "trainable", False)):
        own.append(f"{layer_name}.observable.coefficients")
    return [name for name in own if name in names]


def _pennylane(parts: Parts) -> dict[str, Any]:
    layer = parts.layer
    n, amplitude, circuit = written_out(layer)
    body = [f"qml.AmplitudeEmbedding(features.T, wires=range({n}), pad_with=0.0, normalize=True)"] * amplitude
    body += [pennylane_gate(operation) for operation in circuit.operations]
    measured, combined = _measurements(layer.observable, pennylane_string, f"{parts.name}.observable.coefficients")
    lines = [
        f'@qml.qnode(qml.device("default.qubit", wires={n}), diff_method="backprop")',
        "def circuit(features, angles):",
        '    """One value for each observable and example: features[i] is feature i of all examples."""',
        *("    " + line for line in body),
        "    return [",
        *(f"        qml.expval({observable})," for observable in measured),
        "    ]",
        "",
        "",
        "def logits(w, inputs):",
        '    """One row for each input."""',
        *("    " + line for line in parts.before),
        f'    values = np.stack(circuit(features.T, w["{parts.name}.weights"].reshape(-1)), axis=1)',
        *("    " + line for line in (*combined, *parts.after)),
        "    return values",
    ]
    return {
        "framework": "PennyLane",
        "packages": "pennylane",
        "imports": "import autograd.numpy as np\nimport pennylane as qml\nfrom autograd import grad",
        "circuit": "\n".join(lines),
        "gradient": "gradient = grad(lambda w, inputs, labels: loss(logits(w, inputs), labels))",
    }


_QISKIT_GRADIENT = '''\
def gradient(w, inputs, labels):
    """The derivative of the loss by every weight.

    Those of the circuit by its angles are parameter shifts: half the difference of the values a quarter turn on and a
    quarter turn back. All else is a formula of the weights, whose derivative is the imaginary part after a step into
    the complex plane, exact to rounding.
    """
    theta = angles(w, inputs)
    turns = np.pi / 2 * np.eye(theta.shape[1])
    values = expectation_values(inputs, theta)
    shifted = expectation_values(inputs, np.concatenate([theta + turn for turn in (*turns, *-turns)]))
    forward, back = shifted.reshape(2, len(turns), *values.shape)
    slopes = np.moveaxis(forward - back, 0, -1) / 2

    def along(name, place):
        moved = {other: array.astype(complex) for other, array in w.items()}
        moved[name].reshape(-1)[place] += 1e-20j
        turned = values + np.einsum("nok,nk->no", slopes, angles(moved, inputs) - theta)
        return loss(readout(moved, turned), labels).imag / 1e-20

    return {name: np.reshape([along(name, place) for place in range(a.size)], a.shape) for name, a in w.items()}'''


def _qiskit(parts: Parts) -> dict[str, Any]:
    layer = parts.layer
    n, amplitude, circuit = written_out(layer)
    body, formulas = _with_own_angles(circuit)
    measured, combined = _measurements(
        layer.observable, lambda string: qiskit_sum([(string, "1.0")], n), f"{parts.name}.observable.coefficients"
    )
    prepare = [
        f"amplitudes = np.pad(features, ((0, 0), (0, {2**n} - features.shape[1])))",
        "amplitudes = amplitudes / np.linalg.norm(amplitudes, axis=1, keepdims=True)",
    ]
    evaluate = (
        [
            "features = features_of(None, inputs)",
            *prepare,
            "rows = theta.reshape(-1, len(inputs), theta.shape[1])",
            "jobs = []",
            "for number, row in enumerate(amplitudes):",
            f"    prepared = QuantumCircuit({n})",
            "    prepared.prepare_state(row, prepared.qubits)",
            "    jobs.append((prepared.compose(CIRCUIT), OBSERVABLES, rows[:, number]))",
            "results = [result.data.evs.T for result in ESTIMATOR.run(jobs).result()]",
            "return np.stack(results, axis=1).reshape(len(theta), -1)",
        ]
        if amplitude
        else ["return ESTIMATOR.run([(CIRCUIT, OBSERVABLES, theta)]).result()[0].data.evs.T"]
    )
    lines = [
        f'THETA = ParameterVector("theta", {len(formulas)})',
        f"CIRCUIT = QuantumCircuit({n})  # qubit {n - 1} is the first wire",
        *body,
        "OBSERVABLES = [  # each in a row of its own, so that all meet every row of angles",
        *(f"    [{observable}]," for observable in measured),
        "]",
        "ESTIMATOR = StatevectorEstimator()  # any other estimator of Qiskit's primitives takes its place",
        "",
        "",
        "def features_of(w, inputs):",
        '    """What the circuit reads, a row for each input."""',
        *("    " + line for line in parts.before),
        "    return features",
        "",
        "",
        "def angles(w, inputs):",
        '    """Every angle of the circuit, a row for each input."""',
        "    features = features_of(w, inputs).T",
        f'    angles = w["{parts.name}.weights"].reshape(-1)',
        "    rows = [",
        *(f"        {formula}," for formula in formulas),
        "    ]",
        "    return np.stack([np.broadcast_to(row, len(inputs)) for row in rows], axis=1)",
        "",
        "",
        "def expectation_values(inputs, theta):",
        '    """One row for each row of angles; the rows go over the inputs again and again."""',
        *("    " + line for line in evaluate),
        "",
        "",
        "def readout(w, values):",
        '    """The logits from the expectation values."""',
        *("    " + line for line in (*combined, *parts.after)),
        "    return values",
        "",
        "",
        "def logits(w, inputs):",
        '    """One row for each input."""',
        "    return readout(w, expectation_values(inputs, angles(w, inputs)))",
    ]
    return {
        "framework": "Qiskit",
        "packages": "qiskit and numpy",
        "imports": "import numpy as np\nfrom qiskit import QuantumCircuit\nfrom qiskit.circuit import ParameterVector\n"
        "from qiskit.primitives import StatevectorEstimator\nfrom qiskit.quantum_info import SparsePauliOp",
        "circuit": "\n".join(lines),
        "gradient": _QISKIT_GRADIENT,
    }


def _with_own_angles(circuit: Circuit) -> tuple[list[str], list[str]]:
    """The gates with an own parameter for each angle, and the formulas of these; rotations about one axis only.

    These have the two-term rule; controlled ones would need four values.
    """
    body: list[str] = []
    formulas: list[str] = []
    for operation, rotations in with_axes(circuit):
        for axis, angle in rotations:
            (wire,) = operation.wires
            body.append(f"CIRCUIT.r{axis.lower()}(THETA[{len(formulas)}], {circuit.n_wires - 1 - wire})")
            formulas.append(angle.expression("angles[{}]", "features[{}]"))
        if not rotations:
            body += qiskit_gates(operation, circuit.n_wires, "CIRCUIT")
    return body, formulas


def _measurements(
    observable: Observable, written: Callable[[PauliString], str], name: str
) -> tuple[list[str], list[str]]:
    """What is measured, as text, and the lines that make the outputs from it.

    A single string of weight 1 is measured as an output. Of a sum each string is measured alone, once, so that trained
    coefficients are weights like others; the identity is 1 and not measured.
    """
    terms, texts = observable.terms, coefficient_texts(observable)
    if all(len(own) == 1 and own[0].wires for own in terms) and texts == [["1.0"]] * len(terms):
        return [written(string) for (string,) in terms], []
    distinct = list(dict.fromkeys(string for own in terms for string in own if string.wires))
    columns = []
    for own, factors in zip(terms, texts, strict=True):
        column = [
            ("" if factor == "1.0" else f"{factor} * ")
            + (f"values[:, {distinct.index(string)}]" if string.wires else "np.ones(len(values))")
            for string, factor in zip(own, factors, strict=True)
            if factor not in ("0.0", "-0.0")
        ]
        columns.append(" + ".join(column) or "np.zeros(len(values))")
    lines = [f'coefficients = w["{name}"].reshape(-1)'] * (coefficients_of(observable) is not None)
    lines += ["values = np.stack([", *(f"    {column}," for column in columns), "], axis=1)"]
    return [written(string) for string in distinct], lines
