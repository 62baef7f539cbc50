"""A bundle's training with its quantum layer on another backend.

The classical parts, the loss and the optimiser are the simulator's own. Each step measures the layer's Pauli terms and
their derivatives by the circuit's angles on the backend (see `shifts`), and puts ``terms + derivatives (a - a0)`` in
the layer's place, where a0 are the angles at which they were measured. Its value and first derivatives are the
measured ones, so that the gradient of the loss by every weight of the network follows by automatic differentiation: by
the circuit's angles, by the observable's coefficients, and, through the angles of the state preparation, by everything
below the layer.

What is measured is kept in a folder, one file a batch of circuits, and never measured twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from qdistill.backends.branch import quantum_branch
from qdistill.backends.measured import Evaluator, MeasuredCircuit, measured_circuit
from qdistill.backends.shifts import GRADIENTS, Gradient, Shifts, n_evaluations, parameter_shift, spsa
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import cross_entropy, descend, initial_state
from qdistill.errors import ArgumentError, BundleError, RunError
from qdistill.files import read_json, write_json, write_whole
from qdistill.models import Model, Quanvolution
from qdistill.models.lenet import QuantumLeNet
from qdistill.quantum import QuantumLayer

EXECUTION, MEASURED = "execution.json", "measured"
"""What an execution runs, and the folder of what it has measured so far."""

_MOST_SHOTS = 5_000_000
"""In one job: what services take, and what fits into memory."""

_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for a file that is cut short, changed, or none of the kind."""


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


@dataclass(frozen=True)
class ExecutionSettings:
    """How a training is executed.

    Args:
        backend: as `evaluators.evaluator` takes it.
        shots: of each circuit; None for exact values.
        gradient: the rule for the derivatives by the circuit's angles.
        seed: decides SPSA's directions and, on simulators, the samples.
        perturbation: SPSA's c, in radians.
        directions: that SPSA averages over for each image.
        batch: most evaluations of the circuit in one job, each in all measurement settings; fewer where they would be
            more than five million shots.
    """

    backend: str
    shots: int | None = None
    gradient: Gradient = "parameter_shift"
    seed: int = 0
    perturbation: float = 0.2
    directions: int = 32
    batch: int = 300

    def __post_init__(self) -> None:
        """Check what the types do not say."""
        if self.shots is not None and self.shots < 1:
            raise ArgumentError(
                f"Argument `shots` must be at least 1, or left out for exact values, but was {self.shots}."
            )
        if self.gradient not in GRADIENTS:
            raise ArgumentError.unknown("gradient", self.gradient, GRADIENTS)
        if self.seed < 0:
            raise ArgumentError(f"Argument `seed` must be at least 0, but was {self.seed}.")
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
        batch: within the step, from 0.
        evaluations: how many.
    """

    step: int
    batch: int
    evaluations: int

    @property
    def file(self) -> str:
        """Where its results lie in the execution's folder."""
        return f"{MEASURED}/step-{self.step:04}-batch-{self.batch:04}.npz"

    @property
    def id_file(self) -> str:
        """Where the id lies by which a `RemoteEvaluator` finds it."""
        return f"{MEASURED}/step-{self.step:04}-batch-{self.batch:04}-job.npz"


@dataclass(frozen=True, eq=False)
class Execution:
    """A bundle's training on a backend; nothing runs before `train`.

    Args:
        bundle: its training is replayed.
        settings: how.
        steps: how many of the training's steps are executed, from the first; None for all.

    Raises:
        BundleError: the bundle's network is no quantum LeNet with a quantum layer between F2 and F3.
        ArgumentError: `steps` is not from 1 to the training's number of steps.
        CircuitError: there are no gates for the layer's embedding.

    Example:
        >>> execution = Execution(bundle, ExecutionSettings("qiskit-aer", shots=1024))  # doctest: +SKIP
        >>> measuring, _ = evaluator(execution.measured, "qiskit-aer", 1024)  # doctest: +SKIP
        >>> model = execution.train(measuring, Path("runs/on-aer"))  # doctest: +SKIP
    """

    bundle: DistilledDataset
    settings: ExecutionSettings
    steps: int | None = None

    def __post_init__(self) -> None:
        """Check that there is something to execute."""
        total = self.bundle.inner.total_steps
        if self.steps is not None and not 1 <= self.steps <= total:
            raise ArgumentError(
                f"Argument `steps` must be from 1 to the {total} of the bundle's training, but was {self.steps}."
            )
        _ = self.measured

    @cached_property
    def measured(self) -> MeasuredCircuit:
        """What the backend runs and measures."""
        model: Any = self.bundle.initial_model()
        layer = quantum_branch(model, self.bundle, f"executed on {self.settings.backend}")
        if isinstance(model.features.c1, Quanvolution):
            raise BundleError(
                "The bundle's network has a quanvolution, which a backend would have to run for every patch of every "
                "image; only the quantum layer between F2 and F3 can be executed. `qdistill evaluate --shots` "
                "simulates both."
            )
        return measured_circuit(layer)

    @property
    def _batch(self) -> int:
        """Evaluations in one job, but for the last of a step."""
        shots = len(self.measured.settings) * (self.settings.shots or 1)
        return min(self.settings.batch, max(1, _MOST_SHOTS // shots))

    @property
    def n_steps(self) -> int:
        """Steps that are executed."""
        return self.bundle.inner.total_steps if self.steps is None else self.steps

    @property
    def circuits(self) -> int:
        """Circuits of the whole execution: evaluations times measurement settings."""
        return sum(job.evaluations for job in self.jobs()) * len(self.measured.settings)

    def circuits_done(self, folder: Path) -> int:
        """How many of them have been measured already."""
        done = sum(job.evaluations for job in self.jobs() if (folder / job.file).exists())
        return done * len(self.measured.settings)

    def jobs(self) -> Iterator[Job]:
        """All batches, in order."""
        images = self.bundle.data.schedule.shape[1]
        evaluations = images * n_evaluations(self.measured, self.settings.gradient, self.settings.directions)
        for step in range(self.n_steps):
            for batch, first in enumerate(range(0, evaluations, self._batch)):
                yield Job(step, batch, min(self._batch, evaluations - first))

    def check(self, folder: Path, *, resume: bool = False) -> None:
        """Make sure that a folder is free for this execution or, to go on, holds it; nothing is written.

        Args:
            folder: need not be there.
            resume: go on with what is in it; the number of steps may be another one.

        Raises:
            RunError: the folder holds an execution and `resume` is false, or holds none or another one and `resume` is
                true.
        """
        path = folder / EXECUTION
        if not resume:
            if path.exists():
                raise RunError(
                    f"The folder {folder} holds an execution already: go on with it (--resume), or use another."
                )
            return
        if not path.exists():
            raise RunError(f"There is no execution in {folder} to go on with.")
        own, before = self._description, read_json(path)
        different = sorted(key for key in own if not isinstance(before, dict) or before.get(key) != own[key])
        if different:
            raise RunError(
                f"The execution in {folder} cannot be resumed: it is for another {', '.join(different)}. Begin a new "
                "one in another folder."
            )

    def open(self, folder: Path, *, resume: bool = False) -> None:
        """Begin an execution's folder, or go on with one, after `check`.

        Args:
            folder: made if it is not there.
            resume: go on with what is in it; the number of steps may be another one.

        Raises:
            RunError: as `check`, or the folder cannot be written.
        """
        self.check(folder, resume=resume)
        try:
            (folder / MEASURED).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot create the folder {folder}: {error.strerror or error}.") from error
        if not resume:
            write_json(folder / EXECUTION, self._description)

    @cached_property
    def _description(self) -> dict[str, Any]:
        """What an execution must share with the one that it goes on with."""
        return {"bundle": _fingerprint(self.bundle), **dataclasses.asdict(self.settings)}

    def train(
        self, evaluator: Evaluator, folder: Path, *, observe: Callable[[int], None] = lambda circuits: None
    ) -> QuantumLeNet:
        """Train, measuring what the folder does not hold yet.

        Args:
            evaluator: measures `measured`; a job of a `RemoteEvaluator` that was sent before is looked for first.
            folder: as `open` left it.
            observe: is told the number of circuits after each batch.

        Returns:
            The trained network.

        Raises:
            RunError: the backend failed, or the folder's results are damaged or of other circuits. All batches before
                are kept, and so is the id of a job that a `RemoteEvaluator` has sent.
        """
        data, inner = self.bundle.data, self.bundle.inner
        weights, static = eqx.partition(self.bundle.initial_model(), eqx.is_inexact_array)
        state = initial_state(inner, weights)
        exact_shifts = parameter_shift(self.measured) if self.settings.gradient == "parameter_shift" else None
        for step in range(self.n_steps):
            picked = np.asarray(data.schedule[step])
            images, labels = data.images[picked], data.labels[picked]
            angles = np.asarray(_angles(weights, static, self.measured, images), dtype=float)
            rng = np.random.default_rng([self.settings.seed, step])
            shifts = [
                spsa(self.measured, self.settings.perturbation, self.settings.directions, rng)
                if exact_shifts is None
                else exact_shifts
                for _ in range(len(picked))
            ]
            terms, slopes = self._measure(evaluator, folder, step, angles, shifts, observe)
            gradient = _gradient(weights, static, self.measured, images, labels, terms, slopes)
            weights, state = descend(inner, weights, state, gradient, data.step_sizes[step])
        trained: QuantumLeNet = eqx.combine(weights, static)
        return trained

    def _measure(
        self,
        evaluator: Evaluator,
        folder: Path,
        step: int,
        angles: Float[np.ndarray, "images angles"],
        shifts: list[Shifts],
        observe: Callable[[int], None],
    ) -> tuple[Float[Array, "images terms"], Float[Array, "images terms angles"]]:
        """The terms' values and their derivatives for each image of a step."""
        parameters = np.concatenate([a + s.offsets for a, s in zip(angles, shifts, strict=True)])
        results = []
        for job in (job for job in self.jobs() if job.step == step):
            first = job.batch * self._batch
            part = parameters[first : first + job.evaluations]
            results.append(self._result(evaluator, folder, job, part))
            observe(job.evaluations * len(self.measured.settings))
        by_image = np.concatenate(results).reshape(len(angles), -1, len(self.measured.terms))
        slopes = np.stack([row.T @ s.slopes for row, s in zip(by_image, shifts, strict=True)])
        return jnp.asarray(by_image[:, 0], jnp.float32), jnp.asarray(slopes, jnp.float32)

    def _result(
        self, evaluator: Evaluator, folder: Path, job: Job, parameters: Float[np.ndarray, "evaluations angles"]
    ) -> Float[np.ndarray, "evaluations terms"]:
        """One batch's values, from the folder or else from the backend, and then in the folder."""
        path = folder / job.file
        shape = (job.evaluations, len(self.measured.terms))
        stored = _read(path, "terms", parameters, shape)
        if stored is not None:
            return np.asarray(stored, dtype=float)
        seed = int(np.random.SeedSequence([self.settings.seed, job.step, job.batch]).generate_state(1)[0]) >> 1
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
        _write(path, "terms", parameters, measured)
        return measured


def _fetch(
    evaluator: RemoteEvaluator, path: Path, parameters: Float[np.ndarray, "evaluations angles"], seed: int
) -> Float[np.ndarray, "evaluations terms"]:
    """The values of the job whose id is in a file, or else of one that is sent now, and its id written at once."""
    job_id = _read(path, "job", parameters, ())
    job = None if job_id is None else evaluator.find(str(job_id))
    if job is None:
        job = evaluator.submit(parameters, seed=seed)
        _write(path, "job", parameters, np.array(job.job_id()))
    return evaluator.values(job)


def _read(path: Path, name: str, parameters: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """What `_write` put into a file for these circuits; None where there is no file.

    Raises:
        RunError: the file is damaged, or is of other circuits.
    """
    if not path.exists():
        return None
    try:
        # Opened here, because NumPy leaves a file open that is cut short.
        with path.open("rb") as opened, np.load(opened) as file:
            before, value = file["parameters"], np.asarray(file[name])
        # What led to these angles was computed again, maybe on another machine.
        same = before.shape == parameters.shape and np.allclose(before, parameters, atol=1e-3)
    except _DAMAGED as error:
        raise RunError(f"Cannot read {path}: {error}. Delete it to measure it again.") from error
    if not same or value.shape != shape:
        raise RunError(f"The results in {path} are of other circuits than those of this execution.")
    return value


def _write(path: Path, name: str, parameters: np.ndarray, value: np.ndarray) -> None:
    content = io.BytesIO()
    arrays: dict[str, Any] = {"parameters": parameters, name: value}
    np.savez_compressed(content, **arrays)
    write_whole(path, content.getvalue())


class _MeasuredLayer(eqx.Module):
    """In a quantum layer's place for one image: what was measured, and how it moves to first order."""

    layer: QuantumLayer
    terms: Float[Array, " terms"]
    slopes: Float[Array, "terms angles"]
    measured: MeasuredCircuit = eqx.field(static=True)

    def __call__(self, features: Float[Array, " features"]) -> Float[Array, " outputs"]:
        layer = self.layer if self.layer.trainable else jax.lax.stop_gradient(self.layer)
        angles = self.measured.layer_angles(layer, features)
        moved = self.terms + self.slopes @ (angles - jax.lax.stop_gradient(angles))
        return self.measured.values(layer, features, moved)


@eqx.filter_jit
def _angles(weights: PyTree, static: PyTree, measured: MeasuredCircuit, images: Array) -> Float[Array, "images angles"]:
    """The circuit's parameters for each image."""
    model: Any = eqx.combine(weights, static)
    angles: Array = jax.vmap(lambda image: measured.layer_angles(model.branch, model.features(image)))(images)
    return angles


@eqx.filter_jit
def _gradient(
    weights: PyTree,
    static: PyTree,
    measured: MeasuredCircuit,
    images: Array,
    labels: Array,
    terms: Array,
    slopes: Array,
) -> PyTree:
    """The gradient of the training loss by the network's weights, given what was measured."""

    def loss(weights: PyTree) -> Array:
        model: Any = eqx.combine(weights, static)

        def logits(image: Array, terms: Array, slopes: Array) -> Array:
            stand_in = _MeasuredLayer(model.branch, terms, slopes, measured)
            executed: Model = eqx.tree_at(lambda m: m.branch, model, stand_in)
            return executed(image)

        return cross_entropy(jax.vmap(logits)(images, terms, slopes), labels)

    return jax.grad(loss)(weights)


def _fingerprint(bundle: DistilledDataset) -> str:
    """A hash of all that the training depends on."""
    digest = hashlib.sha256()
    fields = {"inner": dataclasses.asdict(bundle.inner), "architecture": repr(bundle.architecture)}
    digest.update(json.dumps(fields, sort_keys=True).encode())
    data = bundle.data
    arrays = {f"weights/{name}": weight for name, weight in bundle.initial_weights.items()}
    arrays |= {"images": data.images, "labels": data.labels, "step_sizes": data.step_sizes}
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape}".encode() + np.asarray(array, "<f4").tobytes())
    digest.update(np.asarray(data.schedule, "<i4").tobytes())
    return digest.hexdigest()
