"""How much of a bundle's accuracy hangs on rounding: its replay in float64, and from numbers with rounding noise.

A network with ReLUs and pooling is linear in pieces. Where a distilled example lies on the border of two of them, to
within float32's resolution, rounding decides which gradient it gives, and from there the trainings go apart.
"""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from qdistill.data import Labelled
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.record import Rerun, Rounding, RoundingCheck
from qdistill.evaluate.answers import answers, fraction_right
from qdistill.models import Model, with_weights

DRAWS = 8
"""Of the noise."""

NOISE = 2.0**-22
"""The largest relative change of a number: what a handful of roundings to float32, each of up to 2^-24, add up to."""


def rounding(
    bundle: DistilledDataset, *parts: Labelled, structure: Model | None = None, draws: int = DRAWS
) -> list[Rounding]:
    """Replay a bundle in float32, in float64, and in float32 with noise; compare what they say.

    Args:
        bundle: what to replay.
        parts: real inputs, raw, with their labels.
        structure: see `DistilledDataset.initial_model`.
        draws: of the noise.

    Returns:
        What was found on each of the parts.

    Raises:
        DivergenceError: a replay is no longer finite.
    """
    initial = bundle.initial_model(structure)
    own = _answers(bundle, initial, parts)
    noisy = []
    for draw in range(draws):
        noised = _with_noise(bundle, draw)
        noisy.append(_answers(noised, with_weights(initial, noised.initial_weights), parts))
    with jax.enable_x64(True):
        exact = _answers(_in_float64(bundle), _in_float64(initial), parts)

    def rerun(given: list[np.ndarray], place: int) -> Rerun:
        return Rerun(fraction_right(given[place], parts[place].labels), int(np.sum(given[place] != own[place])))

    return [
        Rounding(
            n=len(part),
            accuracy=fraction_right(own[place], part.labels),
            float64=rerun(exact, place),
            perturbed=tuple(rerun(given, place) for given in noisy),
        )
        for place, part in enumerate(parts)
    ]


def checked(bundle: DistilledDataset, validation: Labelled, test: Labelled) -> DistilledDataset:
    """The bundle with its `rounding` measured on both parts."""
    on_validation, on_test = rounding(bundle, validation, test)
    return dataclasses.replace(bundle, rounding=RoundingCheck(on_validation, on_test))


def _answers(bundle: DistilledDataset, initial: Model, parts: tuple[Labelled, ...]) -> list[np.ndarray]:
    trained = bundle.train(initial)
    return [answers(trained, bundle.transform, part.inputs) for part in parts]


def _with_noise(bundle: DistilledDataset, draw: int) -> DistilledDataset:
    """The bundle with each number x of its inputs and weights replaced by x (1 + `NOISE` u), u uniform in [-1, 1]."""
    rng = np.random.default_rng(draw)

    def noised(array: Array) -> Array:
        factors = 1 + NOISE * rng.uniform(-1, 1, array.shape)
        return jnp.asarray((np.asarray(array) * factors).astype(np.float32))

    inputs = noised(bundle.data.inputs)
    weights = {name: noised(bundle.initial_weights[name]) for name in bundle.weight_names}
    with_both: DistilledDataset = eqx.tree_at(lambda b: (b.data.inputs, b.initial_weights), bundle, (inputs, weights))
    return with_both


def _in_float64(tree: PyTree) -> PyTree:
    """The same with all numbers in float64; within `jax.enable_x64` only."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, tree)
