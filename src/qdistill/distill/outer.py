"""The outer loop: synthetic data improved by its meta-gradient, one real batch at a time. There is no other.

An iteration is one compiled function of a state and the training inputs. The state holds every array that the
rest of the run depends on, and the random numbers of an iteration depend on the run's key and the iteration's
number alone: a run that is continued from a saved state gives the numbers of one that was never stopped.
"""

from __future__ import annotations

import copy
import dataclasses
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
from jaxtyping import Array, Float

from qdistill.data import Splits
from qdistill.distill.compression import Compression
from qdistill.distill.cores import everywhere, here, spread
from qdistill.distill.initialisation import DrawnAnew, Initialisation
from qdistill.distill.inner import InnerLoop
from qdistill.distill.measuring import fraction
from qdistill.distill.objective import MetaObjective, PerformanceMatching
from qdistill.distill.outer_state import IterationReport, Learned, OuterState
from qdistill.distill.real_batches import RealBatches
from qdistill.distill.start import initial_inputs
from qdistill.distill.training_set import TrainingSet
from qdistill.distill.unknown import Partly, UnknownWeights, at_start
from qdistill.distill.update import Update
from qdistill.distill.validation import Look, Validation, ValidationPart
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models import Model
from qdistill.quantum import takes_shots


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


Fixed = tuple[Model, tuple[Array, Array], Array]
"""What stays from iteration to iteration: the initial network, `RealBatches.part`, and the key of the batches."""


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
        self.model, self.splits = model, splits
        self.compression, self.inner, self.outer = compression, inner, outer
        self.objective = PerformanceMatching() if objective is None else objective
        self.n_examples = compression.n_examples(splits.n_classes)
        self.schedule = inner.schedule(self.n_examples)
        self.optimiser = optimiser or _OPTIMISERS[outer.optimiser](outer.learning_rates())
        self._key_start, self.key_batches = jax.random.split(key)
        self.takes_shots = takes_shots(model)
        self._batches = RealBatches(splits, outer.batch, mirror=outer.mirror)
        self.initialisation = Initialisation() if initialisation is None else initialisation
        self._unknown = None if self.initialisation.is_known else self._unknown_weights(build)
        self._validation = ValidationPart(splits, inner, self._unknown)
        self._update = Update(self.optimiser, outer.clip, outer.average, compression.fixed)
        self._mesh = mesh
        self._placed: Fixed | None = None
        self._iterate = spread(self.iteration, mesh)

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
        labels = jnp.asarray(self.compression.first_labels(n_classes))
        shape = self.inner.total_steps, self.inner.n_step_size_groups(self.model)
        learned = Learned.with_step_size(inputs, labels, self.compression.step_size, shape)
        pool = None if self._unknown is None else self._first_pool(self._unknown)
        return OuterState.first(learned, self.optimiser.init(learned), pool)

    def iterate(self, state: OuterState) -> tuple[OuterState, IterationReport]:
        """One iteration."""
        new, report = self._iterate(self._fixed, everywhere(state, self._mesh))
        return new, report

    @property
    def train_part(self) -> tuple[Array, Array]:
        """The training part as batches are drawn from it: inputs, raw or transformed, and labels."""
        return self._batches.part

    @property
    def _fixed(self) -> Fixed:
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
            state = state.with_best(measured)
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

    def _look(self, learned: Learned) -> Look:
        # Each look has the same random numbers, so that looks differ by the data alone.
        keys: Array | None = None
        if self._unknown is not None:
            keys = self._validation_keys
        elif self.takes_shots:
            keys = self._shots_key(self._key_start)
        return self._validation.look(self.model, self.training_set(learned), keys)

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

    def iteration(self, fixed: Fixed, state: OuterState) -> tuple[OuterState, IterationReport]:
        """What `iterate` compiles, as a pure function of all its arrays.

        Args:
            fixed: see `Fixed`.
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
                data, model, lambda own: self._batches.draw(train_part, own), state.pool, key
            )
        (gradient,) = pull_back(slope)
        with jax.named_scope("outer_optimiser"):
            state, report = self._update(state, loss, gradient)
        # A rejected iteration renews the pool too, or it would be rejected for ever.
        return dataclasses.replace(state, pool=pool), report

    def _of_known(
        self, data: TrainingSet, model: Model, train_part: tuple[Array, Array], key: Array
    ) -> tuple[Float[Array, ""], TrainingSet]:
        """The objective and its gradient for one known network."""
        inputs, labels = self._batches.draw(train_part, key)
        keys = (self._shots_key(key),) if self.takes_shots else ()
        return self.objective.value_and_gradient(
            data.with_schedule(self.schedule), model, self.inner, inputs, labels, *keys
        )

    @staticmethod
    def _shots_key(key: Array) -> Array:
        """A key beside those that batches and `start` draw from the same one, which stay what they are."""
        return jax.random.fold_in(key, 2**31)


_NETWORKS, _VALIDATION, _POOL = 2**31 + 1, 2**31 + 2, 2**31 + 3
"""Of keys for unknown weights, beside all others that are drawn from the same one; see `Distiller._shots_key`."""
