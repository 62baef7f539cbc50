"""How a long unroll keeps to a memory budget: which of its steps are kept and which are computed again.

The reverse pass through T steps needs what each of them keeps (s bytes a step). Where that is too much, the steps
are cut into segments: only what a step starts from (c bytes, the weights and the optimiser's state) is kept at the
start of each segment, and a segment is run again when the reverse pass comes to it (Chen et al., arXiv 1604.06174).
Segments may be cut into segments in turn. Lengths (n_1, ..., n_k) from the outside in hold n_1 ... n_k steps and keep

    (n_1 + ... + n_{k-1}) c + n_k s

bytes at most: without segments T s, with one level about 2 sqrt(T c s), with k - 1 levels about k (T c^(k-1) s)^(1/k).
Each level runs every step once more, however long its segments are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

from qdistill.errors import ArgumentError
from qdistill.machine import machine_memory

DEFAULT_SHARE = 0.25
"""The share of the machine's memory that an unroll may keep where nobody says otherwise."""


def segment_lengths(steps: int, *, carry_bytes: int, step_bytes: int, budget: int | None) -> tuple[int, ...]:
    """The lengths of nested segments with which the reverse pass of an unroll keeps to a budget.

    There are no segments where everything fits, and as few levels as fit otherwise, for each costs a forward pass.
    The cuts of one level cost alike, but for a few steps beyond T that a prime T needs: of those that fit, with at
    most twice the least memory, one with the fewest steps is taken, and then the one with the least memory.

    Args:
        steps: T, at least 1.
        carry_bytes: c, what a step starts from.
        step_bytes: s, what a step keeps for the reverse pass.
        budget: bytes that may be kept; None stands for `DEFAULT_SHARE` of the machine's memory, or for the least
            that is possible, if that is more.

    Returns:
        Lengths from the outside in, one for an unroll without segments. Their product is at least T: the steps
        beyond T must do nothing.

    Raises:
        ArgumentError: the budget is less than the least that is possible.
    """
    limit = int(DEFAULT_SHARE * machine_memory()) if budget is None else budget
    if steps * step_bytes <= limit:
        return (steps,)

    @functools.cache
    def least(length: int, levels: int) -> int:
        """The fewest bytes with so many levels."""
        if levels == 1:
            return length * step_bytes
        return min(n * carry_bytes + least(rest, levels - 1) for n, rest in _cuts(length))

    def choose(length: int, levels: int, limit: int) -> tuple[int, ...]:
        if levels == 1:
            return (length,)
        costs = {cut: cut[0] * carry_bytes + least(cut[1], levels - 1) for cut in _cuts(length)}
        # A large memory takes time too: more than twice the least is not worth a step.
        limit = min(limit, 2 * min(costs.values()))
        n, rest = min((cut for cut in costs if costs[cut] <= limit), key=lambda cut: (math.prod(cut), costs[cut]))
        return (n, *choose(rest, levels - 1, limit - n * carry_bytes))

    # With more levels there would be segments of one segment.
    possible = range(1, (steps - 1).bit_length() + 2)
    fewest = min(least(steps, levels) for levels in possible)
    if budget is None:
        limit = max(limit, fewest)
    elif budget < fewest:
        raise ArgumentError(
            f"Argument `memory_budget` must be at least {fewest:,} bytes for {steps} steps that keep {step_bytes:,} "
            f"bytes each, but was {budget:,} for each seed at work. Allow more memory, or take fewer steps or a "
            "smaller network."
        )
    levels = next(levels for levels in possible if least(steps, levels) <= limit)
    return choose(steps, levels, limit)


def _cuts(steps: int) -> Iterator[tuple[int, int]]:
    """Numbers of segments, 2 or more, with the length that they need: the smallest number for each length."""
    n = min(2, steps)
    while True:
        length = -(-steps // n)
        yield n, length
        if length == 1:
            return
        n = -(-steps // (length - 1))
