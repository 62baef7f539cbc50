"""A bundle's training with its quantum layers on another backend.

The classical parts, the loss and the optimiser are the simulator's own. Each step measures a layer's Pauli terms and
their derivatives by the circuit's angles on the backend (see `shifts`), and puts ``terms + derivatives (a - a0)`` in
the layer's place, where a0 are the angles at which they were measured. Its value and first derivatives are the
measured ones, so that the gradient of the loss by every weight of the network follows by automatic differentiation: by
the circuit's angles, by the observable's coefficients, and, through the angles of the state preparation, by everything
below the layer. A network that calls several quantum layers, or one for many parts of an input, is measured call by
call: what one call measures is part of what the next one prepares.

What is measured is kept in a folder, one file a batch of circuits, and never measured twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from qdistill.backends import execution_folder
from qdistill.backends.execution_answers import Result, angles_of, gradient_of
from qdistill.backends.execution_folder import read_batch, write_batch
from qdistill.backends.execution_plan import ExecutionPlan, Job
from qdistill.backends.measured import Evaluator, MeasuredCircuit
from qdistill.backends.shifts import Shifts, parameter_shift, spsa
from qdistill.distill.descent import descend, initial_state
from qdistill.errors import DivergenceError, RunError
from qdistill.folders import holding
from qdistill.interrupts import ctrl_c_noted
from qdistill.models import Model


@runtime_checkable
class RemoteEvaluator(Evaluator, Protocol):
    """An `Evaluator` whose jobs go on without this program, and are found again by their id."""

    def submit(self, parameters: Float[np.ndarray, "evaluations angles"], *, seed: int) -> Any:
        """Send a job, and do not wait for it: the arguments of `expectations`; its `job_id()` is what `find` takes."""
        ...

    def find(self, job_id: str) -> Any | None:
        """A job that was sent before; None where it failed, was cancelled, or is not known."""
        ...

    def values(self, job: Any) -> Float[np.ndarray, "evaluations terms"]:
        """Wait for a job: what `expectations` returns."""
        ...


@dataclass(frozen=True, eq=False)
class Execution(ExecutionPlan):
    """A bundle's training on a backend; nothing runs before `train`.

    Args:
        bundle: its training is replayed.
        settings: how.
        steps: how many of the training's steps are executed, from the first; None for all.

    Raises:
        BundleError: the bundle does not say which network it is for, or the network has no quantum layer.
        ArgumentError: `steps` is not from 1 to the training's number of steps.
        CircuitError: there are no gates for a layer's embedding, or the network calls a layer within `jax.vmap`.

    Example:
        >>> execution = Execution(bundle, ExecutionSettings("qiskit-aer", shots=1024))  # doctest: +SKIP
        >>> measuring = {m: evaluator(m, "qiskit-aer", 1024)[0] for m in execution.measured}  # doctest: +SKIP
        >>> execution.open(Path("runs/on-aer"))  # doctest: +SKIP
        >>> model = execution.train(measuring, Path("runs/on-aer"))  # doctest: +SKIP
    """

    def check(self, folder: Path, *, resume: bool = False) -> None:
        """See `execution_folder.check`."""
        execution_folder.check(self, folder, resume=resume)

    def open(self, folder: Path, *, resume: bool = False) -> None:
        """See `execution_folder.begin`."""
        execution_folder.begin(self, folder, resume=resume)

    def circuits_left(self, folder: Path) -> dict[MeasuredCircuit, int]:
        """See `execution_folder.circuits_left`."""
        return execution_folder.circuits_left(self, folder)

    def train(
        self,
        evaluators: Mapping[MeasuredCircuit, Evaluator],
        folder: Path,
        *,
        observe: Callable[[int], None] = lambda circuits: None,
    ) -> Model:
        """Train, measuring what the folder does not hold yet.

        Args:
            evaluators: one for each circuit that is `measured`; a job of a `RemoteEvaluator` that was sent before is
                looked for first.
            folder: as `open` left it.
            observe: is told the number of circuits after each batch.

        Returns:
            The trained network.

        Raises:
            RunError: the backend failed, another process writes to the folder, or its results are damaged or of other
                circuits. All batches before are kept, and so is the id of a job that a `RemoteEvaluator` has sent.
            DivergenceError: a weight is not finite after one of the steps.
        """
        with holding(folder) as (lock,), ctrl_c_noted(at_once=True) as stop:
            # Of this very execution, and no longer being begun by another process.
            self.check(folder, resume=True)

            def between(circuits: int) -> None:
                observe(circuits)
                stop.look()
                lock.check()

            return self._train(evaluators, folder, between)

    def _train(
        self, evaluators: Mapping[MeasuredCircuit, Evaluator], folder: Path, observe: Callable[[int], None]
    ) -> Model:
        data, inner = self.bundle.data, self.bundle.inner
        weights, static = eqx.partition(self.bundle.initial_model(), eqx.is_inexact_array)
        state = initial_state(inner.optimiser, weights)
        for step in range(self.n_steps):
            picked = np.asarray(data.schedule[step])
            inputs, labels = data.inputs[picked], data.labels[picked]
            results: tuple[Result, ...] = ()
            for place, call in enumerate(self.calls):
                angles = np.asarray(angles_of(weights, static, self.calls[: place + 1], results, inputs), dtype=float)
                result = self._measure(evaluators[call.measured], folder, step, place, angles, observe)
                results = (*results, result)
            gradient = gradient_of(weights, static, self.calls, results, inputs, labels, inner.loss)
            weights, state = descend(inner.optimiser, weights, state, gradient, data.step_sizes[step])
            if not all(np.isfinite(weight).all() for weight in jax.tree.leaves(weights)):
                # Before anything more is paid for.
                raise DivergenceError(
                    f"The training is no longer finite after step {step + 1} of {inner.total_steps}, so it was stopped."
                )
        trained: Model = eqx.combine(weights, static)
        return trained

    def _measure(
        self,
        evaluator: Evaluator,
        folder: Path,
        step: int,
        call: int,
        angles: Float[np.ndarray, "inputs vectors angles"],
        observe: Callable[[int], None],
    ) -> Result:
        """The terms' values and their derivatives for each feature vector of each input in a step's call."""
        measured = self.calls[call].measured
        rows = angles.reshape(-1, angles.shape[-1])
        shifts = self._shifts(measured, len(rows), np.random.default_rng([self.settings.seed, step, call]))
        each = len(shifts[0].offsets)
        asked = itertools.product(range(len(rows)), range(each))
        parts = []
        for job in self.jobs_of(step, call):
            part = itertools.islice(asked, job.evaluations)
            parameters = np.stack([rows[row] + shifts[row].offsets[place] for row, place in part])
            parts.append(self._result(evaluator, folder, job, parameters))
            observe(self.circuits_of(job))
        by_row = np.concatenate(parts).reshape(len(rows), each, -1)
        slopes = np.stack([values.T @ rule.slopes for values, rule in zip(by_row, shifts, strict=True)])
        return (
            jnp.asarray(by_row[:, 0].reshape(*angles.shape[:2], -1), jnp.float32),
            jnp.asarray(slopes.reshape(*angles.shape[:2], *slopes.shape[1:]), jnp.float32),
        )

    def _shifts(self, measured: MeasuredCircuit, rows: int, rng: np.random.Generator) -> list[Shifts]:
        """Where to evaluate around each vector of angles."""
        if self.settings.gradient == "parameter_shift":
            return [parameter_shift(measured)] * rows
        return [spsa(measured, self.settings.perturbation, self.settings.directions, rng) for _ in range(rows)]

    def _result(
        self, evaluator: Evaluator, folder: Path, job: Job, parameters: Float[np.ndarray, "evaluations angles"]
    ) -> Float[np.ndarray, "evaluations terms"]:
        """One batch's values, from the folder or else from the backend, and then in the folder."""
        path = folder / job.file
        shape = (job.evaluations, len(self.calls[job.call].measured.terms))
        stored = read_batch(path, "terms", parameters, shape)
        if stored is not None:
            return np.asarray(stored, dtype=float)
        entropy = [self.settings.seed, job.step, job.batch, job.call]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0]) >> 1
        try:
            if isinstance(evaluator, RemoteEvaluator):
                values = _fetch(evaluator, folder / job.id_file, parameters, seed)
            else:
                values = evaluator.expectations(parameters, seed=seed)
            measured = np.asarray(values, dtype=float)
        except RunError:
            raise
        except Exception as error:
            # The text of IBM's errors may hold parts of the account.
            hidden = self.settings.backend.startswith("ibm:")
            what = type(error).__name__ if hidden else f"{type(error).__name__}: {error}"
            raise RunError(
                f"The backend {self.settings.backend} failed in step {job.step + 1}, batch {job.batch + 1} ({what}). "
                f"All batches before are in {folder}: go on with --resume."
            ) from (None if hidden else error)
        if measured.shape != shape or not np.isfinite(measured).all():
            raise RunError(
                f"The backend {self.settings.backend} gave values of shape {measured.shape} in step {job.step + 1}, "
                f"batch {job.batch + 1}, where finite ones of shape {shape} were expected."
            )
        write_batch(path, "terms", parameters, measured)
        return measured


def _fetch(
    evaluator: RemoteEvaluator, path: Path, parameters: Float[np.ndarray, "evaluations angles"], seed: int
) -> Float[np.ndarray, "evaluations terms"]:
    """The values of the job whose id is in a file, or else of one that is sent now, and its id written at once."""
    job_id = read_batch(path, "job", parameters, ())
    job = None if job_id is None else evaluator.find(str(job_id))
    if job is None:
        job = evaluator.submit(parameters, seed=seed)
        write_batch(path, "job", parameters, np.array(job.job_id()))
    return evaluator.values(job)
