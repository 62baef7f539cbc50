"""How circuits are executed: with the noise of a device, or from a finite number of shots.

What is exact: the noise of the ansatz, the readout and the measurement's own rotations, always; the noise of the state
preparation where `Execution.preparation` is ``"exact"``. What is a choice: how shots enter a gradient.

- ``"samples"``: every value is an average over S shots of each setting, and every derivative is what a device would
  estimate, by shift rules (see `sampled_values`). These gradients have no derivatives of their own.
- ``"gaussian"``: the exact value plus Gaussian noise of the exact covariance of S shots, smooth to any order: for
  optimising through a training. Its derivatives are those of that sum; they underestimate the noise of shift rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.quantum.device import DeviceModel


@dataclass(frozen=True)
class Execution:
    """How circuits are executed.

    Args:
        device: whose noise they have; None for none.
        shots: S, for each measurement setting; None for exact expectation values.
        estimator: how shots enter values and gradients (see the module's text); without effect on exact ones.
        preparation: the noise of the state preparation on a device: ``"exact"``, the cheaper ``"approximate"`` (see
            `noisy_preparation.noisy_state`), or ``"ideal"``, which is none.

    Raises:
        ArgumentError: neither a device nor shots, or a bad value.
    """

    device: DeviceModel | None = None
    shots: int | None = None
    estimator: Literal["samples", "gaussian"] = "samples"
    preparation: Literal["exact", "approximate", "ideal"] = "exact"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.device is None and self.shots is None:
            raise ArgumentError("Argument `device` or `shots` must be given: without both an execution is exact.")
        if self.shots is not None and self.shots < 1:
            raise ArgumentError(f"Argument `shots` must be at least 1, but was {self.shots}.")
