"""A bundle's training with its quantum layers on another backend.

The classical parts, the loss and the optimiser are the simulator's own. Each step measures a layer's Pauli terms and
their derivatives by the circuit's angles on the backend (see `shifts`), and puts ``terms + derivatives (a - a0)`` in
the layer's place, where a0 are the angles at which they were measured. Its value and first derivatives are the
measured ones, so that the gradient of the loss by every weight of the network follows by automatic differentiation: by
the circuit's angles, by the observable's coefficients, and, through the angles of the state preparation, by everything
below the layer. A network that calls several quantum layers, or one for many parts of an image, is measured call by
call: what one call measures is part of what the next one prepares.

What is measured is kept in a folder, one file a batch of circuits, and never measured twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from qdistill.backends.measured import Evaluator, MeasuredCircuit, measured_circuit
from qdistill.backends.shifts import Shifts, n_evaluations, parameter_shift, spsa
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import cross_entropy, descend, initial_state
from qdistill.errors import ArgumentError, BundleError, RunError
from qdistill.fields import check_fields, check_seed
from qdistill.files import read_json, write_json, write_whole
from qdistill.models import Model
from qdistill.quantum import QuantumLayer, answered, layer_calls
from qdistill.quantum.gates import SPSA_DIRECTIONS, Gradient

EXECUTION, MEASURED = "execution.json", "measured"
"""What an execution runs, and the folder of what it has measured so far."""

_Result = tuple[Float[Array, "..."], Float[Array, "..."]]
"""What a call measures: the terms' values, ([images,] vectors, terms), and their derivatives, (..., terms, angles)."""

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
class Call:
    """One call of a quantum layer by the network, for one image.

    Args:
        measured: what the backend runs and measures for a feature vector.
        vectors: feature vectors that the layer is given at once.
    """

    measured: MeasuredCircuit
    vectors: int


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
class Execution:
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
        _ = self.calls

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The network's calls of its quantum layers, in their order."""
        model = self.bundle.initial_model()
        calls = tuple(
            Call(measured_circuit(call.layer, by_features=call.by_features), call.vectors)
            for call in layer_calls(model, self.bundle.image_shape)
        )
        if not calls:
            raise BundleError(
                f"The bundle's network has no quantum layer that could be executed on {self.settings.backend}."
            )
        weights, static = eqx.partition(model, eqx.is_inexact_array)
        # Whether the calls can be told apart shows before anything is paid for.
        jax.eval_shape(partial(_image_angles, weights, static, calls[:1], ()), self.bundle.data.images[0])
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
        return sum(map(self._circuits, self.jobs()))

    def circuits_left(self, folder: Path) -> dict[MeasuredCircuit, int]:
        """How many of them a folder does not hold yet, for each that is `measured`."""
        left = dict.fromkeys(self.measured, 0)
        for job in self.jobs():
            if not (folder / job.file).exists():
                left[self.calls[job.call].measured] += self._circuits(job)
        return left

    def _circuits(self, job: Job) -> int:
        return job.evaluations * len(self.calls[job.call].measured.settings)

    def jobs(self) -> Iterator[Job]:
        """All batches, in order."""
        for step in range(self.n_steps):
            for call in range(len(self.calls)):
                yield from self._jobs_of(step, call)

    def _jobs_of(self, step: int, call: int) -> Iterator[Job]:
        """The batches of one step's call."""
        one = n_evaluations(self.calls[call].measured, self.settings.gradient, self.settings.directions)
        evaluations = self.bundle.data.schedule.shape[1] * self.calls[call].vectors * one
        size = self._batch(call)
        for batch, first in enumerate(range(0, evaluations, size)):
            yield Job(step, call, batch, min(size, evaluations - first))

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
            RunError: the backend failed, or the folder's results are damaged or of other circuits. All batches before
                are kept, and so is the id of a job that a `RemoteEvaluator` has sent.
        """
        data, inner = self.bundle.data, self.bundle.inner
        weights, static = eqx.partition(self.bundle.initial_model(), eqx.is_inexact_array)
        state = initial_state(inner, weights)
        for step in range(self.n_steps):
            picked = np.asarray(data.schedule[step])
            images, labels = data.images[picked], data.labels[picked]
            results: tuple[_Result, ...] = ()
            for place, call in enumerate(self.calls):
                angles = np.asarray(_angles(weights, static, self.calls[: place + 1], results, images), dtype=float)
                result = self._measure(evaluators[call.measured], folder, step, place, angles, observe)
                results = (*results, result)
            gradient = _gradient(weights, static, self.calls, results, images, labels)
            weights, state = descend(inner, weights, state, gradient, data.step_sizes[step])
        trained: Model = eqx.combine(weights, static)
        return trained

    def _measure(
        self,
        evaluator: Evaluator,
        folder: Path,
        step: int,
        call: int,
        angles: Float[np.ndarray, "images vectors angles"],
        observe: Callable[[int], None],
    ) -> _Result:
        """The terms' values and their derivatives for each feature vector of each image in a step's call."""
        measured = self.calls[call].measured
        rows = angles.reshape(-1, angles.shape[-1])
        shifts = self._shifts(measured, len(rows), np.random.default_rng([self.settings.seed, step, call]))
        each = len(shifts[0].offsets)
        asked = itertools.product(range(len(rows)), range(each))
        parts = []
        for job in self._jobs_of(step, call):
            part = itertools.islice(asked, job.evaluations)
            parameters = np.stack([rows[row] + shifts[row].offsets[place] for row, place in part])
            parts.append(self._result(evaluator, folder, job, parameters))
            observe(self._circuits(job))
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
        stored = _read(path, "terms", parameters, shape)
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


class _Answers:
    """Answers a network's calls, in their order, by what was measured and how it moves to first order.

    Args:
        calls: the network's first ones.
        results: for one image, what the first of them measured. The angles of the call after these are kept in
            `angles`, and its values, like those of all later ones, are zero.
    """

    def __init__(self, calls: Sequence[Call], results: Sequence[_Result]) -> None:
        self.calls, self.results = calls, results
        self.n_answered = 0
        self.angles: Array | None = None

    def __call__(self, number: int, layer: QuantumLayer, vectors: Float[Array, "vectors features"]) -> Array:
        place, self.n_answered = self.n_answered, self.n_answered + 1
        if place >= len(self.calls):
            return jnp.zeros((len(vectors), layer.n_outputs))
        measured = self.calls[place].measured
        layer = layer if layer.trainable else jax.lax.stop_gradient(layer)
        angles = jax.vmap(partial(measured.layer_angles, layer))(vectors)
        if place == len(self.results):
            self.angles = angles
            return jnp.zeros((len(vectors), layer.n_outputs))
        terms, slopes = self.results[place]
        moved = terms + jnp.einsum("vta,va->vt", slopes, angles - jax.lax.stop_gradient(angles))
        return jax.vmap(partial(measured.values, layer))(vectors, moved)


def _image_angles(
    weights: PyTree, static: PyTree, calls: tuple[Call, ...], results: tuple[_Result, ...], image: Array
) -> Float[Array, "vectors angles"]:
    """The parameters of the circuits of the last of the calls, for one image, given what those before it measured."""
    answers = _Answers(calls, results)
    network: Model = answered(eqx.combine(weights, static), answers)
    network(image)
    assert answers.angles is not None
    return answers.angles


@eqx.filter_jit
def _angles(
    weights: PyTree, static: PyTree, calls: tuple[Call, ...], results: tuple[_Result, ...], images: Array
) -> Float[Array, "images vectors angles"]:
    """The same for several images."""
    one = partial(_image_angles, weights, static, calls)
    angles: Array = jax.vmap(one)(results, images)
    return angles


@eqx.filter_jit
def _gradient(
    weights: PyTree,
    static: PyTree,
    calls: tuple[Call, ...],
    results: tuple[_Result, ...],
    images: Array,
    labels: Array,
) -> PyTree:
    """The gradient of the training loss by the network's weights, given what was measured."""

    def loss(weights: PyTree) -> Array:
        def logits(results: tuple[_Result, ...], image: Array) -> Array:
            executed: Model = answered(eqx.combine(weights, static), _Answers(calls, results))
            return executed(image)

        return cross_entropy(jax.vmap(logits)(results, images), labels)

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
