"""Basis states as bits, that of wire 0 the most significant: masks of wires, parities, and maps linear over bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def mask_of(wires: Iterable[int], n_wires: int) -> int:
    """Some wires as bits of a basis state, that of wire 0 the most significant."""
    return sum(1 << (n_wires - 1 - wire) for wire in wires)


def parities(n_wires: int, mask: int) -> np.ndarray:
    """For every basis state whether an odd number of the mask's bits are 1 in it."""
    return linear_map([mask >> place & 1 for place in reversed(range(n_wires))]).astype(bool)


def linear_map(images: Sequence[int]) -> np.ndarray:
    """The 2^n values of a map that is linear over bits, from the images of the bits, the most significant first."""
    values = np.zeros(1, np.int32)
    for image in reversed(images):
        values = np.concatenate([values, values ^ np.int32(image)])
    return values
