"""A layer's circuit on a device of PennyLane: one broadcast execution for each measurement setting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from qdistill.backends.extras import require
from qdistill.backends.measured import MeasuredCircuit
from qdistill.backends.pennylane import queue
from qdistill.errors import ArgumentError

_SEEDED = ("default.", "lightning.")


@dataclass(frozen=True, eq=False)
class PennyLaneEvaluator:
    """An `Evaluator` on a device of PennyLane.

    PennyLane's own simulators take the seed; devices of others draw as they do.

    Args:
        measured: what to run.
        device: its name, such as ``"default.qubit"``.
        shots: of each circuit, or None for exact values, where the device has them.

    Raises:
        MissingExtraError: PennyLane is not installed.
        ArgumentError: PennyLane knows no such device, or it has too few qubits.
    """

    measured: MeasuredCircuit
    device: str
    shots: int | None

    def __post_init__(self) -> None:
        """Make the device once, so that a wrong name is found before anything runs."""
        qml = require("pennylane", "pennylane")
        try:
            qml.device(self.device, wires=self.measured.circuit.n_wires)
        except (qml.exceptions.DeviceError, ValueError, ImportError) as error:
            raise ArgumentError(
                f"Argument `backend` must be a device of PennyLane with the layer's {self.measured.circuit.n_wires} "
                f"qubits, but 'pennylane:{self.device}' cannot be made ({error})."
            ) from error

    def expectations(
        self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int
    ) -> Float[np.ndarray, "evaluations terms"]:
        """See `Evaluator`."""
        qml = require("pennylane", "pennylane")
        n = self.measured.circuit.n_wires
        options = {"seed": seed} if self.device.startswith(_SEEDED) else {}
        device = qml.device(self.device, wires=n, **options)

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
