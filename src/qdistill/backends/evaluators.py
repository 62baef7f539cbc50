"""The evaluator that a backend's name stands for, and the package's own simulator as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from qdistill.backends.measured import Evaluator, MeasuredCircuit
from qdistill.backends.pennylane_evaluator import PennyLaneEvaluator
from qdistill.backends.qiskit_evaluator import aer_evaluator, fake_evaluator, ibm_evaluator
from qdistill.errors import ArgumentError
from qdistill.quantum.bounds import check_states
from qdistill.quantum.expectation import TO_Z_BASIS
from qdistill.quantum.simulate import apply

BACKENDS = ("exact", "qiskit-aer", "qiskit:DEVICE", "pennylane:DEVICE", "ibm:NAME")
"""What `evaluator` takes: the package's simulator, Aer, Qiskit's simulated devices, PennyLane's simulators, IBM's."""


@dataclass(frozen=True)
class ExactEvaluator:
    """An `Evaluator` by the package's own simulator, without samples: what the others are held against."""

    measured: MeasuredCircuit

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """See `Evaluator`; the seed has no meaning here."""
        check_states(self.measured.circuit.n_wires, len(parameters))
        states = np.asarray(self._states(jnp.asarray(parameters, jnp.float32)))
        to_z = dict(zip("XY", TO_Z_BASIS, strict=True))
        probabilities = []
        for setting in self.measured.settings:
            rotated = states
            for wire, letter in enumerate(setting):
                if letter in to_z:
                    split = rotated.reshape(len(states), 2**wire, 2, -1)
                    rotated = np.einsum("ij,eajb->eaib", to_z[letter], split)
            probabilities.append(np.abs(rotated.reshape(states.shape)).astype(float) ** 2)
        return self.measured.from_probabilities(probabilities)

    @cached_property
    def _states(self) -> Callable[[jax.Array], jax.Array]:
        """The state before the measurement for each vector of parameters."""
        n = self.measured.circuit.n_wires

        def state(angles: jax.Array) -> jax.Array:
            zero = jnp.zeros(2**n, angles.dtype).at[0].set(1)
            return apply(self.measured.circuit, angles, zero, jnp.zeros(0))

        return jax.jit(jax.vmap(state))


def evaluator(measured: MeasuredCircuit, backend: str, shots: int | None) -> tuple[Evaluator, float | None]:
    """Make the evaluator for a backend.

    Args:
        measured: what to run.
        backend: one of `BACKENDS`.
        shots: of each circuit; None for exact values.

    Returns:
        The evaluator and, for a device that is paid for, an estimate of the seconds that a circuit takes.

    Raises:
        ArgumentError: an unknown backend, a device of a PennyLane plugin's, a backend without exact values for
            `shots=None` or without samples for a number of them, one with too few qubits, or shots below 1.
        ArgumentError: a simulation that takes more memory than there is.
        MissingExtraError: the backend's package is not installed.
        RunError: IBM's service cannot be used.
    """
    if shots is not None and shots < 1:
        raise ArgumentError(f"Argument `shots` must be at least 1, or left out for exact values, but was {shots}.")
    kind, _, name = backend.partition(":")
    if kind != "ibm":
        # All others simulate, in double precision.
        check_states(measured.circuit.n_wires, precision=8)
    if backend == "exact":
        if shots is not None:
            raise ArgumentError(f"Argument `shots` must be left out for the backend 'exact', but was {shots}.")
        return ExactEvaluator(measured), None
    if backend == "qiskit-aer":
        return aer_evaluator(measured, shots), None
    if kind == "pennylane" and name:
        return PennyLaneEvaluator(measured, name, shots), None
    if kind not in ("qiskit", "ibm") or not name:
        raise ArgumentError.unknown("backend", backend, BACKENDS)
    if shots is None:
        raise ArgumentError(f"Argument `shots` must be given for {backend}, which has no exact values, but was not.")
    return ibm_evaluator(measured, name, shots) if kind == "ibm" else (fake_evaluator(measured, name, shots), None)
