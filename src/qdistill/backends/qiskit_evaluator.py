"""A layer's circuit on Qiskit's backends: Aer, simulated devices with their noise, and IBM's devices.

For each measurement setting there is one measured circuit, transpiled once; all vectors of parameters go to the
backend's sampler in one job, as one broadcast "primitive unified bloc" a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from qdistill.backends.devices import fake_backend
from qdistill.backends.extras import require
from qdistill.backends.measured import Evaluator, MeasuredCircuit
from qdistill.backends.qiskit import circuit_to_qiskit
from qdistill.errors import ArgumentError, RunError
from qdistill.quantum.circuit import Circuit
from qdistill.quantum.elementary import elementary

_PARALLEL = {"max_parallel_experiments": 0}
"""Aer's cores go to different circuits; by default they share each circuit, which is slower for a few qubits."""

_REPETITION_SECONDS = 250e-6
"""Between two shots, where a device does not say: the usual delay of IBM's."""


@dataclass(frozen=True, eq=False)
class QiskitSampler:
    """An `Evaluator` that samples.

    Args:
        measured: what to run.
        circuits: one for each setting, for the backend's own gates and qubits. Bit w of its register ``wires`` is the
            outcome of wire w.
        sampler: makes the `SamplerV2` for a seed.
        shots: of each circuit.
    """

    measured: MeasuredCircuit
    circuits: list[Any]
    sampler: Callable[[int], Any]
    shots: int

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """See `Evaluator`."""
        return self.values(self.submit(parameters, seed=seed))

    def submit(self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int) -> Any:
        """Send a job, and do not wait for it: the arguments of `expectations`, and Qiskit's job."""
        # The transpiler may have removed gates without effect, and their parameters with them.
        pubs = [(circuit, parameters[:, [p.index for p in circuit.parameters]]) for circuit in self.circuits]
        return self.sampler(seed).run(pubs, shots=self.shots)

    def values(self, job: Any) -> Float[np.ndarray, "evaluations terms"]:
        """Wait for a job: what `expectations` returns."""
        return self.measured.from_bits([part.data.wires.to_bool_array(order="little") for part in job.result()])


@dataclass(frozen=True, eq=False)
class IBMSampler(QiskitSampler):
    """A `QiskitSampler` on a device of IBM's, whose jobs are found again by their id.

    Args:
        service: the `QiskitRuntimeService` that the device is of.
    """

    service: Any

    def find(self, job_id: str) -> Any | None:
        """A job that was sent before; None where it failed, was cancelled, or is not known to the service."""
        unknown = require("qiskit_ibm_runtime.exceptions", "qiskit").RuntimeJobNotFound
        try:
            job = self.service.job(job_id)
        except unknown:
            return None
        return None if job.in_final_state() and not job.done() else job


@dataclass(frozen=True, eq=False)
class AerEstimator:
    """An `Evaluator` that computes the exact values with Aer."""

    measured: MeasuredCircuit
    circuit: Any

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """See `Evaluator`; the seed has no meaning here."""
        # Qiskit writes qubit n - 1, our wire 0, first: its strings are ours.
        observables = [[term] for term in self.measured.terms]
        estimator = require("qiskit_aer.primitives", "qiskit").EstimatorV2(
            options={"default_precision": 0.0, "backend_options": _PARALLEL}
        )
        columns = [p.index for p in self.circuit.parameters]
        (result,) = estimator.run([(self.circuit, observables, parameters[:, columns])]).result()
        values: np.ndarray = np.asarray(result.data.evs, dtype=float).T
        return values


def aer_evaluator(measured: MeasuredCircuit, shots: int | None) -> Evaluator:
    """Aer's simulator without noise; exact values without shots.

    Raises:
        MissingExtraError: Qiskit or Aer is not installed.
    """
    primitives = require("qiskit_aer.primitives", "qiskit")
    device = require("qiskit_aer", "qiskit").AerSimulator()
    _check_qubits(measured, device, "qiskit-aer")
    if shots is None:
        return AerEstimator(measured, _transpiled(_circuit(measured), device, 0))
    circuits = [_transpiled(circuit, device, 0) for circuit in _measured_circuits(measured)]
    options = {"backend_options": _PARALLEL}
    return QiskitSampler(measured, circuits, lambda seed: primitives.SamplerV2(seed=seed, options=options), shots)


def fake_evaluator(measured: MeasuredCircuit, name: str, shots: int) -> Evaluator:
    """One of the simulated devices of qiskit-ibm-runtime, with the noise of the real one.

    Raises:
        MissingExtraError: Qiskit, Aer or qiskit-ibm-runtime is not installed.
        ArgumentError: there is none of that name, or it has too few qubits.
    """
    primitives = require("qiskit_aer.primitives", "qiskit")
    device = fake_backend(name, "backend", "qiskit:")
    _check_qubits(measured, device, f"qiskit:{name}")
    circuits = [_transpiled(circuit, device, 3) for circuit in _measured_circuits(measured)]
    simulator = require("qiskit_aer", "qiskit").AerSimulator.from_backend(device, **_PARALLEL)
    return QiskitSampler(
        measured, circuits, lambda seed: primitives.SamplerV2.from_backend(simulator, seed=seed), shots
    )


def ibm_evaluator(measured: MeasuredCircuit, name: str, shots: int) -> tuple[IBMSampler, float]:
    """A device of IBM's, by the account that Qiskit itself has saved.

    Nothing is sent to the device before `expectations` or `submit` is called.

    Returns:
        The evaluator, and an estimate of the seconds that one circuit takes on the device.

    Raises:
        MissingExtraError: Qiskit or qiskit-ibm-runtime is not installed.
        RunError: there is no account that works, or it has no such device.
        ArgumentError: the device has too few qubits.
    """
    runtime = require("qiskit_ibm_runtime", "qiskit")
    try:
        service = runtime.QiskitRuntimeService()
    except Exception as error:
        # Only the kind of the error: its text may hold parts of the account.
        raise RunError(
            f"IBM's service cannot be used ({type(error).__name__}). Save an account first with "
            "qiskit_ibm_runtime.QiskitRuntimeService.save_account, and see that the network is there."
        ) from None
    try:
        device = service.backend(name)
    except Exception as error:
        raise RunError(
            f"The account has no device {name!r} that can be used ({type(error).__name__}). "
            "QiskitRuntimeService().backends() lists those it has."
        ) from None
    _check_qubits(measured, device, f"ibm:{name}")
    circuits = [_transpiled(circuit, device, 3) for circuit in _measured_circuits(measured)]
    delay = getattr(device, "default_rep_delay", None) or _REPETITION_SECONDS
    sampler = IBMSampler(measured, circuits, lambda seed: runtime.SamplerV2(mode=device), shots, service)
    return sampler, delay * shots


def _circuit(measured: MeasuredCircuit) -> Any:
    """The circuit, with controlled rotations taken apart.

    Aer 0.18 binds the parameters of controlled rotations wrongly where they come from a broadcast array
    (https://github.com/Qiskit/qiskit-aer/issues/2391).
    """
    circuit = measured.circuit
    operations = tuple(part for whole in circuit.operations for part in elementary(whole))
    return circuit_to_qiskit(Circuit(circuit.n_wires, operations))


def _measured_circuits(measured: MeasuredCircuit) -> list[Any]:
    """The circuit with the rotations to each setting and the measurements behind it."""
    qiskit = require("qiskit", "qiskit")
    n = measured.circuit.n_wires
    circuits = []
    for setting in measured.settings:
        circuit = _circuit(measured)
        register = qiskit.ClassicalRegister(n, "wires")
        circuit.add_register(register)
        for wire, letter in enumerate(setting):
            qubit = n - 1 - wire
            if letter == "Y":
                circuit.sdg(qubit)
            if letter != "Z":
                circuit.h(qubit)
            circuit.measure(qubit, register[wire])
        circuits.append(circuit)
    return circuits


def _transpiled(circuit: Any, device: Any, level: int) -> Any:
    transpiler = require("qiskit.transpiler", "qiskit")
    passes = transpiler.generate_preset_pass_manager(optimization_level=level, backend=device, seed_transpiler=0)
    return passes.run(circuit)


def _check_qubits(measured: MeasuredCircuit, device: Any, name: str) -> None:
    n = measured.circuit.n_wires
    if device.num_qubits < n:
        raise ArgumentError(
            f"Argument `backend` must have the layer's {n} qubits at least, but {name} has {device.num_qubits}."
        )
