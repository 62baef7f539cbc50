"""How many devices share a run, and how: what is cheapest by an estimate of an iteration.

The devices wait for each other twice in a step that they share and once for the real inputs. That is a price which a
small network does not earn back. It is estimated, not tried: a program for each way would have to be compiled, and a
run would take other roundings on each start. The constants are of the measurements in decision 17.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp

from qdistill.distill.cores import ALONE, Spread
from qdistill.models import ClosedForm, Model, predict


@dataclass(frozen=True)
class Prices:
    """What a kind of device takes.

    Args:
        operations_per_second: floating-point operations in the products of a small network.
        wait: seconds for a sum over devices, of nothing.
        bytes_per_second: of what is summed.
    """

    operations_per_second: float
    wait: float
    bytes_per_second: float


_CPU = Prices(4e10, 1e-4, 1e9)
_ACCELERATOR = Prices(5e12, 2e-5, 1e11)
"""Not measured: no run has been on several accelerators yet."""

_STEP, _REAL = 12, 3
"""Forward passes that an example of an inner step is worth, with its meta-gradient, and a real input, with its
gradient."""

_WORTH_IT = 0.9
"""More devices are taken where an iteration takes at most this share of the time."""


@dataclass(frozen=True)
class Work:
    """What there is to do in an iteration of one run.

    Args:
        operations: of the forward pass of one input.
        weight_bytes: what is summed over the devices each time.
        steps: of the inner training.
        examples: of a step; 0 for a training that cannot be shared.
        real: inputs of the batch.
        networks: that an iteration trains.
    """

    operations: float
    weight_bytes: int
    steps: int
    examples: int
    real: int
    networks: int = 1

    @classmethod
    def of(cls, model: Model, input_shape: tuple[int, ...], *, steps: int, examples: int, real: int) -> Work:
        """Count them for a network, which may have shapes in the place of its arrays; nothing is compiled."""
        inputs = jax.ShapeDtypeStruct((examples, *input_shape), jnp.float32)  # type: ignore[no-untyped-call]
        arrays, static = eqx.partition(model, lambda leaf: isinstance(leaf, jax.Array | jax.ShapeDtypeStruct))
        lowered = jax.jit(lambda arrays, inputs: predict(eqx.combine(arrays, static), inputs)).lower(arrays, inputs)
        counted = lowered.cost_analysis() or {}
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))
        shared = 0 if isinstance(model, ClosedForm) else examples
        return cls(float(counted.get("flops", 0.0)) / examples, size, steps, shared, real)

    def seconds(self, spread: Spread, prices: Prices) -> float:
        """An estimate of what can be shared of one iteration, and the waiting."""
        one = self.operations / prices.operations_per_second
        wait = prices.wait + self.weight_bytes / prices.bytes_per_second
        step = _STEP * one * math.ceil(self.examples / spread.training) + 2 * wait * (spread.training > 1)
        of_network = spread.training * spread.real
        batch = _REAL * one * math.ceil(self.real / of_network) + wait * (of_network > 1)
        return math.ceil(self.networks / spread.networks) * (self.steps * step + batch)


def share_out(work: Work, n_devices: int, n_runs: int = 1, *, all_devices: bool = False) -> tuple[int, Spread]:
    """How runs side by side share devices.

    Args:
        work: of an iteration of one run.
        n_devices: how many there are.
        n_runs: how many runs are side by side.
        all_devices: whether one run takes all of them, even if fewer would be as quick.

    Returns:
        How many runs are at work at once, and how the devices of each share it.
    """
    prices = _CPU if jax.default_backend() == "cpu" else _ACCELERATOR

    def seconds(way: tuple[int, Spread]) -> float:
        at_once, spread = way
        return math.ceil(n_runs / at_once) * work.seconds(spread, prices)

    # Runs side by side wait for nobody, so as many as there can be are the first choice.
    best = (min(n_runs, n_devices), ALONE)
    if all_devices and n_runs == 1:
        return min(
            ((1, spread) for spread in _ways(work, n_devices) if spread.n_devices == n_devices),
            key=seconds,
            default=(1, Spread(real=n_devices)),
        )
    for at_once in range(min(n_runs, n_devices), 0, -1):
        for spread in _ways(work, n_devices // at_once):
            if seconds((at_once, spread)) < _WORTH_IT * seconds(best):
                best = (at_once, spread)
    return best


def _ways(work: Work, n_devices: int) -> Iterator[Spread]:
    """All ways in which one run can take so many devices at most, those with few first."""
    ways = [
        Spread(networks, training, real)
        for networks in range(1, n_devices + 1)
        if work.networks % networks == 0
        for training in range(1, min(n_devices // networks, max(work.examples, 1)) + 1)
        for real in range(1, min(n_devices // (networks * training), work.real) + 1)
    ]
    yield from sorted(ways, key=lambda spread: spread.n_devices)
