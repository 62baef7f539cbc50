"""How many items each class gives when a part of a dataset is taken class by class."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int, Int32


def quotas(counts: Int[np.ndarray, "classes"], total: int) -> Int[np.ndarray, "classes"]:
    """Share `total` among the classes in proportion to their sizes, by the largest remainder.

    Each class gets its proportional share rounded down; what is left goes, one each, to the classes with the
    largest remainders, and among equal remainders to the lower class index. All arithmetic is on integers, so
    that the answer is the same on every platform.

    Args:
        counts: how many items each class has.
        total: how many items to take in all, from 0 to the sum of `counts`.

    Returns:
        How many items to take from each class: non-negative, at most `counts`, with the sum `total`.
    """
    products = counts.astype(np.int64) * total
    n = int(counts.sum())
    taken, remainders = products // n, products % n
    left = total - int(taken.sum())
    taken[np.argsort(-remainders, kind="stable")[:left]] += 1
    return taken


def drawn(
    labels: Int32[np.ndarray, "n"], n_classes: int, total: int, seed: int, purpose: str = ""
) -> Bool[np.ndarray, "n"]:
    """Draw `total` items, of each class in proportion to its size; see `quotas`.

    Without a purpose the generator is ``default_rng(seed)``. Inputs that a user drew from that one are the very numbers
    that items are drawn by, so that the smallest would be taken; a purpose makes it another generator.

    Args:
        labels: the class of each item.
        n_classes: how many classes there are.
        total: how many items to draw, from 0 to n.
        seed: which of the possible draws to take, 0 or above.
        purpose: what they are drawn for: the draws of one are independent of those of another.

    Returns:
        Which items were drawn.
    """
    # The items with the lowest of n random numbers, class by class: unlike a permutation, this uses the
    # generator only in the way whose output NumPy does not change.
    lots = np.random.default_rng([seed, *purpose.encode()] if purpose else seed).random(len(labels))
    taken = np.zeros(len(labels), dtype=bool)
    for label, quota in enumerate(quotas(np.bincount(labels, minlength=n_classes), total)):
        members = np.flatnonzero(labels == label)
        taken[members[np.argsort(lots[members], kind="stable")[:quota]]] = True
    return taken
