"""Noise channels as real matrices: how each Pauli expectation value after the channel depends on those before.

A state of k wires is the vector r of its 4^k expectation values ``r_P = tr(P rho)``, in the order of
`paulis.pauli_strings`, and a channel is the matrix T with ``r' = T r``: its Pauli transfer matrix (Greenbaum,
arXiv 1509.02921). An observable's coefficients c, with the value c . r, go the other way: ``c' = T^T c``. All of it is
real, depolarising is diagonal, and the first row is (1, 0, ...) for every channel, since the trace is kept.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from qdistill.quantum.device import DeviceModel
from qdistill.quantum.paulis import pauli_matrices

Transfer = np.ndarray


def depolarising(share: float, n_wires: int) -> Transfer:
    """With the probability `share` the wires become the maximally mixed state; (4^n, 4^n)."""
    return np.diag([1.0] + [1.0 - share] * (4**n_wires - 1))


def relaxation(time: float, t1: float, t2: float) -> Transfer:
    """Amplitude and phase damping of one wire over a time: T1 decay to |0>, and coherences that fall as exp(-t/T2).

    Args:
        time: in seconds.
        t1: in seconds; may be infinite.
        t2: in seconds, at most twice `t1`.

    Reference:
        Nielsen and Chuang, *Quantum Computation and Quantum Information*, section 8.3.5; the amplitude damping has
        ``gamma = 1 - exp(-t/T1)``, the phase damping after it what is missing of the coherences' decay.
    """
    kept, coherent = math.exp(-time / t1), math.exp(-time / t2)
    return np.array([[1, 0, 0, 0], [0, coherent, 0, 0], [0, 0, coherent, 0], [1 - kept, 0, 0, kept]])


def of_unitary(matrix: np.ndarray) -> Transfer:
    """The transfer matrix of a unitary: ``T_PQ = tr(P U Q U^dagger) / 2^k``."""
    size = len(matrix)
    paulis = pauli_matrices(size.bit_length() - 1)
    turned = matrix @ paulis @ matrix.conj().T
    transfer: Transfer = np.einsum("pij,qji->pq", paulis, turned).real / size
    return transfer


def gate_noise(device: DeviceModel, wires: tuple[int, ...]) -> Transfer:
    """What follows a gate on one or two wires: depolarising, then the relaxation of each wire.

    The depolarising takes what the relaxation leaves of the gate's average infidelity; where the relaxation alone
    exceeds it there is none. This is how Qiskit reads a device's reported errors, too
    (`NoiseModel.from_backend`).

    Args:
        device: the device.
        wires: of the gate, in the order of the matrix.

    Returns:
        (4^k, 4^k).
    """
    error, time = (
        (device.one_qubit_error[wires[0]], device.one_qubit_time[wires[0]])
        if len(wires) == 1
        else device.two_qubit(wires)
    )
    relaxing = reduce(np.kron, [relaxation(time, device.t1[wire], device.t2[wire]) for wire in wires])
    # The average fidelity of a channel with the trace t of its transfer matrix is (t / d + 1) / (d + 1).
    size = 2 ** len(wires)
    trace = np.trace(relaxing)
    wanted = size * ((size + 1) * (1 - error) - 1)
    # A channel with a transfer matrix that has nothing but its first row cannot forget more.
    share = 1 - (wanted - 1) / (trace - 1) if trace > 1 else 0.0
    transfer: Transfer = relaxing @ depolarising(min(max(share, 0.0), 1.0), len(wires))
    return transfer


def readings(device: DeviceModel, wire: int) -> dict[str, tuple[float, float]]:
    """How a wire's readout distorts each Pauli letter: ``(a, b)``, where the mean that is read is ``a <P> + b``.

    X and Y are measured as Z after one more rotation, whose noise counts, too.

    Args:
        device: the device.
        wire: the wire.
    """
    wrong_one, wrong_zero = device.readout[wire]
    contrast, offset = 1 - wrong_one - wrong_zero, wrong_zero - wrong_one
    noise = gate_noise(device, (wire,))
    turned = (contrast * noise[3, 3], contrast * noise[3, 0] + offset)
    return {"X": turned, "Y": turned, "Z": (contrast, offset)}
