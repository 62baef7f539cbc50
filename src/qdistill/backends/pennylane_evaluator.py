"""A layer's circuit on a device of PennyLane: one broadcast execution for each measurement setting."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float

from qdistill.backends.extras import require
from qdistill.backends.measured import MeasuredCircuit
from qdistill.backends.pennylane import queue
from qdistill.errors import ArgumentError

LOCAL = ("default.", "lightning.", "reference.")
"""How the names of PennyLane's own simulators start, all of which compute on this machine."""


@dataclass(frozen=True, eq=False)
class PennyLaneEvaluator:
    """An `Evaluator` on one of PennyLane's own simulators.

    Devices of plugins are refused, because some of them are remote ones that are paid for by the circuit.

    Args:
        measured: what to run.
        device: its name, such as ``"default.qubit"``; it starts with one of `LOCAL`.
        shots: of each circuit, or None for exact values, where the device has them.

    Raises:
        MissingExtraError: PennyLane is not installed.
        ArgumentError: this is none of PennyLane's own simulators, or it cannot be made for the layer's qubits and a
            seed.
    """

    measured: MeasuredCircuit
    device: str
    shots: int | None

    def __post_init__(self) -> None:
        """Make the device once, so that a wrong name is found before anything runs."""
        if not self.device.startswith(LOCAL):
            raise ArgumentError(
                "Argument `backend` must be, after 'pennylane:', a simulator of PennyLane's own, whose name starts "
                f"with {', '.join(LOCAL[:-1])} or {LOCAL[-1]}, but was 'pennylane:{self.device}'. A plugin's device "
                "may be a remote one that is paid for, and only ibm:NAME shows the bill and asks first."
            )
        qml = require("pennylane", "pennylane")
        try:
            self._make(qml, seed=0)
        except (qml.exceptions.DeviceError, ValueError, TypeError, ImportError) as error:
            raise ArgumentError(
                f"Argument `backend` must be a device of PennyLane that takes the layer's "
                f"{self.measured.circuit.n_wires} qubits and a seed and needs nothing else, but "
                f"'pennylane:{self.device}' cannot be made ({error})."
            ) from error

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """See `Evaluator`."""
        qml = require("pennylane", "pennylane")
        n = self.measured.circuit.n_wires
        device = self._make(qml, seed)

        def function(setting: str, angles: np.ndarray) -> object:
            queue(qml, self.measured.circuit, angles, None)
            for wire, letter in enumerate(setting):
                if letter == "Y":
                    qml.adjoint(qml.S(wire))
                if letter != "Z":
                    qml.Hadamard(wire)
            return qml.probs(wires=range(n))

        node = qml.set_shots(qml.QNode(function, device, diff_method=None), shots=self.shots)
        return self.measured.from_probabilities(
            [
                np.asarray(node(setting, parameters.T), dtype=float).reshape(len(parameters), 2**n)
                for setting in self.measured.settings
            ]
        )

    def _make(self, qml: ModuleType, seed: int) -> Any:
        return qml.device(self.device, wires=self.measured.circuit.n_wires, seed=seed)
