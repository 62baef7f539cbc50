"""Where synthetic examples start, and the real inputs that distillation must beat.

Each way gives as many inputs of each class as are asked for. Distances are Euclidean, between normalised inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.data import Splits
from qdistill.errors import ArgumentError

Start = Literal["noise", "real", "herding", "k_centre", "class_means"]
STARTS: tuple[Start, ...] = get_args(Start)


def initial_inputs(
    start: Start, splits: Splits, classes: Int[np.ndarray, " n"], *, key: Array
) -> Float[Array, "n *shape"]:
    """Normalised inputs of the given classes.

    Args:
        start: ``"noise"``, drawn from N(0, 1); ``"real"``, training inputs drawn without replacement; ``"herding"``,
            those whose running mean follows the class mean (Welling, "Herding dynamical weights to learn", 2009, with
            the inputs as their own features); ``"k_centre"``, the one nearest the class mean, then each time the
            one farthest from those picked (Gonzalez, Theor. Comput. Sci. 38, 1985); ``"class_means"``, the means of
            equal random parts of the class.
        splits: gives the training part and the transform.
        classes: the class of each input.
        key: random key, consumed; herding and k-centre draw nothing.

    Raises:
        ArgumentError: more inputs of a class than the training part has.
    """
    if start == "noise":
        return jax.random.normal(key, (len(classes), *splits.input_shape), jnp.float32)
    inputs = np.zeros((len(classes), *splits.input_shape), np.float32)
    for label, own_key in enumerate(jax.random.split(key, splits.n_classes)):
        places = classes == label
        count = int(places.sum())
        if not count:
            continue
        (members,) = np.nonzero(splits.train.labels == label)
        if len(members) < count:
            raise ArgumentError(
                f"Argument `per_class` or `examples` must ask for at most the {len(members)} training inputs of class "
                f"{label} where `start` is {start!r}, but asked for {count}."
            )
        if start == "real":
            picked = np.asarray(jax.random.choice(own_key, len(members), (count,), replace=False))
            inputs[places] = splits.transform(splits.train.inputs[members[picked]])
            continue
        own = np.asarray(splits.transform(splits.train.inputs[members]))
        if start == "class_means":
            order = np.asarray(jax.random.permutation(own_key, len(own)))
            inputs[places] = [own[part].mean(axis=0) for part in np.array_split(order, count)]
        else:
            inputs[places] = own[_PICKS[start](own.reshape(len(own), -1), count)]
    return jnp.asarray(inputs)


def _herding(points: Float[np.ndarray, "n numbers"], count: int) -> list[int]:
    mean, total = points.mean(axis=0), np.zeros(points.shape[1], points.dtype)
    picked: list[int] = []
    lengths = (points**2).sum(axis=1)
    for size in range(1, count + 1):
        # |mean - (total + x) / size|^2, without what does not depend on x.
        distances = lengths / size - 2 * points @ (mean - total / size)
        distances[picked] = np.inf
        picked.append(int(np.argmin(distances)))
        total += points[picked[-1]]
    return picked


def _k_centre(points: Float[np.ndarray, "n numbers"], count: int) -> list[int]:
    picked = [int(np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1)))]
    nearest = np.full(len(points), np.inf)
    while len(picked) < count:
        nearest = np.minimum(nearest, ((points - points[picked[-1]]) ** 2).sum(axis=1))
        picked.append(int(np.argmax(nearest)))
    return picked


_PICKS: dict[str, Callable[[np.ndarray, int], list[int]]] = {"herding": _herding, "k_centre": _k_centre}
