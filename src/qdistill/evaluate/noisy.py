"""Replays on a noisy device and from shots: the training and the test, over repeated draws, and accuracy curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.measuring import fraction, measure
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.evaluate.protocol import Evaluations
from qdistill.models import Model
from qdistill.quantum import Execution, NoisyLayer, on_device

SHOTS = (16, 64, 256, 1024, 4096, 16384)
"""The shots of a curve."""

FACTORS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""What a curve multiplies the device's error rates with."""


@dataclass(frozen=True)
class NoisyPoint:
    """One point of a curve.

    Args:
        shots: for each measurement setting; None for exact expectation values.
        factor: on the device's error rates; None without a device.
        evaluation: what the replays gave.
    """

    shots: int | None
    factor: float | None
    evaluation: Evaluations


def replay_noisy(
    bundle: DistilledDataset, execution: Execution, *, draws: int, key: Array, data_dir: Path | None = None
) -> Evaluations:
    """Replay a bundle's training on a device or from shots, and measure the network there on the dataset's test set.

    Every draw has shots of its own for the whole training, its gradients included, and for every test input.

    Args:
        bundle: what to replay; its network must have a quantum layer.
        execution: how the circuits are executed, in training and test.
        draws: how often; 1 where there are no shots, for then nothing is random.
        key: random key, consumed.
        data_dir: where the dataset's files lie; see `qdistill.data`.

    Raises:
        ArgumentError: there is no quantum layer, or `draws` does not fit.
        BundleError, DataError: see `protocol.replay`.
    """
    return _Replayer(bundle, data_dir)(execution, draws, key)


def noisy_curve(
    bundle: DistilledDataset,
    execution: Execution,
    *,
    draws: int,
    key: Array,
    data_dir: Path | None = None,
    shots: Sequence[int] = SHOTS,
    factors: Sequence[float] = FACTORS,
    observer: Callable[[NoisyPoint], None] = lambda point: None,
) -> list[NoisyPoint]:
    """Accuracy against the number of shots and, where there is a device, against a factor on its error rates.

    Args:
        bundle: see `replay_noisy`.
        execution: the device at factor 1, and the shots at which the factor varies (None is exact).
        draws: of each point that has shots; the others have one.
        key: random key, consumed.
        data_dir: see `replay_noisy`.
        shots: the numbers of shots, at factor 1.
        factors: the factors.
        observer: is told each point when it is measured.
    """
    replayer = _Replayer(bundle, data_dir)
    device = execution.device
    asked: list[tuple[int | None, float | None]] = [(count, None if device is None else 1.0) for count in shots]
    if device is not None:
        asked += [(execution.shots, factor) for factor in factors if (execution.shots, factor) not in asked]
    points = []
    for place, (count, factor) in enumerate(asked):
        scaled = device if device is None or factor is None else device.scaled(factor)
        now = dataclasses.replace(execution, shots=count, device=scaled)
        found = replayer(now, 1 if count is None else draws, jax.random.fold_in(key, place))
        points.append(NoisyPoint(count, factor, found))
        observer(points[-1])
    return points


class _Replayer:
    """A bundle and its test set, loaded once."""

    def __init__(self, bundle: DistilledDataset, data_dir: Path | None) -> None:
        raw = bundle.fitted(bundle.origin.load(data_dir))
        self._bundle = bundle
        self._inputs, self._labels = jnp.asarray(raw.test_inputs), jnp.asarray(raw.test_labels)
        self._measure: Any = eqx.filter_jit(measure)

    def __call__(self, execution: Execution, draws: int, key: Array) -> Evaluations:
        if draws < 1 or (execution.shots is None and draws > 1):
            raise ArgumentError(
                f"Argument `draws` must be at least 1, and 1 where there are no shots, but was {draws}."
            )
        model = on_device(self._bundle.initial_model(), execution)
        if not has_noisy_layer(model):
            raise ArgumentError(
                "Argument `bundle` must be of a network with a quantum layer to be executed with noise or shots, but "
                "it has none."
            )
        accuracies = [self._accuracy(model, each) for each in jax.random.split(key, draws)]
        return Evaluations.of(accuracies, len(self._labels))

    def _accuracy(self, model: Model, key: Array) -> float | None:
        """Of one replay; None where it does not stay finite."""
        key_train, key_test = jax.random.split(key)
        try:
            trained = self._bundle.train(model, key=key_train)
        except DivergenceError:
            return None
        share, loss = self._measure(trained, self._inputs, self._labels, self._bundle.transform, key=key_test)
        return fraction(share, len(self._labels)) if np.isfinite(loss) else None


def has_noisy_layer(model: Model) -> bool:
    """Whether a network has a layer that is executed with noise or shots."""
    leaves = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, NoisyLayer))
    return any(isinstance(leaf, NoisyLayer) for leaf in leaves)
