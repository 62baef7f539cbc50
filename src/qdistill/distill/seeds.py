"""Several seeds of one bilevel problem, advanced side by side in one program."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, PyTree

from qdistill.compiling import compiler_options
from qdistill.distill.cores import ALONE, EVERYWHERE, Spread
from qdistill.distill.outer import Distiller
from qdistill.distill.outer_state import IterationReport, OuterState

_SEEDS = PartitionSpec("seeds")  # type: ignore[no-untyped-call]


class SideBySide:
    """Several starts of one problem, spread over JAX's devices.

    A processor's device takes its seeds one after the other: the products of one seed fill its caches, and the
    numbers are those of a run alone. (A machine with several cores is several devices where
    ``jax.config.update("jax_num_cpu_devices", cores)`` says so before JAX is first used.) An accelerator's device
    takes its seeds all at once, as one more axis of every product.

    Args:
        distillers: `Distiller.with_start` of the first, for all but the first.
        at_once: how many seeds are at work at the same time; as many as there are devices by default.
        spread: how the devices of one seed share its iteration.
    """

    def __init__(self, distillers: Sequence[Distiller], at_once: int | None = None, spread: Spread = ALONE) -> None:
        """Place what the seeds share, and what each has of its own."""
        self.distillers = distillers
        devices = jax.devices()
        places = min(len(distillers), len(devices) // spread.n_devices) if at_once is None else at_once
        # Every place takes equally many; those that are left over stand still.
        self._empty = -len(distillers) % places
        mesh = spread.mesh(devices[: places * spread.n_devices], before={"seeds": places})
        self._own, self._shared = NamedSharding(mesh, _SEEDS), NamedSharding(mesh, EVERYWHERE)
        models = [eqx.partition(distiller.model, eqx.is_array) for distiller in distillers]
        self._static = models[0][1]
        self._models = self._spread([arrays for arrays, _ in models])
        self._keys = self._spread([distiller.key_batches for distiller in distillers])
        self._train = jax.device_put(distillers[0].train_part, self._shared)
        own, shared = _SEEDS, EVERYWHERE
        self._advance = jax.jit(
            jax.shard_map(
                self._all_seeds,
                mesh=mesh,
                in_specs=(own, own, own, own, shared),
                out_specs=(own, own),
                check_vma=False,
            ),
            compiler_options=compiler_options(),
        )

    def join(self, states: Sequence[OuterState]) -> OuterState:
        """One state for each seed -> all in one, every array with an axis of seeds in front."""
        joined: OuterState = self._spread(states)
        return joined

    def part(self, joined: OuterState) -> list[OuterState]:
        """The inverse of `join`."""
        host = jax.tree.map(np.asarray, joined)
        return [jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), host) for i in range(len(self.distillers))]

    def iterate(self, joined: OuterState, moving: Sequence[bool]) -> tuple[OuterState, list[IterationReport]]:
        """One iteration of every seed that moves; the others stay as they are.

        Args:
            joined: what `join` gave.
            moving: for each seed, whether it takes part.

        Returns:
            The new states, and a report for each seed (of a rejected iteration for those that stayed).
        """
        places = jax.device_put(np.array([*moving, *[False] * self._empty]), self._own)
        joined, reports = self._advance(self._models, self._keys, joined, places, self._train)
        host = jax.tree.map(np.asarray, reports)
        return joined, [jax.tree.map(lambda a, i=i: a[i], host) for i in range(len(self.distillers))]

    def _spread(self, trees: Sequence[PyTree]) -> PyTree:
        padded = [*trees, *[trees[-1]] * self._empty]
        return jax.device_put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *padded), self._own)

    def _all_seeds(
        self, models: PyTree, keys: Array, states: OuterState, moving: Bool[Array, " seeds"], train: PyTree
    ) -> tuple[OuterState, IterationReport]:
        def one(own: tuple[PyTree, Array, OuterState, Bool[Array, ""]]) -> tuple[OuterState, IterationReport]:
            model, key, state, moves = own
            fixed = (eqx.combine(model, self._static), train, key)

            def go(state: OuterState) -> tuple[OuterState, IterationReport]:
                return self.distillers[0].iteration(fixed, state)

            def stay(state: OuterState) -> tuple[OuterState, IterationReport]:
                nothing = jnp.full((), jnp.nan)
                return state, IterationReport(nothing, nothing, jnp.zeros((), bool))

            result: tuple[OuterState, IterationReport] = jax.lax.cond(moves, go, stay, state)
            return result

        own = (models, keys, states, moving)
        if jax.default_backend() == "cpu":
            one_by_one: tuple[OuterState, IterationReport] = jax.lax.map(one, own)
            return one_by_one
        together: tuple[OuterState, IterationReport] = jax.vmap(one)(own)
        return together
