"""The problem that the benchmarks of an outer iteration share: a recipe at its start, with one real batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from qdistill.distill.outer import Distiller
from qdistill.distill.training_set import TrainingSet
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.distillers import make_distiller
from qdistill.experiments.recipe import Recipe

N_REAL = 256
"""Real inputs of an outer iteration."""

SLICE = 32
"""Real inputs at which the parts are timed: a slice of `PerformanceMatching`."""


@dataclass(frozen=True)
class Problem:
    """A recipe at its start, with one real batch."""

    recipe: Recipe
    distiller: Distiller
    data: TrainingSet
    real: Array
    labels: Array

    @property
    def n_step(self) -> int:
        """Synthetic examples of an inner step."""
        return int(self.data.schedule.shape[1])

    @property
    def n_real(self) -> int:
        """Real inputs of an outer iteration."""
        return len(self.real)

    @property
    def steps(self) -> int:
        """Inner steps, T."""
        return len(self.data.schedule)

    @property
    def arrays(self) -> tuple[Array, Array, Array]:
        """What is learned."""
        return self.data.inputs, self.data.labels, self.data.step_sizes


def plain_recipe(dataset: str) -> Recipe:
    """Ten plain gradient steps and 256 real inputs, which is what all that it is compared with is written for.

    The defaults differ: MNIST's takes momentum, which needs one more addition a weight, CIFAR-10's twenty steps and
    whitened inputs, and both take half as many real inputs.
    """
    recipe = default_recipe(dataset)
    compression = replace(recipe.compression, start="noise", step_size=0.02)
    inner = replace(recipe.inner, optimiser="gradient_descent", epochs=1)
    outer = replace(recipe.outer, batch=N_REAL)
    return replace(recipe, compression=compression, inner=inner, outer=outer, transforms=("standardise",))


def load(dataset: str, quick: bool) -> Problem:
    """The plain recipe's problem; the synthetic examples start as noise.

    With real inputs the implementations need not agree: where a constant background ties in a pooling
    window, each library has a rule of its own for the pixel that the gradient goes to.
    """
    recipe = plain_recipe(dataset)
    if quick:
        small = replace(recipe.model, n_layers=1)
        recipe = replace(recipe, model=small, inner=replace(recipe.inner, steps=2))
    splits = recipe.splits()
    distiller = make_distiller(recipe, splits)
    picked = np.random.default_rng(0).integers(len(splits.train), size=recipe.outer.batch)
    inputs = splits.train.inputs[picked]
    if recipe.outer.mirror:
        inputs[::2] = inputs[::2, :, ::-1]
    return Problem(
        recipe,
        distiller,
        distiller.training_set(distiller.start().learned),
        splits.transform(inputs),
        jax.nn.one_hot(splits.train.labels[picked], splits.n_classes),
    )


def normal(*shape: int) -> Array:
    """Normal numbers, the same ones each time; JAX's own generator would compile for every shape."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))
