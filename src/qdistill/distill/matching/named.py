"""The objectives by the names that recipes give them."""

from __future__ import annotations

from typing import Literal

from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.matching.distributions import DistributionMatching
from qdistill.distill.matching.gradients import GradientMatching
from qdistill.distill.matching.last_layer import LastLayer
from qdistill.distill.objective import MetaObjective, PerformanceMatching
from qdistill.errors import ArgumentError

Objective = Literal["performance", "gradients", "distributions", "last_layer"]
"""What the names stand for is said in `named_objective`."""


def named_objective(name: Objective, memory_budget: int | None = None) -> MetaObjective:
    """The objective of a name: `PerformanceMatching`, `GradientMatching`, `DistributionMatching` or `LastLayer`.

    Args:
        name: ``"performance"``, ``"gradients"``, ``"distributions"`` or ``"last_layer"``.
        memory_budget: of `PerformanceMatching`, which alone keeps the steps of a training.
    """
    if name == "performance":
        return PerformanceMatching(memory_budget=memory_budget)
    others: dict[str, MetaObjective] = {
        "gradients": GradientMatching(),
        "distributions": DistributionMatching(),
        "last_layer": LastLayer(),
    }
    return others[name]


def check_objective(name: Objective, inner: InnerLoop, compression: Compression) -> None:
    """Make sure that an objective says something of such data.

    Raises:
        ArgumentError: the network is solved at once, so that there are no networks on the way; labels are learned,
            where they say which class an example is matched with; or nothing is left to be learned.
    """
    if name == "performance":
        return
    if inner.optimiser == "newton":
        raise ArgumentError(
            f"Argument `objective` must be 'performance' for a network with a closed form, but was {name!r}."
        )
    if name != "last_layer" and compression.labels == "learned":
        raise ArgumentError(
            f"Argument `compression.labels` must be 'fixed' for the objective {name!r}, which compares real and "
            "synthetic inputs of each class, but was 'learned'."
        )
    if compression.inputs == "fixed" and compression.labels == "fixed":
        raise ArgumentError(
            f"Argument `objective` must be 'performance' where inputs and labels are fixed, for no other improves step "
            f"sizes, but was {name!r}."
        )
