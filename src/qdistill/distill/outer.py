"""The outer loop: synthetic data improved by its meta-gradient, one real batch at a time. There is no other.

An iteration is one compiled function of a state and the training inputs. The state holds every array that the
rest of the run depends on, and the random numbers of an iteration depend on the run's key and the iteration's
number alone: a run that is continued from a saved state gives the numbers of one that was never stopped.
"""

from __future__ import annotations

import copy
import dataclasses
import operator
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, PyTree

from qdistill.compiling import compiled
from qdistill.data import Splits
from qdistill.data.raw import check_mirror
from qdistill.distill.cores import everywhere, here, spread
from qdistill.distill.initialisation import DrawnAnew, Initialisation
from qdistill.distill.inner import InnerLoop, compiled_train, train
from qdistill.distill.measuring import fraction, measure
from qdistill.distill.objective import MetaObjective, PerformanceMatching
from qdistill.distill.start import Start, initial_inputs
from qdistill.distill.training_set import TrainingSet
from qdistill.distill.unknown import Partly, UnknownWeights, at_start, over_networks
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models import Model
from qdistill.quantum import Hermitian, ideal, takes_shots


@dataclass(frozen=True)
class Compression:
    """What is learned, and where it starts.

    Args:
        per_class: synthetic examples of each class, over all steps.
        examples: how many in all, in place of so many of each class: any number. The classes take turns; where there
            are fewer examples than classes, each starts with a label that is shared out among several.
        inputs: ``"learned"``, or ``"fixed"`` as they start: with real inputs that is the reference that distillation
            must beat.
        labels: ``"learned"`` labels are free vectors that start as one-hot ones; ``"fixed"`` stay one-hot.
        start: inputs drawn from N(0, 1), or real ones of the training part: drawn, or picked as
            `distill.start.initial_inputs` says.
        step_size: where every learned step size starts.
    """

    per_class: int = 1
    examples: int | None = None
    inputs: Literal["learned", "fixed"] = "learned"
    labels: Literal["learned", "fixed"] = "learned"
    start: Start = "noise"
    step_size: float = 0.02

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        if self.per_class < 1:
            raise ArgumentError(f"Argument `per_class` must be at least 1, but was {self.per_class}.")
        if self.examples is not None and self.examples < 1:
            raise ArgumentError(f"Argument `examples` must be at least 1, but was {self.examples}.")
        if self.step_size <= 0:
            raise ArgumentError(f"Argument `step_size` must be above 0, but was {self.step_size}.")

    def n_examples(self, n_classes: int) -> int:
        """How many examples there are in all.

        Raises:
            ArgumentError: fewer than classes, with labels that could not stand for several.
        """
        if self.examples is None:
            return self.per_class * n_classes
        if self.examples < n_classes and self.labels == "fixed":
            raise ArgumentError(
                f"Argument `labels` must be 'learned' where there are fewer examples than classes, {self.examples} for "
                f"{n_classes}, but was 'fixed'."
            )
        return self.examples

    def first_labels(self, n_classes: int) -> Float[np.ndarray, "n classes"]:
        """The labels before the first iteration: one-hot, or shared out evenly among the classes that take turns."""
        n = self.n_examples(n_classes)
        places, classes = np.arange(max(n, n_classes)) % n, np.arange(max(n, n_classes)) % n_classes
        labels: Float[np.ndarray, "n classes"] = np.zeros((n, n_classes), np.float32)
        labels[places, classes] = 1.0
        labels /= labels.sum(axis=1, keepdims=True)
        return labels


@dataclass(frozen=True)
class OuterLoop:
    """How the synthetic data is optimised.

    Args:
        iterations: meta-gradient steps.
        batch: real inputs an iteration, drawn with replacement from the training part.
        optimiser: an Optax optimiser by name.
        learning_rate: of the inputs, labels and step sizes alike, at the start.
        schedule: how the learning rate goes: ``"cosine"`` to zero, ``"halving"`` over ten levels, or ``"constant"``.
        warm_up: share of the iterations over which the learning rate rises from zero, before the schedule begins.
            Trainings of many steps may diverge early without it.
        clip: the meta-gradient's norm is held below this many times the running mean of what it was held to, at least
            1; 0 turns it off (Feng et al., arXiv 2311.07025). At 1 all have nearly the same norm, for the mean can
            only fall.
        average: decay of the moving average of what is learned, which is what is validated and kept; 0 turns
            it off.
        mirror: flip every second real input left to right, on average. Not for digits.
        validate_every: iterations between two looks at the validation part.
        max_rejected: iterations in a row with a non-finite loss or meta-gradient after which the run stops.
    """

    iterations: int = 6000
    batch: int = 256
    optimiser: Literal["adam", "adamw", "sgd", "rmsprop", "lion"] = "adam"
    learning_rate: float = 0.02
    schedule: Literal["constant", "cosine", "halving"] = "cosine"
    warm_up: float = 0.0
    clip: float = 2.0
    average: float = 0.99
    mirror: bool = False
    validate_every: int = 100
    max_rejected: int = 20

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name in ("iterations", "batch", "validate_every", "max_rejected"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {getattr(self, name)}.")
        if self.learning_rate <= 0:
            raise ArgumentError(f"Argument `learning_rate` must be above 0, but was {self.learning_rate}.")
        if self.clip != 0 and self.clip < 1:
            raise ArgumentError(f"Argument `clip` must be 0 or at least 1, but was {self.clip}.")
        if not 0 <= self.average < 1:
            raise ArgumentError(f"Argument `average` must be in [0, 1), but was {self.average}.")
        if not 0 <= self.warm_up < 1:
            raise ArgumentError(f"Argument `warm_up` must be in [0, 1), but was {self.warm_up}.")

    def learning_rates(self) -> optax.Schedule:
        """Iteration -> learning rate."""
        rising = int(self.warm_up * self.iterations)
        after = self._after_warm_up(self.iterations - rising)
        if not rising:
            return after
        return optax.join_schedules([optax.linear_schedule(0.0, self.learning_rate, rising), after], [rising])

    def _after_warm_up(self, iterations: int) -> optax.Schedule:
        if self.schedule == "cosine":
            return optax.cosine_decay_schedule(self.learning_rate, iterations)
        if self.schedule == "halving":
            # In whole numbers, so that any number of iterations has ten levels.
            return lambda count: self.learning_rate * 0.5 ** (10 * count // iterations)
        return optax.constant_schedule(self.learning_rate)


_OPTIMISERS: dict[str, Callable[[optax.Schedule], optax.GradientTransformation]] = {
    "adam": optax.adam,
    "adamw": optax.adamw,
    "sgd": optax.sgd,
    "rmsprop": optax.rmsprop,
    "lion": optax.lion,
}


class Learned(eqx.Module):
    """The synthetic data in the unconstrained form that the optimiser sees.

    Args:
        inputs: (n, ...), normalised.
        labels: (n, classes).
        raw_step_sizes: (T, groups); the step sizes are their softplus.
    """

    inputs: Float[Array, "n *shape"]
    labels: Float[Array, "n classes"]
    raw_step_sizes: Float[Array, "steps groups"]

    def training_set(self, schedule: Int[np.ndarray, "steps batch"]) -> TrainingSet:
        """The form that a training reads."""
        return TrainingSet(self.inputs, self.labels, jax.nn.softplus(self.raw_step_sizes), schedule)


class OuterState(eqx.Module):
    """Everything that the next iteration depends on.

    Args:
        iteration: iterations done.
        learned: the synthetic data.
        averaged: its moving average.
        optimiser: the outer optimiser's state.
        norm: running mean of the meta-gradient's norm, 0 before the first accepted iteration.
        rejected: rejected iterations in a row.
        rejected_total: rejected iterations so far.
        best: the averaged data with the highest validation accuracy so far.
        best_accuracy: that accuracy; -1 before the first look.
        best_iteration: when it was seen.
        pool: partly trained networks, see `Initialisation`; None where there is no pool.
    """

    iteration: Int[Array, ""]
    learned: Learned
    averaged: Learned
    optimiser: PyTree
    norm: Float[Array, ""]
    rejected: Int[Array, ""]
    rejected_total: Int[Array, ""]
    best: Learned
    best_accuracy: Float[Array, ""]
    best_iteration: Int[Array, ""]
    pool: Partly | None = None


@dataclass(frozen=True)
class Validation:
    """What a look at the validation part tells of the averaged data.

    Args:
        accuracy: of the network trained on it, a fraction; for unknown initial weights the mean over draws, as the
            rest.
        loss: its mean loss, as `InnerLoop.loss` says.
        coefficient_norm: the Euclidean norm of the coefficients of all its Hermitians; None without Hermitians.
        draws: the accuracy of each of the networks that were drawn; none for known initial weights.
    """

    accuracy: float
    loss: float
    coefficient_norm: float | None
    draws: tuple[float, ...] = ()


class IterationReport(eqx.Module):
    """What one iteration tells.

    Args:
        loss: the meta-objective, on this iteration's real batch.
        norm: the meta-gradient's norm before clipping.
        accepted: whether both were finite; otherwise the state stayed as it was.
    """

    loss: Float[Array, ""]
    norm: Float[Array, ""]
    accepted: Bool[Array, ""]


class Distiller:
    """The bilevel problem for one network and one dataset, compiled once.

    Args:
        model: the initial network; one that takes shots (`quantum.on_device`) is trained and validated from shots, and
            has to take them by the ``"gaussian"`` estimator, which has the derivatives.
        splits: real inputs; the test part is not read here.
        compression: what is learned.
        inner: how the network trains on it.
        outer: how it is optimised.
        objective: what it is optimised for.
        initialisation: which initial weights it is for; by default those of `model` alone.
        build: random key -> a network as `model` is, where the initial weights are unknown.
        optimiser: any Optax optimiser, in place of the one that `outer` names.
        mesh: the devices that share an iteration, see `distill.cores`; None for one.
        key: random key, consumed.

    Raises:
        ArgumentError: the parts do not fit each other.

    Example:
        Most users want `qdistill.run`, which builds one from a recipe and also writes metrics and checkpoints.
    """

    def __init__(
        self,
        model: Model,
        splits: Splits,
        *,
        compression: Compression,
        inner: InnerLoop,
        outer: OuterLoop,
        objective: MetaObjective | None = None,
        initialisation: Initialisation | None = None,
        build: Callable[[Array], Model] | None = None,
        optimiser: optax.GradientTransformation | None = None,
        mesh: Mesh | None = None,
        key: Array,
    ) -> None:
        """Place the data and prepare the compiled functions."""
        if takes_shots(model, "samples"):
            raise ArgumentError(
                "Argument `model` must take its shots by the estimator 'gaussian' of `quantum.Execution`, but takes "
                "them by 'samples', whose gradients have no derivatives for the meta-gradient."
            )
        if outer.mirror:
            check_mirror(splits.train.inputs.shape[1:])
        self.model, self.splits = model, splits
        self.compression, self.inner, self.outer = compression, inner, outer
        self.objective = PerformanceMatching() if objective is None else objective
        self.n_examples = compression.n_examples(splits.n_classes)
        self.schedule = inner.schedule(self.n_examples)
        self.optimiser = optimiser or _OPTIMISERS[outer.optimiser](outer.learning_rates())
        self._key_start, self.key_batches = jax.random.split(key)
        self.takes_shots = takes_shots(model)
        self._transformed_once = _can_be_transformed_once(splits, outer.mirror)
        self.train_part = (self._shown_inputs(), jnp.asarray(splits.train.labels))
        self.initialisation = Initialisation() if initialisation is None else initialisation
        self._unknown = None if self.initialisation.is_known else self._unknown_weights(build)
        self._mesh = mesh
        self._placed: tuple[Model, tuple[Array, Array], Array] | None = None
        self._iterate = spread(self.iteration, mesh)
        self._measure, self._measure_draws = compiled(self._measured), compiled(self._mean_over_draws)

    def _unknown_weights(self, build: Callable[[Array], Model] | None) -> UnknownWeights:
        if build is None:
            raise ArgumentError("Argument `build` must be given where the initial weights are unknown, but was None.")
        if self.takes_shots:
            raise ArgumentError(
                "Argument `model` must be of exact expectation values where the initial weights are unknown, but takes "
                "shots."
            )
        return UnknownWeights(self.initialisation, build, self.model, self.inner, self.objective, self.n_examples)

    def with_start(self, model: Model, key: Array) -> Distiller:
        """The same problem from other initial weights and inputs, with other batches.

        What is compiled is shared.

        Args:
            model: of the same architecture.
            key: random key, consumed.
        """
        other = copy.copy(self)
        other.model, other._placed = model, None
        other._key_start, other.key_batches = jax.random.split(key)
        return other

    def start(self) -> OuterState:
        """The state before the first iteration."""
        n_classes = self.splits.n_classes
        # The classes take turns, so that with one input a class a step that has its own inputs sees every class.
        classes = np.arange(self.n_examples) % n_classes
        inputs = initial_inputs(self.compression.start, self.splits, classes, key=self._key_start)
        groups = self.inner.n_step_size_groups(self.model)
        # The inverse of softplus, in the form that does not overflow.
        size = jnp.asarray(self.compression.step_size, jnp.float32)
        raw = size + jnp.log(-jnp.expm1(-size))
        learned = Learned(
            inputs=inputs,
            labels=jnp.asarray(self.compression.first_labels(n_classes)),
            raw_step_sizes=jnp.full((self.inner.total_steps, groups), raw, jnp.float32),
        )
        zero = jnp.zeros((), jnp.int32)
        pool = None if self._unknown is None else self._first_pool(self._unknown)
        return OuterState(
            iteration=zero,
            learned=learned,
            averaged=learned,
            optimiser=self.optimiser.init(learned),
            norm=jnp.zeros((), jnp.float32),
            rejected=zero,
            rejected_total=zero,
            best=learned,
            # Types are given wherever they would be weak: the second iteration would compile again.
            best_accuracy=jnp.full((), -1.0, jnp.float32),
            best_iteration=zero,
            pool=pool,
        )

    def iterate(self, state: OuterState) -> tuple[OuterState, IterationReport]:
        """One iteration."""
        new, report = self._iterate(self._fixed, everywhere(state, self._mesh))
        return new, report

    @property
    def _fixed(self) -> tuple[Model, tuple[Array, Array], Array]:
        """What `iteration` takes beside the state, placed once."""
        if self._placed is None:
            self._placed = everywhere((self.model, self.train_part, self.key_batches), self._mesh)
        return self._placed

    def program(self, state: OuterState) -> str:
        """The compiled program of `iterate`, as the text of an optimised HLO module."""
        jitted: Any = self._iterate  # Equinox types it as the plain function
        text: str = jitted.lower(self._fixed, everywhere(state, self._mesh)).compile().compiled.as_text()
        return text

    def validate(self, state: OuterState) -> tuple[OuterState, Validation]:
        """Measure the averaged data on the validation part, and keep it where it is the best so far."""
        state = here(state) if self._mesh is not None else state
        shares, loss, norm = self._look(state.averaged)
        measured = jnp.mean(shares)
        # What a network says that is not finite is no answer, whatever share of it looks right.
        # Of several, one that is not finite is counted as never right.
        if (self._unknown is not None or jnp.isfinite(loss)) and measured > state.best_accuracy:
            state = eqx.tree_at(
                lambda s: (s.best, s.best_accuracy, s.best_iteration),
                state,
                (state.averaged, measured, state.iteration),
            )
        draws = self._draws(shares)
        accuracy = statistics.mean(draws) if draws else fraction(measured, len(self.splits.validation))
        return state, Validation(accuracy, float(loss), None if norm is None else float(norm), draws)

    def validation_draws(self, learned: Learned) -> tuple[float, ...]:
        """The validation accuracy of each of the networks that a look draws; none for known initial weights."""
        return () if self._unknown is None else self._draws(self._look(learned)[0])

    @property
    def drawn_anew(self) -> DrawnAnew | None:
        """What a training draws anew; None where the initial weights are known."""
        return None if self._unknown is None else self._unknown.drawn_anew

    def _look(self, learned: Learned) -> tuple[Array, Array, Array | None]:
        inputs, labels = self.splits.validation.inputs, self.splits.validation.labels
        # Each look has the same random numbers for its shots, so that looks differ by the data alone.
        key = self._shots_key(self._key_start) if self.takes_shots else None
        part, data = (jnp.asarray(inputs), jnp.asarray(labels)), self.training_set(learned)
        result: tuple[Array, Array, Array | None]
        if self._unknown is None:
            key_train, key_inputs = (None, None) if key is None else jax.random.split(key)
            # Not in one program with what follows: a bundle's replay has this one too.
            trained = compiled_train(self.model, data, self.inner, key=key_train)
            result = self._measure(trained, *part, key_inputs)
        else:
            result = self._measure_draws(self._unknown, self.model, data, *part, self._validation_keys)
        return result

    def _draws(self, shares: Array) -> tuple[float, ...]:
        n = len(self.splits.validation)
        return () if self._unknown is None else tuple(fraction(share, n) for share in shares)

    @property
    def _validation_keys(self) -> Array:
        """Of the networks that every look at the validation part trains."""
        key = jax.random.fold_in(self._key_start, _VALIDATION)
        return jax.random.split(key, self.initialisation.validation_draws)

    def _first_pool(self, unknown: UnknownWeights) -> Partly | None:
        """The pool before the first iteration, after the architecture was found to draw weights that are numbers."""
        key = jax.random.fold_in(self._key_start, _POOL)
        finite, pool = at_start(unknown, self.model, self._validation_keys, key)
        if not finite:
            raise ArgumentError(
                "Argument `build` must draw initial weights that are finite, but drew some that are not: see the "
                "architecture's fields by which they are drawn."
            )
        return pool

    def training_set(self, learned: Learned) -> TrainingSet:
        """The form that a training and a bundle read."""
        return learned.training_set(self.schedule)

    def _shown_inputs(self) -> Array:
        """The training part's inputs as batches are drawn from them: raw, or transformed."""
        inputs = self.splits.train.inputs
        return self.splits.transform.of_many(inputs) if self._transformed_once else jnp.asarray(inputs)

    def _batch(
        self, train: tuple[Array, Array], key: Array
    ) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch classes"]]:
        with jax.named_scope("real_batch"):
            key_pick, key_mirror = jax.random.split(key)
            inputs, labels = train
            picked = jax.random.randint(key_pick, (self.outer.batch,), 0, inputs.shape[0])
            batch = inputs[picked]
            if self.outer.mirror:
                flip = jax.random.bernoulli(key_mirror, shape=(self.outer.batch, 1, 1, 1))
                batch = jnp.where(flip, batch[:, :, ::-1], batch)
            if not self._transformed_once:
                batch = self.splits.transform(batch)
            return batch, jax.nn.one_hot(labels[picked], self.splits.n_classes)

    def iteration(
        self, fixed: tuple[Model, tuple[Array, Array], Array], state: OuterState
    ) -> tuple[OuterState, IterationReport]:
        """What `iterate` compiles, as a pure function of all its arrays.

        Args:
            fixed: the initial network, the training part's inputs and labels, and the key of the batches.
            state: where the run stands.
        """
        model, train_part, key = fixed
        data, pull_back = jax.vjp(
            lambda learned: eqx.filter(self.training_set(learned), eqx.is_inexact_array), state.learned
        )
        key = jax.random.fold_in(key, state.iteration)
        if self._unknown is None:
            loss, slope = self._of_known(data, model, train_part, key)
            pool = None
        else:
            key = jax.random.fold_in(key, _NETWORKS)
            loss, slope, pool = self._unknown.meta_gradient(
                data, model, lambda own: self._batch(train_part, own), state.pool, key
            )
        (gradient,) = pull_back(slope)
        gradient = self._where_fixed(jax.tree.map(jnp.zeros_like, gradient), gradient)
        with jax.named_scope("outer_optimiser"):
            state, report = self._improve(state, loss, gradient)
        # A rejected iteration renews the pool too, or it would be rejected for ever.
        return dataclasses.replace(state, pool=pool), report

    def _of_known(
        self, data: TrainingSet, model: Model, train_part: tuple[Array, Array], key: Array
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """The objective and its gradient for one known network."""
        inputs, labels = self._batch(train_part, key)
        whole = eqx.tree_at(lambda d: d.schedule, data, self.schedule, is_leaf=lambda x: x is None)
        keys = (self._shots_key(key),) if self.takes_shots else ()
        return self.objective.value_and_gradient(whole, model, self.inner, inputs, labels, *keys)

    def _where_fixed(self, fixed: Learned, learned: Learned) -> Learned:
        """The parts of `fixed` that the compression fixes, and those of `learned` that it learns."""
        for name in ("inputs", "labels"):
            if getattr(self.compression, name) == "fixed":
                learned = eqx.tree_at(operator.attrgetter(name), learned, getattr(fixed, name))
        return learned

    def _improve(
        self, state: OuterState, loss: Float[Array, ""], gradient: Learned
    ) -> tuple[OuterState, IterationReport]:
        """Clip, update and average; a meta-gradient that is not finite changes nothing but the counts."""
        norm = optax.tree.norm(gradient)
        accepted = jnp.isfinite(loss) & jnp.isfinite(norm)
        mean_norm = jnp.where(state.norm == 0, norm, 0.9 * state.norm + 0.1 * norm)
        if self.outer.clip:
            limit = self.outer.clip * jnp.where(state.norm == 0, norm, state.norm)
            # Where the norm is zero there is nothing to hold back, and no number to divide by.
            factor = jnp.where(norm > limit, limit / norm, 1.0)
            gradient = jax.tree.map(lambda g: g * factor, gradient)
            mean_norm = jnp.where(state.norm == 0, norm, 0.9 * state.norm + 0.1 * jnp.minimum(norm, limit))
        updates, optimiser = self.optimiser.update(gradient, state.optimiser, state.learned)
        learned = optax.apply_updates(state.learned, updates)
        # Without a gradient, weight decay would still move what is fixed.
        learned = self._where_fixed(state.learned, learned)
        # Early on the average forgets faster, or it would hang on to the start.
        decay = jnp.minimum(self.outer.average, (1.0 + state.iteration) / (10.0 + state.iteration))
        averaged = optax.incremental_update(learned, state.averaged, 1.0 - decay if self.outer.average else 1.0)
        # A mean of equal numbers may be a rounding away from them.
        averaged = self._where_fixed(state.averaged, averaged)

        proposed = eqx.tree_at(
            lambda s: (s.learned, s.averaged, s.optimiser, s.norm), state, (learned, averaged, optimiser, mean_norm)
        )
        kept = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
        counted = eqx.tree_at(
            lambda s: (s.iteration, s.rejected, s.rejected_total),
            kept,
            (
                state.iteration + 1,
                jnp.where(accepted, 0, state.rejected + 1),
                state.rejected_total + ~accepted,
            ),
        )
        return counted, IterationReport(loss, norm, accepted)

    def _mean_over_draws(
        self, unknown: UnknownWeights, model: Model, data: TrainingSet, inputs: Array, labels: Array, keys: Array
    ) -> tuple[Array, Array, Array | None]:
        """The accuracies of networks that are drawn; of those whose training stays finite mean loss and mean norm.

        The accuracy of a network whose training does not is 0, as on the test part.
        """

        def one(own: Array) -> tuple[Array, Array, Array | None]:
            drawn, schedule = unknown.draw(model, own)
            ordered = eqx.tree_at(lambda d: d.schedule, data, schedule)
            share, loss, norm = self._measured(train(drawn, ordered, self.inner), inputs, labels, None)
            return jnp.where(jnp.isfinite(loss), share, 0.0), loss, norm

        shares, losses, norms = over_networks(one, keys)
        finite = jnp.isfinite(losses)
        return shares, jnp.mean(losses, where=finite), None if norms is None else jnp.mean(norms, where=finite)

    def _measured(
        self, trained: Model, inputs: Array, labels: Array, key: Array | None
    ) -> tuple[Array, Array, Array | None]:
        share, loss = measure(trained, inputs, labels, self.splits.transform, loss=self.inner.loss, key=key)
        nodes = jax.tree.leaves(ideal(trained), is_leaf=lambda node: isinstance(node, Hermitian))
        coefficients = [node.coefficients for node in nodes if isinstance(node, Hermitian)]
        return share, loss, optax.tree.norm(coefficients) if coefficients else None

    @staticmethod
    def _shots_key(key: Array) -> Array:
        """A key beside those that `_batch` and `start` draw from the same one, which stay what they are."""
        return jax.random.fold_in(key, 2**31)


_NETWORKS, _VALIDATION, _POOL = 2**31 + 1, 2**31 + 2, 2**31 + 3
"""Of keys for unknown weights, beside all others that are drawn from the same one; see `Distiller._shots_key`."""


def _can_be_transformed_once(splits: Splits, mirror: bool) -> bool:
    """Whether the training part is transformed before a run instead of batch by batch.

    To standardise or rescale a batch takes next to nothing, and raw bytes are a quarter of the memory. A filter would
    take a fifth of an iteration's time; whether images are mirrored before it or after makes no difference. Principal
    components are few numbers, but of images that were mirrored before.
    """
    names = {step.name for step in splits.transform.steps}
    if "pca" in names:
        return not mirror
    return "whiten" in names
