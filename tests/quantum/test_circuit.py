"""Circuits as data: what they count, how they are joined, and what cannot be built."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from qdistill.errors import ArgumentError, CircuitError, QDistillError
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    BasicEntangling,
    Circuit,
    NoEmbedding,
    Operation,
    StronglyEntangling,
    constant,
    feature,
    named_embedding,
    unitary,
    weight,
)
from qdistill.quantum.gates import GATES

from .strategies import circuits


def test_lengths_are_the_largest_index_plus_one() -> None:
    circuit = Circuit(2, (Operation("RX", (0,), (weight(4),)), Operation("CRZ", (1, 0), (feature(1),))))
    assert (circuit.n_weights, circuit.n_features) == (5, 2)
    assert (Circuit(2).n_weights, Circuit(2).n_features) == (0, 0)
    several = Circuit(1, (Operation("RX", (0,), (weight(1) * feature(3) + weight(2),)),))
    assert (several.n_weights, several.n_features) == (3, 4)
    cancelled = Circuit(1, (Operation("RX", (0,), (weight(7) - weight(7) + 1.0,)),))
    assert (cancelled.n_weights, cancelled.n_features) == (0, 0)


def test_circuits_are_equal_and_hashed_by_what_they_hold() -> None:
    first, second = StronglyEntangling(3, 2).circuit(), StronglyEntangling(3, 2).circuit()
    assert first == second
    assert first is not second
    assert len({first, second, StronglyEntangling(3, 1).circuit()}) == 2


def test_then_appends_operations() -> None:
    more = (Operation("X", (1,)), Operation("SWAP", (0, 1)))
    circuit = BasicEntangling(2, 1).circuit()
    assert circuit.then(more).operations == circuit.operations + more
    assert circuit.then(iter(more)) == circuit.then(more)
    with pytest.raises(CircuitError, match=r"operation 3 \(X\) is on wires"):
        circuit.then([Operation("X", (2,))])


def test_strongly_entangling_ranges_grow_with_the_layer() -> None:
    cnots = [o.wires for o in StronglyEntangling(4, 4).circuit().operations if o.gate == "CNOT"]
    distances = [[(target - control) % 4 for control, target in cnots[4 * n : 4 * n + 4]] for n in range(4)]
    assert distances == [[1] * 4, [2] * 4, [3] * 4, [1] * 4]


@pytest.mark.parametrize(("n_wires", "ring"), [(1, []), (2, [(0, 1)]), (3, [(0, 1), (1, 2), (2, 0)])])
def test_basic_entangling_closes_its_ring(n_wires: int, ring: list[tuple[int, int]]) -> None:
    operations = BasicEntangling(n_wires, 1).circuit().operations
    assert [o.wires for o in operations if o.gate == "CNOT"] == ring


UNIT = ((1 + 0j, 0j), (0j, 1 + 0j))
SHEAR = ((1 + 0j, 1 + 0j), (0j, 1 + 0j))

WRONG_OPERATIONS: list[tuple[dict[str, Any], str]] = [
    ({"gate": "CNTO", "wires": (0, 1)}, r"`gate` must be a known name, but was 'CNTO'. Did you mean 'CNOT'\? Known"),
    ({"gate": "unitary", "wires": (0,)}, r"but was 'unitary'. Did you mean 'Unitary'\?"),
    ({"gate": "1234", "wires": (0,)}, r"but was '1234'\.$"),
    ({"gate": "CNOT", "wires": (0,)}, r"`wires` must be 2 different wires for the gate 'CNOT', but was \(0,\)"),
    ({"gate": "CNOT", "wires": (1, 1)}, r"`wires` must be 2 different wires .* but was \(1, 1\)"),
    ({"gate": "H", "wires": (0, 1)}, "`wires` must be 1 different wires for the gate 'H'"),
    ({"gate": "RX", "wires": (0,)}, "`angles` must be 1 angles for the gate 'RX', but was 0"),
    ({"gate": "H", "wires": (0,), "angles": (weight(0),)}, "`angles` must be 0 angles for the gate 'H'"),
    ({"gate": "Rot", "wires": (0,), "angles": (weight(0),) * 2}, "`angles` must be 3 angles .* but was 2"),
    ({"gate": "H", "wires": (0,), "matrix": UNIT}, "`matrix` must be None for the gate 'H'"),
    ({"gate": "Unitary", "wires": (0,)}, "`matrix` must be given for the gate 'Unitary', but was None"),
    ({"gate": "Unitary", "wires": (0,), "matrix": SHEAR}, "`matrix` must be a unitary of shape"),
    ({"gate": "Unitary", "wires": (0, 1), "matrix": UNIT}, "`wires` must be 1 different wires"),
    ({"gate": "Unitary", "wires": (0,), "matrix": UNIT, "angles": (weight(0),)}, "`angles` must be 0 angles"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG_OPERATIONS)
def test_wrong_operations_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        Operation(**fields)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (("CNOT", [0, 1]), ("CNOT", (0, 1))),
        (("CNOT", np.array([0, 1])), ("CNOT", (0, 1))),
        (("RY", jnp.array([1]), jnp.array([0.5])), ("RY", (1,), (constant(0.5),))),
        (("RY", (0,), (0.5,)), ("RY", (0,), (constant(0.5),))),
        (("Rot", [0], [weight(0), np.float32(0.5), 2]), ("Rot", (0,), (weight(0), constant(0.5), constant(2.0)))),
        (("Unitary", (0,), (), np.eye(2)), ("Unitary", (0,), (), UNIT)),
        (("Unitary", (0,), (), [[1, 0], [0, 1]]), ("Unitary", (0,), (), UNIT)),
    ],
)
def test_lists_arrays_and_numbers_are_kept_as_plain_data(given: tuple[Any, ...], kept: tuple[Any, ...]) -> None:
    operation = Operation(*given)
    assert operation == Operation(*kept)
    assert repr(operation) == repr(Operation(*kept))
    circuit = Circuit(np.int64(2), [operation])  # type: ignore[arg-type]
    assert {circuit} == {Circuit(2, (Operation(*kept),))}
    assert Circuit.from_json(json.loads(json.dumps(circuit.to_json()))) == circuit
    assert jax.eval_shape(lambda weights: unitary(circuit, weights), jnp.zeros(circuit.n_weights)).shape == (4, 4)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Operation("RY", 0, (weight(0),)), r"`wires` must be wires such as \(0, 1\), but was 0"),
        (lambda: Operation("RY", (0.0,), (weight(0),)), r"`wires` must be wires such as .* but was \(0.0,\)"),
        (lambda: Operation("CNOT", "01"), "`wires` must be wires such as .* but was '01'"),
        (lambda: Operation("RY", (0,), weight(0)), "`angles` must be angles such as .* but was Angle"),
        (lambda: Operation("RY", (0,), 0.5), "`angles` must be angles such as .* but was 0.5"),
        (lambda: Operation("RY", (0,), ("0.5",)), "`angles` must be angles such as .* but was"),
        (lambda: Operation("RY", (0,), (float("nan"),)), r"`angles` must be angles such as .* but was \(nan,\)"),
        (lambda: Operation("RY", (0,), np.ones((1, 2))), "`angles` must be angles such as .* but was"),
        (lambda: Operation("Unitary", (0,), matrix=1.0), "`matrix` must be the rows of a 2x2 matrix, but was 1.0"),
        (lambda: Operation("Unitary", (0,), matrix=["ab", "cd"]), "`matrix` must be the rows of a 2x2 matrix"),
        (lambda: Operation("Unitary", (0,), matrix=[[1, 0], [0]]), "`matrix` must be the rows of a 2x2 matrix"),
        (lambda: Operation("Unitary", (0,), matrix=np.eye(4)), r"unitary of shape \(2, 2\), .* shape \(4, 4\)"),
        (lambda: Circuit(2.0), "`n_wires` must be an integer, but was 2.0"),
        (lambda: Circuit(1, Operation("H", (0,))), "`operations` must be a sequence of operations, but was Operation"),
        (lambda: Circuit(1, ("H",)), "`operations` must be operations, but one of them was 'H'"),
    ],
)
def test_what_has_no_meaning_is_named(build: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


@pytest.mark.parametrize("wire", [-1, 2])
def test_wires_outside_the_circuit_are_refused(wire: int) -> None:
    with pytest.raises(CircuitError, match=r"use wires 0 to 1, but operation 1 \(H\) is on wires"):
        Circuit(2, (Operation("X", (0,)), Operation("H", (wire,))))


@pytest.mark.parametrize("n_wires", [0, -1])
def test_sizes_are_checked(n_wires: int) -> None:
    for build in (Circuit, lambda n: StronglyEntangling(n, 1), lambda n: BasicEntangling(n, 1)):
        with pytest.raises(CircuitError, match=f"`n_wires` must be at least 1, but was {n_wires}"):
            build(n_wires)
    for ansatz in (StronglyEntangling, BasicEntangling):
        with pytest.raises(CircuitError, match="`n_layers` must be at least 0, but was -1"):
            ansatz(2, -1)


def test_unknown_rotations_are_refused(unchecked: None) -> None:
    with pytest.raises(CircuitError, match="`rotation` must be one of RX, RY, RZ, but was 'RW'"):
        BasicEntangling(2, 1, "RW")  # type: ignore[arg-type]
    with pytest.raises(CircuitError, match="`rotation` must be one of X, Y, Z, but was 'W'"):
        AngleEmbedding(2, "W")  # type: ignore[arg-type]


def test_embeddings_have_names(unchecked: None) -> None:
    assert named_embedding("amplitude", 2) == AmplitudeEmbedding(2)
    assert named_embedding("angle", 2, 1) == AngleEmbedding(2)
    assert named_embedding("none", 2, 3) == NoEmbedding(2, 3)
    with pytest.raises(CircuitError, match="`name` must be one of amplitude, angle, none, but was 'phase'"):
        named_embedding("phase", 2)  # type: ignore[arg-type]


def test_circuit_errors_are_argument_and_value_errors() -> None:
    with pytest.raises(ValueError, match="n_wires") as raised:
        Circuit(0)
    assert isinstance(raised.value, ArgumentError)
    assert isinstance(raised.value, QDistillError)
    assert raised.value.exit_code == 2


def test_gate_names_are_exact() -> None:
    assert all(name in GATES for name in ("RX", "Rot", "CNOT"))
    with pytest.raises(CircuitError, match="Did you mean 'Rot'"):
        Operation("rot", (0,), (weight(0), weight(1), weight(2)))


@given(circuits())
def test_a_circuit_survives_being_written_down(circuit: Circuit) -> None:
    assert Circuit.from_json(json.loads(json.dumps(circuit.to_json()))) == circuit


OLD = {"source": "weight", "index": 0, "scale": 1.0, "offset": 0.0}
TERM = ["operations", 0, "angles", 0, "terms", 0]


def changed(path: list[Any], value: Any) -> Any:
    """A written circuit with another value at a place."""
    unitary = Operation("Unitary", (1,), matrix=((0.6j, 0.8 + 0j), (0.8 + 0j, 0.6j)))
    plain: Any = Circuit(2, (Operation("RX", (0,), (weight(1),)), unitary)).to_json()
    inner = plain
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return plain


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ([], "the circuit is not an object of n_wires, operations"),
        ({"n_wires": 2}, "is not an object of"),
        (changed(["n_wires"], "two"), "`n_wires` of the circuit is 'two'"),
        (changed(["n_wires"], True), "is True"),
        (changed(["n_wires"], 0), "at least 1"),
        (changed(["operations", 0, "gate"], "RQ"), "`gate` must be one of"),
        (changed(["operations", 0, "gate"], 1), "`gate` of operation 0 is 1"),
        (changed(["operations", 0, "wires"], [0.5]), r"wires of operation 0 are"),
        (changed(["operations", 0, "wires"], [7]), "wires 0 to 1"),
        (changed(["operations", 0, "code"], 1), "operation 0 is not an object"),
        (changed(["operations", 0, "angles", 0], OLD), "an angle of operation 0 is not an object of terms: {'source'"),
        (changed([*TERM, "weights"], [-1]), r"`weights` must be indices of at least 0, but was \(-1,\)"),
        (changed([*TERM, "features"], [0.5]), r"the features of a term of an angle of operation 0 are \[0.5\]"),
        (changed([*TERM, "weights"], [True]), r"the weights of a term of an angle of operation 0 are \[True\]"),
        (changed([*TERM, "weights"], 0), "`weights` of a term of an angle of operation 0 is 0"),
        (changed([*TERM, "power"], 2), "a term of an angle of operation 0 is not an object of coefficient, weights"),
        (changed([*TERM, "coefficient"], float("inf")), "`coefficient` must be a finite number, but was inf"),
        (changed([*TERM, "coefficient"], 10**400), "`coefficient` must be a finite number, but was 1000"),
        (changed([*TERM, "coefficient"], "x"), "`coefficient` of a term of an angle of operation 0 is 'x'"),
        (changed([*TERM, "coefficient"], True), "`coefficient` of a term of an angle of operation 0 is True"),
        (changed(["operations", 1, "matrix"], [[1, 0], [0, 1]]), "is not 2x2 pairs"),
        (changed(["operations", 1, "matrix"], ["a"]), "is not 2x2 pairs"),
        (changed(["operations", 1, "matrix", 0, 0], [2.0, 0.0]), "must be a unitary"),
        (changed(["operations", 1, "matrix"], None), "`matrix` must be given"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_wrong_in_a_written_circuit_is_named(plain: Any, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        Circuit.from_json(plain)
