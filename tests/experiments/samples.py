"""Runs to test with."""

from __future__ import annotations

from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.experiments.recipe import Recipe
from qdistill.models import QuantumLeNetArchitecture


def recipe_of_digits(iterations: int, validate_every: int) -> Recipe:
    """A run of the digits for a small quantum LeNet, of so many iterations and looks."""
    return Recipe(
        "digits",
        model=QuantumLeNetArchitecture(n_qubits=2, n_layers=1),
        compression=Compression(step_size=0.05),
        inner=InnerLoop(steps=2),
        outer=OuterLoop(iterations=iterations, batch=16, validate_every=validate_every),
        n_validation=100,
    )
