"""One outer iteration over several devices: the cores of a processor, or accelerators.

Every device runs the same program and holds all weights. What there are many of is shared out: networks, the synthetic
examples of an inner step, real inputs. Each of these is an axis of a mesh of devices. A function that can be spread
asks for the axis by its name; where nobody made one, it is alone and does everything itself.

Sums go over the devices in the order of their numbers, so as many devices give the same bits again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree

from qdistill.compiling import compiled_now
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields

NETWORKS, TRAINING, REAL = "networks", "training", "real"
"""The axes: networks of one iteration, synthetic examples of one step, and real inputs, in that order."""

REAL_INPUTS = (TRAINING, REAL)
"""Real inputs are shared out among the devices that share a training, and among those that only repeat it."""

EVERYWHERE = PartitionSpec()  # type: ignore[no-untyped-call]
"""How an array lies on a mesh of which every device has all of it."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Spread:
    """How many devices share each part of an iteration; their product is the number of devices.

    Args:
        networks: that share out the networks of an iteration.
        training: that share out the synthetic examples of each step.
        real: that share out the real inputs, and beyond them train alike.
    """

    networks: int = 1
    training: int = 1
    real: int = 1

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)
        for name, value in vars(self).items():
            if value < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")

    @property
    def n_devices(self) -> int:
        """Devices of one run."""
        return self.networks * self.training * self.real

    def mesh(self, devices: Sequence[jax.Device], *, before: dict[str, int] | None = None) -> Mesh:
        """The devices, ordered along the axes.

        Args:
            devices: as many as all axes take.
            before: names and lengths of axes in front.

        Raises:
            ArgumentError: there are more devices, or fewer.
        """
        before = before or {}
        shape = (*before.values(), self.networks, self.training, self.real)
        if len(devices) != math.prod(shape):
            places = f"{math.prod(shape)}, one for each place of {shape}"
            raise ArgumentError(f"Argument `devices` must be {places}, but were {len(devices)}.")
        return Mesh(np.array(devices).reshape(shape), (*before, NETWORKS, TRAINING, REAL))


ALONE = Spread()
"""One device."""


def spread(function: Callable[..., _Result], mesh: Mesh | None) -> Callable[..., _Result]:
    """Compile a function, to be run by all devices of a mesh at once.

    Args:
        function: of trees whose arrays every device has; gives arrays that are alike on all of them.
        mesh: of the axes of this module; None for one device, where arrays may lie anywhere.
    """
    if mesh is None:
        alone: Callable[..., _Result] = compiled_now(function)
        return alone

    def together(*arguments: PyTree) -> _Result:
        arrays, static = eqx.partition(arguments, eqx.is_array)
        run = jax.shard_map(
            lambda arrays: function(*eqx.combine(arrays, static)),
            mesh=mesh,
            in_specs=EVERYWHERE,
            out_specs=EVERYWHERE,
            check_vma=False,
        )
        result: _Result = run(arrays)  # type: ignore[no-untyped-call]
        return result

    compiled: Callable[..., _Result] = compiled_now(together)
    return compiled


def everywhere(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """The same arrays on every device of a mesh; unchanged without one."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, EVERYWHERE)
    arrays, static = eqx.partition(tree, eqx.is_array)
    if jax.process_count() == 1:
        return eqx.combine(jax.device_put(arrays, sharding), static)
    return eqx.combine(jax.tree.map(lambda a: _in_all_processes(a, sharding), arrays), static)


def _in_all_processes(array: Array, sharding: NamedSharding) -> Array:
    """An array that each process of several has by itself, as one of all."""
    if getattr(array, "sharding", None) == sharding:
        return array
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        keys: Array = jax.random.wrap_key_data(_in_all_processes(jax.random.key_data(array), sharding))
        return keys
    own = np.asarray(array)
    return jax.make_array_from_callback(own.shape, sharding, lambda place: own[place])


def here(tree: PyTree) -> PyTree:
    """Arrays that every device has, as one device of this process has them."""
    return jax.tree.map(lambda a: a.addressable_data(0) if isinstance(a, jax.Array) else a, tree)


class Part:
    """What one device takes of some things that are shared out.

    Every device takes equally many. Where they do not come out even, the last ones take the last thing again, and
    `counts` says that it is none of theirs.

    Args:
        n: how many things there are.
        axes: the devices that share them.
    """

    def __init__(self, n: int, axes: str | tuple[str, ...]) -> None:
        self.axes, devices = axes, n_devices(axes)
        self.is_all = devices == 1
        self.size = -(-n // devices)
        self._first = jnp.zeros((), jnp.int32) if self.is_all else self.size * jax.lax.axis_index(axes)
        self.n, self._is_even = n, n % devices == 0

    @property
    def counts(self) -> Float[Array, " own"] | None:
        """For each, 1 where it is this device's, else 0; None where all are."""
        if self._is_even:
            return None
        return (self._first + jnp.arange(self.size) < self.n).astype(jnp.float32)

    def of(self, tree: PyTree, axis: int = 0) -> PyTree:
        """This device's, of arrays that have an axis of all the things."""
        if self.is_all:
            return tree
        if self._is_even:
            return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, self._first, self.size, axis), tree)
        places: Int[Array, " own"] = jnp.minimum(self._first + jnp.arange(self.size), self.n - 1)
        return jax.tree.map(lambda a: jnp.take(a, places, axis), tree)


def n_devices(axes: str | tuple[str, ...]) -> int:
    """How many devices share this; 1 where nobody shares anything out."""
    try:
        return int(jax.lax.axis_size(axes))
    except NameError:
        return 1


def total(tree: PyTree, axes: str | tuple[str, ...]) -> PyTree:
    """The sum of what the devices have, on each of them. Its cotangent is each one's own."""
    if n_devices(axes) == 1:
        return tree

    @jax.custom_vjp
    def add(tree: PyTree) -> PyTree:
        return _sum_over(tree, axes)

    add.defvjp(lambda tree: (add(tree), None), lambda _, cotangent: (cotangent,))
    return add(tree)


def shared(tree: PyTree, axes: str | tuple[str, ...]) -> PyTree:
    """What all devices have alike and each uses for its part alone: its cotangent is the sum of theirs."""
    if n_devices(axes) == 1:
        return tree

    @jax.custom_vjp
    def same(tree: PyTree) -> PyTree:
        return tree

    same.defvjp(lambda tree: (tree, None), lambda _, cotangent: (_sum_over(cotangent, axes),))
    return same(tree)


def over_devices(function: Callable[[PyTree], _Result], own: PyTree, axis: str = NETWORKS) -> _Result:
    """What a function gives for many things, where each device takes its part of them.

    Args:
        function: takes arrays with an axis of several things in front, and gives such.
        own: those of all things.
        axis: the devices that share them.

    Returns:
        All results in order, on every device.
    """
    if n_devices(axis) == 1:
        return function(own)
    part = Part(len(jax.tree.leaves(own)[0]), axis)
    # Where they do not come out even, the last ones are a thing that was taken again.
    results: _Result = jax.tree.map(lambda a: jax.lax.all_gather(a, axis, tiled=True)[: part.n], function(part.of(own)))
    return results


def _sum_over(tree: PyTree, axes: str | tuple[str, ...]) -> PyTree:
    """All arrays of a kind in one message: devices wait for each other once, and that is most of the price."""
    leaves, structure = jax.tree.flatten(tree)
    sums: list[Array] = list(leaves)
    for kind in dict.fromkeys(leaf.dtype for leaf in leaves):
        places = [i for i, leaf in enumerate(leaves) if leaf.dtype == kind]
        whole = jax.lax.psum(jnp.concatenate([leaves[i].ravel() for i in places]), axes)  # type: ignore[no-untyped-call]
        ends = np.cumsum([leaves[i].size for i in places])
        for i, end in zip(places, ends, strict=True):
            sums[i] = whole[end - leaves[i].size : end].reshape(leaves[i].shape)
    return jax.tree.unflatten(structure, sums)
