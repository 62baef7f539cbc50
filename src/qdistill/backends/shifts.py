"""Derivatives from evaluations at shifted angles: the parameter-shift rule, and SPSA.

Both are linear in what is measured. Around the angles a of one input, a rule asks for evaluations at a + offsets[e],
the first of them with no offset, and estimates the derivatives as ``sum_e slopes[e] <P>(a + offsets[e])``.

Parameter shift is exact; `quantum.gates.shift_rule` says what it is for each gate.

SPSA (Spall, IEEE Trans. Automat. Contr. 37, 332, 1992) moves all angles at once by c D, where D has independent random
signs, and estimates df/da_i as ``[f(a + c D) - f(a - c D)] / (2 c D_i)``. Two evaluations serve any number of angles.
The estimate is right in the mean to order c^2; its variance grows with the number of angles and, from the shots, with
1/c^2. It falls with the number of directions that are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from qdistill.backends.measured import MeasuredCircuit
from qdistill.quantum.gates import Gradient, shift_rule


@dataclass(frozen=True, eq=False)
class Shifts:
    """Where to evaluate around some angles, and how the derivatives follow.

    Args:
        offsets: radians, a row for each evaluation; the first row is zero.
        slopes: factors of each evaluation in the derivative by each angle.
    """

    offsets: Float[np.ndarray, "evaluations angles"]
    slopes: Float[np.ndarray, "evaluations angles"]


@lru_cache(maxsize=8)  # every step and call of a training asks for it again
def parameter_shift(measured: MeasuredCircuit) -> Shifts:
    """The parameter-shift rule for every angle that needs a derivative."""
    n = len(measured.angles)
    offsets, slopes = [np.zeros(n)], [np.zeros(n)]
    for place, (gate, shifted) in enumerate(zip(measured.gates, measured.shifted, strict=True)):
        if not shifted:
            continue
        unit = np.eye(n)[place]
        for shift, factor in shift_rule(gate):
            offsets += [shift * unit, -shift * unit]
            slopes += [factor * unit, -factor * unit]
    return Shifts(np.array(offsets), np.array(slopes))


def spsa(measured: MeasuredCircuit, perturbation: float, directions: int, rng: np.random.Generator) -> Shifts:
    """SPSA averaged over random directions, for one input.

    Args:
        measured: its `shifted` angles are moved together.
        perturbation: c, in radians.
        directions: how many.
        rng: draws them.
    """
    n = len(measured.angles)
    signs = rng.choice([-1.0, 1.0], (directions, n)) * np.array(measured.shifted, dtype=float)
    both_ways = np.concatenate([np.zeros((1, n)), signs, -signs])
    # The inverse of a sign is the sign.
    return Shifts(perturbation * both_ways, both_ways / (2 * perturbation * directions))


def n_evaluations(measured: MeasuredCircuit, gradient: Gradient, directions: int) -> int:
    """Evaluations of the circuit for the values and derivatives of one input; `directions` are SPSA's."""
    return 1 + 2 * directions if gradient == "spsa" else len(parameter_shift(measured).offsets)
