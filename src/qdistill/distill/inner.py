"""The inner loop: a network trained on synthetic data, step by step. There is no other training loop.

The same function distils (its gradient is the meta-gradient), replays a bundle and trains the baselines. `descent` has
what a step does and how it is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from qdistill.compiling import compiled
from qdistill.distill.cores import TRAINING, Part, shared
from qdistill.distill.descent import OPTIMISERS, descend, initial_state, kept_as, loss_gradient
from qdistill.distill.losses import Loss
from qdistill.distill.memory import segment_lengths
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, DivergenceError
from qdistill.fields import check_fields
from qdistill.models import ClosedForm, Model, named_weights
from qdistill.quantum import check_training_memory


@dataclass(frozen=True)
class InnerLoop:
    """How a network trains on the synthetic data.

    Args:
        steps: gradient steps in one pass.
        epochs: passes; the whole training takes ``steps * epochs`` steps.
        own_examples: each step of a pass sees examples of its own, as in the CIFAR-10 setting of Wang et al.
            (arXiv 1811.10959); otherwise every step sees all inputs.
        optimiser: plain gradient descent, momentum (0.9), Adam (0.9, 0.999), or Newton's method, whose one step is
            exact for the square error of a model that has a closed form (`models.ClosedForm`). The learned step size
            scales the update of any of them.
        step_sizes: learned step sizes are ``"shared"``, one a step, or ``"tensor"``, one a step and weight array.
        loss: what each step descends, and the objective on real data too; see `distill.losses`.
    """

    steps: int = 10
    epochs: int = 1
    own_examples: bool = False
    optimiser: Literal["gradient_descent", "momentum", "adam", "newton"] = "gradient_descent"
    step_sizes: Literal["shared", "tensor"] = "tensor"
    loss: Loss = "cross_entropy"

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name, value in (("steps", self.steps), ("epochs", self.epochs)):
            if value < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {value}.")
        if self.optimiser == "newton":
            for name, only in _NEWTON.items():
                given = getattr(self, name)
                if given != only:
                    raise ArgumentError(
                        f"Argument `{name}` must be {only!r} for the optimiser 'newton', which has one exact "
                        f"step on all examples, but was {given!r}."
                    )

    @property
    def total_steps(self) -> int:
        """T: all gradient steps of one training."""
        return self.steps * self.epochs

    def n_step_size_groups(self, model: Model) -> int:
        """How many step sizes one step has: one, or as many as the network has weight arrays."""
        return 1 if self.step_sizes == "shared" else len(named_weights(model))

    def schedule(self, n_examples: int) -> Int[np.ndarray, "steps batch"]:
        """Which inputs each step sees.

        Args:
            n_examples: how many synthetic examples there are. With `own_examples` they are taken in order, the
                first step's first.

        Returns:
            Example indices of every step, (T, examples a step).

        Raises:
            ArgumentError: the inputs cannot be shared out evenly among the steps.
        """
        if not self.own_examples:
            return np.tile(np.arange(n_examples), (self.total_steps, 1))
        if n_examples % self.steps:
            raise ArgumentError(
                f"Argument `steps` must divide the {n_examples} synthetic examples where each step has its own, "
                f"but was {self.steps}."
            )
        return np.tile(np.arange(n_examples).reshape(self.steps, -1), (self.epochs, 1))

    def check_schedule(self, schedule: Int[np.ndarray, "steps batch"], n_examples: int) -> None:
        """Make sure that every step of a schedule sees all examples, unless each has its own.

        Raises:
            ArgumentError: a step does not, or sees them in another order.
        """
        if not self.own_examples and not np.array_equal(schedule, self.schedule(n_examples)):
            raise ArgumentError("Argument `schedule` must list all inputs in each step, for `own_examples` is false.")


_NEWTON = {"steps": 1, "epochs": 1, "own_examples": False, "step_sizes": "shared", "loss": "square"}
"""What the fields of a loop must be for Newton's method."""


def train(
    model: Model,
    data: TrainingSet,
    inner: InnerLoop,
    *,
    key: Array | None = None,
    memory_budget: int | None = None,
    optimiser_state: PyTree | None = None,
) -> Model:
    """Train a network on a few inputs, T steps in the given order.

    Args:
        model: the initial network.
        data: inputs, labels, step sizes and schedule.
        inner: the optimiser; its numbers of steps must fit `data`.
        key: random key, consumed, for layers that take shots (see `quantum.on_device`); each step has one of its own.
        memory_budget: bytes that the steps may keep for the reverse pass, should there be one; steps are computed
            again where that is too little (see `memory.segment_lengths`). None stands for a share of the machine's
            memory. What a single step needs while it is computed comes on top. Under `jax.vmap` each of the
            trainings keeps that much.
        optimiser_state: of the optimiser where the training begins, in place of `initial_state`: for the part of a
            longer training.

    Returns:
        The trained network; differentiable once in reverse mode with respect to `model` and `data`.

    Raises:
        ArgumentError: `data` is for another number of steps or of step-size groups, its schedule is known not to be
            of this loop, the budget is too small, or the quantum layers take more memory than there is.
    """
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    expected = (inner.total_steps, inner.n_step_size_groups(model))
    if data.step_sizes.shape != expected:
        raise ArgumentError(
            f"Argument `step_sizes` must have shape (steps, groups) = {expected}, but was {data.step_sizes.shape}."
        )
    if len(data.schedule) != inner.total_steps:
        raise ArgumentError(
            f"Argument `schedule` must have a row for each of the {inner.total_steps} steps, but has "
            f"{len(data.schedule)}."
        )
    if isinstance(data.schedule, np.ndarray):
        inner.check_schedule(data.schedule, len(data.inputs))
    if (inner.optimiser == "newton") != isinstance(model, ClosedForm):
        raise ArgumentError(
            f"Argument `optimiser` must be 'newton' for a model with a closed form and for no other, but was "
            f"{inner.optimiser!r} for a {type(model).__name__}."
        )
    if isinstance(model, ClosedForm):
        return model.fit(data.inputs, data.labels, step_size=data.step_sizes[0, 0], key=key)
    part = Part(data.schedule.shape[1], TRAINING)
    check_training_memory(model, part.size)
    all_inputs, all_labels = shared((data.inputs, data.labels), TRAINING)
    schedule = jnp.asarray(data.schedule)
    if inner.own_examples:
        schedule = part.of(schedule, axis=1)
    else:
        all_inputs, all_labels = part.of((all_inputs, all_labels))
    gradient = loss_gradient(static, inner.loss, part)
    kept = OPTIMISERS[inner.optimiser].kept

    def step(
        carry: tuple[PyTree, PyTree], now: tuple[Array, Array, Array | None]
    ) -> tuple[tuple[PyTree, PyTree], None]:
        weights, state = carry
        sizes, picked, key_data = now
        key = None if key_data is None else jax.random.wrap_key_data(key_data)
        inputs, labels = all_inputs, all_labels
        if inner.own_examples:
            inputs, labels = inputs[picked], labels[picked]
        slopes = kept_as(gradient(weights, inputs, labels, key), "gradient")
        return descend(inner.optimiser, weights, state, slopes, sizes), None

    carry = (weights, initial_state(inner.optimiser, weights) if optimiser_state is None else optimiser_state)
    # Key data, for keys themselves cannot be padded.
    keys = None if key is None else jax.random.key_data(jax.random.split(key, inner.total_steps))
    now = (data.step_sizes, schedule, keys)
    row = jax.tree.map(lambda a: a[0], now)
    lengths = segment_lengths(
        inner.total_steps,
        carry_bytes=_bytes(carry),
        # The weights, what the optimiser's row in the table says, and the step sizes.
        step_bytes=_bytes((weights, weights, row)) + (_bytes(carry[1]) if kept == "gradient" else 0),
        budget=memory_budget,
    )
    # The steps beyond the last have size zero, so the weights stay as they are.
    beyond = math.prod(lengths) - inner.total_steps
    now = jax.tree.map(lambda a: jnp.pad(a, ((0, beyond), (0, 0))), now)
    policy = jax.checkpoint_policies.save_only_these_names(kept)
    lean_step = jax.checkpoint(step, prevent_cse=False, policy=policy)
    weights, _ = _scan_in_segments(lean_step, carry, now, lengths)
    trained: Model = eqx.combine(weights, static)
    return trained


compiled_train = compiled(train)
"""`train`, compiled once for each network and shape: a look at the validation part and a replay share the program."""


def _scan_in_segments(
    step: Callable[[PyTree, PyTree], tuple[PyTree, None]], carry: PyTree, xs: PyTree, lengths: tuple[int, ...]
) -> PyTree:
    """The carry after all steps; reverse mode keeps the first carry of every segment and runs the segment again.

    Args:
        step: one step, as `jax.lax.scan` takes it.
        carry: what the first step starts from.
        xs: what each step reads, stacked.
        lengths: of the nested segments from the outside in; their product is the number of steps.
    """
    outer, *inner = lengths
    if not inner:
        return jax.lax.scan(step, carry, xs)[0]

    def segment(carry: PyTree, xs: PyTree) -> tuple[PyTree, None]:
        return _scan_in_segments(step, carry, xs, tuple(inner)), None

    cut = jax.tree.map(lambda a: a.reshape(outer, -1, *a.shape[1:]), xs)
    return jax.lax.scan(jax.checkpoint(segment, prevent_cse=False), carry, cut)[0]


def checked_train(model: Model, data: TrainingSet, inner: InnerLoop, *, key: Array | None = None) -> Model:
    """`compiled_train`, and an error in place of a network that is none; arguments as for `train`.

    Raises:
        DivergenceError: a weight is not finite after one of the steps.
        ArgumentError: the data is for another loop, or the equations of a network with a closed form have no one
            solution.
    """
    # Inside of jit its numbers are not known.
    inner.check_schedule(np.asarray(data.schedule), len(data.inputs))
    if isinstance(model, ClosedForm):
        model.check_fit(data.inputs)
    trained: Model = compiled_train(model, data, inner, key=key)
    if not all(np.isfinite(weight).all() for weight in named_weights(trained).values()):
        step = 1 if isinstance(model, ClosedForm) else _first_step_not_finite(model, data, inner, key)
        raise DivergenceError(
            f"The training on the synthetic examples is no longer finite after step {step} of {inner.total_steps}, so "
            "there is no network to be measured."
        )
    return trained


def _first_step_not_finite(model: Model, data: TrainingSet, inner: InnerLoop, key: Array | None) -> int | None:
    """The first step, counted from 1, after which a weight is not finite; None where all are."""
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    gradient = loss_gradient(static, inner.loss)
    keys = None if key is None else jax.random.split(key, inner.total_steps)

    def step(carry: tuple[PyTree, PyTree], now: tuple[Array, Array, Array | None]) -> tuple[tuple[PyTree, PyTree], Any]:
        sizes, picked, key = now
        slopes = gradient(carry[0], data.inputs[picked], data.labels[picked], key)
        weights, state = descend(inner.optimiser, *carry, slopes, sizes)
        return (weights, state), jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(weights)]))

    carry = (weights, initial_state(inner.optimiser, weights))
    _, finite = jax.lax.scan(step, carry, (data.step_sizes, jnp.asarray(data.schedule), keys))
    lost = np.flatnonzero(~np.asarray(finite))
    return int(lost[0]) + 1 if lost.size else None


def _bytes(tree: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
