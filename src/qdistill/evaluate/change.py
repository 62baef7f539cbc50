"""What a training changed: each weight array before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array


@dataclass(frozen=True)
class Change:
    """One weight array before and after.

    Args:
        name: of the array, as `named_weights` gives it.
        shape: of the array.
        before: L2 norm before.
        after: L2 norm after.
        distance: L2 norm of the difference.
    """

    name: str
    shape: tuple[int, ...]
    before: float
    after: float
    distance: float

    @property
    def relative(self) -> float | None:
        """The distance as a share of the norm before; None where that is zero, as that of biases is."""
        return self.distance / self.before if self.before > 0 else None


def changes(before: Mapping[str, Array], after: Mapping[str, Array]) -> list[Change]:
    """Compare two sets of weights of one network.

    Args:
        before: by name.
        after: by the same names and of the same shapes, in the order of the result; an array that was empty before, as
            the support points of a kernel are, counts as zeros.
    """
    rows = []
    for name, array in after.items():
        new, old = np.asarray(array, np.float64), np.asarray(before[name], np.float64)
        old = old if old.size else np.zeros_like(new)
        norms = (float(np.linalg.norm(part)) for part in (old, new, new - old))
        rows.append(Change(name, new.shape, *norms))
    return rows
