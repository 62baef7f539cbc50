"""Circuits of Qiskit and OpenQASM: what is taken apart, compared with Qiskit's own operators, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import qiskit.circuit.library as library
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import (
    AnnotatedOperation,
    ControlModifier,
    Gate,
    InverseModifier,
    Parameter,
    ParameterVector,
    PowerModifier,
)  # fmt: skip
from qiskit.quantum_info import Operator, random_unitary

from qdistill.backends.from_openqasm import from_openqasm
from qdistill.backends.from_qiskit import from_qiskit
from qdistill.backends.qiskit_parameters import natural
from qdistill.errors import ArgumentError, CircuitError, QDistillError
from qdistill.quantum import Circuit, Operation, feature, weight
from qdistill.quantum.angle import constant

from ..quantum.reference import numpy_unitary
from ..quantum.strategies import examples
from .test_import import same_up_to_phase

A, B = Parameter("a"), Parameter("b")


def same_as_qiskit(circuit: QuantumCircuit) -> None:
    """Compare with Qiskit's operator at numbers in the place of the parameters, all of them weights."""
    parameters = sorted(circuit.parameters, key=lambda parameter: natural(parameter.name))
    values = np.random.default_rng(0).normal(size=len(parameters))
    bound = circuit.assign_parameters(dict(zip(parameters, values, strict=True)))
    same_up_to_phase(numpy_unitary(from_qiskit(circuit), values), Operator(bound).data)


def own_gate() -> Gate:
    inner = QuantumCircuit(2, name="mine", global_phase=A / 3)
    inner.rx(A * B, 1)
    inner.cx(0, 1)
    return inner.to_gate()


GATES: dict[str, Callable[[], Any]] = {
    "RX under two controls": lambda: library.RXGate(A).control(2, annotated=False),
    "RX with a control to come": lambda: library.RXGate(A).control(1, annotated=True),
    "P under three controls": lambda: library.PhaseGate(A - B).control(3, annotated=False),
    "U under a control": lambda: library.UGate(A, B, A * B).control(annotated=False),
    "U under two controls": lambda: library.UGate(A, B, 0.3).control(2, annotated=False),
    "cu": lambda: library.CUGate(A, B, 0.3, A + B),
    "cu on 0": lambda: library.CUGate(A, B, 0.3, A + B, ctrl_state=0),
    "cu under two more controls": lambda: library.CUGate(A, B, 0.3, A + B).control(2, ctrl_state=1, annotated=False),
    "H on open controls": lambda: library.HGate().control(2, ctrl_state=1, annotated=False),
    "SWAP under controls": lambda: library.SwapGate().control(2, annotated=False),
    "X under four controls": lambda: library.MCXGate(4),
    "X under five controls": lambda: library.XGate().control(5, annotated=False),
    "X with wires to borrow": lambda: library.MCXVChain(4),
    "SX under three controls": library.C3SXGate,
    "a phase under controls": lambda: library.GlobalPhaseGate(A).control(2, annotated=False),
    "P under controls": lambda: library.MCPhaseGate(A, 3),
    "R under a control": lambda: library.RGate(A, B).control(1, annotated=False),
    "XX-YY under a control": lambda: library.XXMinusYYGate(A, B).control(1, annotated=False),
    "Paulis under a control": lambda: library.PauliGate("XYZ").control(1, annotated=False),
    "a diagonal under a control": lambda: library.DiagonalGate([1, -1, 1j, 1]).control(1, annotated=False),
    "a matrix": lambda: library.UnitaryGate(random_unitary(8, seed=1)),
    "a matrix under controls": lambda: library.UnitaryGate(random_unitary(4, seed=1)).control(2, annotated=False),
    "a root of X": lambda: library.XGate().power(0.3),
    "a power of RY": lambda: library.RYGate(A).power(2),
    "a permutation": lambda: library.PermutationGate([1, 2, 0]),
    "a permutation under a control": lambda: AnnotatedOperation(library.PermutationGate([1, 0]), ControlModifier(1)),
    "a Fourier transform": lambda: library.QFTGate(3),
    "a Fourier transform under a control": lambda: library.QFTGate(2).control(1, annotated=False),
    "relative phases": library.RCCXGate,
    "rotations by choice": lambda: library.UCRZGate([0.1, 0.2]),
    "an adder": lambda: library.ModularAdderGate(2),
    "a comparison": lambda: library.IntegerComparatorGate(2, 1),
    "a state by gates": lambda: library.StatePreparation([0.6, 0.8]),
    "an inverse to come": lambda: library.RZGate(A).inverse(annotated=True),
    "modifiers": lambda: AnnotatedOperation(
        library.CUGate(A, B, A, B), [ControlModifier(1, 0), InverseModifier(), PowerModifier(2), ControlModifier(1)]
    ),
    "a root and a control": lambda: AnnotatedOperation(library.HGate(), [PowerModifier(0.3), ControlModifier(1)]),
    "a gate of one's own": own_gate,
    "a gate of one's own under a control": lambda: own_gate().control(1, annotated=False),
    "a feature map": lambda: library.zz_feature_map(2).to_gate(),
    "an ansatz": lambda: library.efficient_su2(2, reps=1).to_gate(),
    "an ansatz under a control": lambda: library.efficient_su2(2, reps=1).to_gate().control(1, annotated=False),
    "an evolution": lambda: library.RZXGate(A).control(1, annotated=False),
}  # fmt: skip


@pytest.mark.parametrize("case", GATES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Qiskit's about its own classes
def test_what_qiskit_takes_apart(case: str) -> None:
    gate = GATES[case]()
    circuit = QuantumCircuit(gate.num_qubits + 1)
    circuit.h(range(circuit.num_qubits))
    circuit.append(gate, np.random.default_rng(1).permutation(circuit.num_qubits)[: gate.num_qubits].tolist())
    circuit.t(0)
    same_as_qiskit(circuit)


def test_loops_and_boxes() -> None:
    circuit, unrolled = QuantumCircuit(2), QuantumCircuit(2)
    with circuit.for_loop(range(3)) as turn:
        circuit.rx(turn * A, 0)
        circuit.cx(0, 1)
    with circuit.for_loop((0, 1)):
        circuit.ry(B, 1)
    with circuit.box():
        circuit.cz(0, 1)
    for turn in range(3):
        unrolled.rx(turn * A, 0)
        unrolled.cx(0, 1)
    for _ in range(2):
        unrolled.ry(B, 1)
    unrolled.cz(0, 1)
    assert from_qiskit(circuit) == from_qiskit(unrolled)


ANGLES: dict[str, tuple[Any, Any]] = {
    "a product": (A * B, weight(0) * weight(1)),
    "a square": (A * A, weight(0) * weight(0)),
    "a sum": (A + B, weight(0) + weight(1)),
    "what cancels": (2 * (A + B) - 2 * B, 2 * weight(0)),
    "what is divided out": (A * A / A, weight(0)),
    "a constant in the end": (A - A + 0.5, 0.5 * (weight(0) * 0 + 1)),
    "a quotient": ((A + 1) / 4, weight(0) / 4 + 0.25),
    "a power": ((A + B) ** 2, (weight(0) + weight(1)) * (weight(0) + weight(1))),
    "a conjugate": (A.conjugate() * 2, 2 * weight(0)),
    "a constant sine": ((0 * A).sin() + A, weight(0)),
}


@pytest.mark.parametrize("case", ANGLES)
def test_polynomial_angles_of_qiskit(case: str) -> None:
    value, expected = ANGLES[case]
    circuit = QuantumCircuit(1)
    circuit.rz(0 * A + 0 * B, 0)
    circuit.append(library.RXGate(A), [0])  # so that both are parameters, in this order
    circuit.append(library.RXGate(B), [0])
    circuit.ry(value, 0)
    assert from_qiskit(circuit).operations[-1].angles == (expected,)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (A.sin(), "`sin`: sin"), (A.sign(), "`sign`"), (abs(A), "`abs`"), (A / B, "a power of -1"), (A**B, "a power"),
        (A.exp() * B, "`exp`"), (A**0.5, "a power of 0.5"), (1j * A, "a complex number"),
        ((A + B) ** 99, "a product of"),
        (A.arctan() + A, "`atan`"), (A.log(), "`log`"),
    ],
)  # fmt: skip
def test_qiskit_refuses_other_functions(value: Any, reason: str) -> None:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    with contextlib.suppress(Exception):  # Qiskit itself may refuse a complex number
        circuit.rx(value, 1)
    if len(circuit.data) == 1:
        circuit.append(library.RXGate(value), [1])
    with pytest.raises(
        CircuitError, match=rf"Operation 1, rx on qubits \[1\], must have angles .* computed with {reason}"
    ):
        from_qiskit(circuit)


def test_an_angle_inside_a_gate_is_refused_by_its_place() -> None:
    inner = QuantumCircuit(2, name="mine")
    inner.rx(A.sin(), 1)
    circuit = QuantumCircuit(3)
    circuit.append(inner.to_gate().control(1, annotated=False), [0, 1, 2])
    with pytest.raises(
        CircuitError, match=r"Operation 0, rx on qubits \[2\] inside mine on qubits \[1, 2\] inside cmine on"
    ):
        from_qiskit(circuit)


@pytest.mark.parametrize("gate", [library.RVGate(A, 1, 1), library.UCRZGate([0.1, 0.2]), Gate("magic", 1, [A])])
def test_gates_that_qiskit_cannot_take_apart(gate: Gate) -> None:
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    if gate.name == "ucrz":
        same_as_qiskit(circuit)
        return
    with pytest.raises(
        CircuitError, match=rf"Operation 0, {gate.name} on qubits \[0\], cannot be imported .*qiskit.transpile"
    ):
        from_qiskit(circuit)


NAMES = ["w", "x1²", "x1", "θ", "a b", "I", "pi", "lambda", "x٣", "w[0]x", "$\\alpha_1$", "10", "-1", "É1"]


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_any_name(name: str) -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(2 * Parameter(name) + 0.5, 0)
    assert from_qiskit(circuit).operations[0].angles == (2 * weight(0) + 0.5,)
    assert from_qiskit(circuit, features=[name]).operations[0].angles == (2 * feature(0) + 0.5,)


@examples(20)
@given(st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
def test_names_are_sorted_whatever_they_are(names: list[str]) -> None:
    circuit = QuantumCircuit(1)
    for name in names:
        circuit.rx(Parameter(name), 0)
    read = [operation.angles[0].weights[0] for operation in from_qiskit(circuit).operations]
    assert sorted(read) == list(range(len(names)))
    assert [operation.angles[0].features[0] for operation in from_qiskit(circuit, features=names).operations] == list(
        range(len(names))
    )


def test_a_parameter_beside_a_vector_of_its_name() -> None:
    single, vector = Parameter("w"), ParameterVector("w", 2)
    circuit = QuantumCircuit(1)
    for angle in (vector[1], single, vector[0]):
        circuit.rx(angle, 0)
    assert [operation.angles[0] for operation in from_qiskit(circuit).operations] == [weight(2), weight(0), weight(1)]
    with pytest.raises(ArgumentError, match="'w' is a parameter and a vector"):
        from_qiskit(circuit, features=["w"])


@pytest.mark.parametrize("features", [["b", "b"], [1], 3, None, [None]])
def test_features_that_are_no_names(features: Any, unchecked: Any) -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(A + B, 0)
    with pytest.raises(ArgumentError, match="`features` must be names, each once, but was"):
        from_qiskit(circuit, features=features)


def test_features_by_name_or_by_themselves() -> None:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(1)
    circuit.rx(x[1] + A, 0)
    for features in (["x", "a"], [x, A]):
        assert from_qiskit(circuit, features=features).operations[0].angles == (feature(1) + feature(2),)
    assert from_qiskit(circuit, features="x").operations[0].angles == (weight(0) + feature(1),)


@pytest.mark.parametrize("what", [3, None, "h q[0];", QuantumCircuit(0)])
def test_what_is_no_circuit(what: Any) -> None:
    with pytest.raises(QDistillError, match=r"must be a QuantumCircuit|at least one qubit"):
        from_qiskit(what)


# --- measurements


def test_measurements_at_the_end_are_left_out() -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.measure(0, 0)  # nothing follows on qubit 0
    circuit.cx(1, 2)
    circuit.barrier()
    circuit.measure([1, 2], [1, 2])
    assert [operation.gate for operation in from_qiskit(circuit).operations] == ["H", "CNOT"]
    other = QuantumCircuit(2)
    other.h(1)
    other.measure_all()
    assert from_qiskit(other) == Circuit(2, (Operation("H", (0,)),))


@pytest.mark.parametrize("case", ["measured", "twice", "reset", "conditional"])
def test_qiskit_refuses_measurements_on_the_way(case: str) -> None:
    circuit = QuantumCircuit(1, 1)
    if case in ("measured", "conditional"):
        circuit.measure(0, 0)
    if case == "measured":
        circuit.x(0)
    if case == "twice":
        circuit.measure(0, 0)
        circuit.reset(0)
    if case == "reset":
        circuit.reset(0)
    if case == "conditional":
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0)
    with pytest.raises(
        CircuitError, match=r"Operation \d, \w+ on qubits \[0\], is a measurement or reset before the end"
    ):
        from_qiskit(circuit)


@pytest.mark.parametrize(
    "name", ["measure", "barrier", "reset", "delay", "global_phase", "initialize", "if_else", "unitary"]
)
def test_gates_of_ones_own_with_any_name(name: str) -> None:
    inner = QuantumCircuit(1, name=name)
    inner.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(inner.to_gate(), [0])
    circuit.append(inner.to_gate(), [0])
    assert from_qiskit(circuit) == Circuit(1, (Operation("X", (0,)),) * 2)


def test_more_turns_than_a_circuit_may_have() -> None:
    circuit, power = QuantumCircuit(1), QuantumCircuit(1)
    with circuit.for_loop(range(10**12)):
        circuit.x(0)
    power.append(AnnotatedOperation(library.XGate(), PowerModifier(10**12)), [0])
    for endless in (circuit, power):
        with pytest.raises(CircuitError, match="at most 262,144 operations"):
            from_qiskit(endless)


def test_qiskit_refuses_states() -> None:
    circuit = QuantumCircuit(1)
    circuit.initialize([0, 1])
    with pytest.raises(CircuitError, match=r"Operation 0, initialize on qubits \[0\], sets a state"):
        from_qiskit(circuit)


# --- OpenQASM


def test_openqasm_leaves_measurements_at_the_end_out() -> None:
    text = 'OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; h q[0]; c = measure q;'
    assert from_openqasm(text) == Circuit(2, (Operation("H", (0,)),))


def test_openqasm_2() -> None:
    text = """// a comment before the version
    OPENQASM 2.0;
    include "qelib1.inc";
    gate mine(t) a, b { rx(t) a; cx a, b; }
    qreg q[2]; creg c[2];
    mine(pi / 2) q[1], q[0];
    rzz(0.3) q[0], q[1]; sx q[0]; u3(0.1, 0.2, 0.3) q[1]; cu1(0.5) q[0], q[1];
    barrier q;
    measure q -> c;
    """
    read = from_openqasm(text)
    assert read.operations[:2] == (Operation("RX", (1,), (constant(np.pi / 2),)), Operation("CNOT", (1, 0)))
    assert read.n_wires == 2
    with pytest.raises(ArgumentError, match="`features` must be one of"):
        from_openqasm(text, features=["x"])


@pytest.mark.filterwarnings("ignore")
def test_openqasm_2_that_pennylane_writes() -> None:
    tape = qml.tape.QuantumScript(
        [qml.RX(0.3, 0), qml.StronglyEntanglingLayers(np.full((1, 3, 3), 0.2), range(3)), qml.IsingXX(0.4, [0, 2])],
        [qml.expval(qml.Z(0))],
    )
    read = from_openqasm(qml.to_openqasm(tape))
    same_up_to_phase(numpy_unitary(read, np.zeros(0)), qml.matrix(tape, wire_order=range(3)))


def test_vectors_as_qiskit_writes_them() -> None:
    x, w = ParameterVector("x", 12), ParameterVector("w", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(x[10], 0)
    circuit.ry(x[2] * w[1], 1)
    circuit.rz(w[0], 0)
    read = from_openqasm(qasm3.dumps(circuit), features=["x"])
    assert [operation.angles[0] for operation in read.operations] == [
        feature(10), feature(2) * weight(1), weight(0),
    ]  # fmt: skip


def test_arrays_are_numbered_whatever_the_order_of_declarations() -> None:
    text = """OPENQASM 3.0; include "stdgates.inc";
    input float x_1; input float x_0; input float x_y; qubit q; rx(x_1) q; ry(x_0) q; rz(x_y) q;"""
    read = from_openqasm(text, features="x")
    assert [operation.angles[0] for operation in read.operations] == [feature(1), feature(0), weight(0)]


def test_controls_of_openqasm_3() -> None:
    text = """OPENQASM 3.0; include "stdgates.inc"; input float a; qubit[3] q;
    ctrl @ U(a, 2 * a, 0.3) q[0], q[1];
    negctrl @ ctrl @ inv @ rx(a) q[2], q[0], q[1];
    pow(2) @ s q[0];
    """
    read = numpy_unitary(from_openqasm(text), np.array([0.7]))
    circuit = QuantumCircuit(3)
    circuit.append(library.UGate(0.7, 1.4, 0.3).control(annotated=False), [0, 1])
    circuit.append(library.RXGate(-0.7).control(2, ctrl_state=0b01, annotated=False), [0, 2, 1])
    circuit.z(0)
    same_up_to_phase(read, Operator(circuit.reverse_bits()).data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("// nothing\n/* at\nall */", "it is empty"),
        ("nonsense", r"line 1, column 8: no viable alternative at input 'nonsense'"),
        ("OPENQASM 3.0; qubit[1] q; h q[0];", "line 1, column 26: gate 'h' is not defined"),
        ('OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nh q[0]\ncx q[0], q[1];', "line 5, column 0: .*'cx'"),
        ("OPENQASM 3.0;\nint i = 3 +;", "line 2, column 11: "),
        ("OPENQASM 3.0;\n\u00a7 q;", "line 2, column 0: "),
        ('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\nh q[0]', r"program .* line 4, column \d+: unexpected end"),
        ("OPENQASM 2.0;\nqreg q[1];\nfoo q[0];", "line 3, column 0: 'foo' is not defined"),
        ("OPENQASM 4.0; qubit q;", "must be an OpenQASM program of version 2 or 3, but is of version 4"),
        ("OPENQASM 3.0;", "at least one qubit"),
    ],
)  # fmt: skip
def test_text_that_qiskit_cannot_read(text: str, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        from_openqasm(text)


def test_what_is_no_text(unchecked: Any) -> None:
    with pytest.raises(ArgumentError, match="`text` must be a text, but was bytes"):
        from_openqasm(b"OPENQASM 3.0; qubit q;")  # type: ignore[arg-type]


@examples(40)
@given(st.text(alphabet="OPENQASM 3.0;qubit[2]qhcx,()@{}ifmeasure\n\"'+-*/", max_size=40))
def test_any_text_is_a_circuit_or_refused_with_a_reason(text: str) -> None:
    with contextlib.suppress(QDistillError):
        from_openqasm("OPENQASM 3.0; qubit[2] q; " + text)
