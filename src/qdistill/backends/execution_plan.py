"""What an execution runs on a backend: the calls of quantum layers, the circuits of each, and the jobs they go in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import equinox as eqx
import jax
import numpy as np

from qdistill.backends.execution_answers import Call, input_angles
from qdistill.backends.measured import MeasuredCircuit, measured_circuit
from qdistill.backends.shifts import n_evaluations
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError, BundleError
from qdistill.fields import check_fields, check_seed
from qdistill.quantum import layer_calls
from qdistill.quantum.gates import SPSA_DIRECTIONS, Gradient

MEASURED = "measured"
"""The folder of what an execution has measured so far, in its own."""

_MOST_SHOTS = 5_000_000
"""In one job: what services take, and what fits into memory."""


@dataclass(frozen=True)
class ExecutionSettings:
    """How a training is executed.

    Args:
        backend: as `evaluators.evaluator` takes it.
        shots: of each circuit; None for exact values.
        gradient: the rule for the derivatives by the circuit's angles.
        seed: decides SPSA's directions and, on simulators, the samples.
        perturbation: SPSA's c, in radians.
        directions: that SPSA averages over for each input.
        batch: most evaluations of the circuit in one job, each in all measurement settings; fewer where they would be
            more than five million shots.
    """

    backend: str
    shots: int | None = None
    gradient: Gradient = "parameter_shift"
    seed: int = 0
    perturbation: float = 0.2
    directions: int = SPSA_DIRECTIONS
    batch: int = 300

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        check_seed(self.seed)
        if self.shots is not None and self.shots < 1:
            raise ArgumentError(
                f"Argument `shots` must be at least 1, or left out for exact values, but was {self.shots}."
            )
        if not 0 < self.perturbation < np.pi:
            raise ArgumentError(f"Argument `perturbation` must be between 0 and pi, but was {self.perturbation}.")
        for name in ("directions", "batch"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {getattr(self, name)}.")


@dataclass(frozen=True)
class Job:
    """One batch of evaluations.

    Args:
        step: of the training, from 0.
        call: of the network's calls, from 0.
        batch: within the step's call, from 0.
        evaluations: how many.
    """

    step: int
    call: int
    batch: int
    evaluations: int

    @property
    def file(self) -> str:
        """Where its results lie in the execution's folder."""
        return f"{MEASURED}/{self._name}.npz"

    @property
    def id_file(self) -> str:
        """Where the id lies by which a `RemoteEvaluator` finds it."""
        return f"{MEASURED}/{self._name}-job.npz"

    @property
    def _name(self) -> str:
        return f"step-{self.step:04}-call-{self.call:02}-batch-{self.batch:04}"


@dataclass(frozen=True, eq=False)
class ExecutionPlan:
    """What a bundle's training runs on a backend.

    Args:
        bundle: its training is replayed.
        settings: how.
        steps: how many of the training's steps are executed, from the first; None for all.

    Raises:
        BundleError: the bundle does not say which network it is for, or the network has no quantum layer or is a
            kernel.
        ArgumentError: `steps` is not from 1 to the training's number of steps.
        CircuitError: there are no gates for a layer's embedding, or the network calls a layer within `jax.vmap`.
    """

    bundle: DistilledDataset
    settings: ExecutionSettings
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check that there is something to execute."""
        if self.bundle.inner.optimiser == "newton":
            raise BundleError(
                "The bundle is of a kernel, whose training has no gradients to be executed. `qdistill evaluate` with "
                "--shots or --device simulates its circuits, and `quantum.overlap_circuit` is that of an entry."
            )
        total = self.bundle.inner.total_steps
        if self.steps is not None and not 1 <= self.steps <= total:
            raise ArgumentError(
                f"Argument `steps` must be from 1 to the {total} of the bundle's training, but was {self.steps}."
            )
        _ = self.calls

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The network's calls of its quantum layers, in their order."""
        model = self.bundle.initial_model()
        calls = tuple(
            Call(measured_circuit(call.layer, by_features=call.by_features), call.vectors)
            for call in layer_calls(model, self.bundle.input_shape)
        )
        if not calls:
            raise BundleError(
                f"The bundle's network has no quantum layer that could be executed on {self.settings.backend}."
            )
        weights, static = eqx.partition(model, eqx.is_inexact_array)
        # Whether the calls can be told apart shows before anything is paid for.
        jax.eval_shape(partial(input_angles, weights, static, calls[:1], ()), self.bundle.data.inputs[0])
        return calls

    @property
    def measured(self) -> tuple[MeasuredCircuit, ...]:
        """The different circuits that the backend runs and measures."""
        return tuple(dict.fromkeys(call.measured for call in self.calls))

    def _batch(self, call: int) -> int:
        """Evaluations in one job, but for the last of a step's call."""
        shots = len(self.calls[call].measured.settings) * (self.settings.shots or 1)
        return min(self.settings.batch, max(1, _MOST_SHOTS // shots))

    @property
    def n_steps(self) -> int:
        """Steps that are executed."""
        return self.bundle.inner.total_steps if self.steps is None else self.steps

    @property
    def circuits(self) -> int:
        """Circuits of the whole execution: evaluations times measurement settings."""
        return sum(map(self.circuits_of, self.jobs()))

    def circuits_of(self, job: Job) -> int:
        """Circuits of one job."""
        return job.evaluations * len(self.calls[job.call].measured.settings)

    def jobs(self) -> Iterator[Job]:
        """All batches, in order."""
        for step in range(self.n_steps):
            for call in range(len(self.calls)):
                yield from self.jobs_of(step, call)

    def jobs_of(self, step: int, call: int) -> Iterator[Job]:
        """The batches of one step's call."""
        one = n_evaluations(self.calls[call].measured, self.settings.gradient, self.settings.directions)
        evaluations = self.bundle.data.schedule.shape[1] * self.calls[call].vectors * one
        size = self._batch(call)
        for batch, first in enumerate(range(0, evaluations, size)):
            yield Job(step, call, batch, min(size, evaluations - first))

    @cached_property
    def description(self) -> dict[str, Any]:
        """What an execution must share with the one that it goes on with."""
        return {"bundle": _fingerprint(self.bundle), **dataclasses.asdict(self.settings)}


def _fingerprint(bundle: DistilledDataset) -> str:
    """A hash of all that the training depends on."""
    digest = hashlib.sha256()
    fields = {"inner": dataclasses.asdict(bundle.inner), "architecture": repr(bundle.architecture)}
    digest.update(json.dumps(fields, sort_keys=True).encode())
    data = bundle.data
    arrays = {f"weights/{name}": weight for name, weight in bundle.initial_weights.items()}
    arrays |= {"inputs": data.inputs, "labels": data.labels, "step_sizes": data.step_sizes}
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape}".encode() + np.asarray(array, "<f4").tobytes())
    digest.update(np.asarray(data.schedule, "<i4").tobytes())
    return digest.hexdigest()
