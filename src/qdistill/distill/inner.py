"""The inner loop: a network trained on synthetic data, step by step. There is no other training loop.

The same function distils (its gradient is the meta-gradient), replays a bundle and trains the baselines.

The meta-gradient is exact and needs little memory. Reverse mode through a gradient step needs, for a cotangent
v of the step's gradient g(w, x, y) = dL/dw, the products of v with the derivatives of g: these are the gradients of
the scalar <g(w, x, y), v>, which is the derivative of L along v and comes from one forward-mode pass. So each
step keeps its weights and its update and recomputes the rest, at the arithmetic of the usual reverse-over-reverse
(forward-over-reverse products: Pearlmutter, Neural Computation 6, 1994; for meta-gradients: arXiv 2505.00793).
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
import optax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from qdistill.compiling import compiled
from qdistill.distill.cores import TRAINING, Part, shared, total
from qdistill.distill.losses import LOSSES, Loss, total_loss
from qdistill.distill.memory import segment_lengths
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields
from qdistill.models import ClosedForm, Model, named_weights, predict
from qdistill.numbers import Numbers, integers, real_as_given, real_field
from qdistill.quantum import check_training_memory, wires_needed


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


def _example_numbers(values: Any) -> Any:
    return values if isinstance(values, jax.ShapeDtypeStruct) else integers("schedule", values)


class TrainingSet(eqx.Module):
    """What a training reads: synthetic or real inputs with their labels and the size of every step.

    Args:
        inputs: normalised, (n, ...).
        labels: one vector an input, (n, classes): one-hot, or learned ("soft", of any sign and scale).
        step_sizes: positive, (T, groups), as `InnerLoop.step_sizes` says.
        schedule: example indices of each step, (T, examples a step).

    Raises:
        ArgumentError: no real numbers, a schedule of other than example numbers, or shapes that do not fit.
    """

    inputs: Float[Array, "n *shape"] = eqx.field(converter=real_field("inputs"))
    labels: Float[Array, "n classes"] = eqx.field(converter=real_field("labels"))
    step_sizes: Float[Array, "steps groups"] = eqx.field(converter=real_field("step_sizes"))
    schedule: Int[np.ndarray, "steps batch"] | Int[Array, "steps batch"] = eqx.field(converter=_example_numbers)

    def __check_init__(self) -> None:
        """Check what can be known of the shapes, and of example numbers that are at hand."""
        if self.inputs.ndim < 2:
            raise ArgumentError(
                f"Argument `inputs` must have an axis for the inputs and one at least for the numbers of each, but had "
                f"shape {self.inputs.shape}."
            )
        for name, axes in (("labels", 2), ("step_sizes", 2), ("schedule", 2)):
            if getattr(self, name).ndim != axes:
                raise ArgumentError(
                    f"Argument `{name}` must have {axes} axes, but had shape {getattr(self, name).shape}."
                )
        n = len(self.inputs)
        if len(self.labels) != n:
            raise ArgumentError(
                f"Argument `labels` must have a row for each of the {n} inputs, but had shape {self.labels.shape}."
            )
        # JAX takes the last input where a number is too large, without a word.
        known = isinstance(self.schedule, np.ndarray) and self.schedule.size
        if known and not 0 <= self.schedule.min() <= self.schedule.max() < n:
            raise ArgumentError(
                f"Argument `schedule` must be example numbers from 0 to {n - 1}, but reached from "
                f"{self.schedule.min()} to {self.schedule.max()}."
            )


_OPTIMISERS: dict[str, tuple[optax.GradientTransformation, Literal["update", "gradient"]]] = {
    "gradient_descent": (optax.identity(), "update"),
    "momentum": (optax.trace(decay=0.9), "update"),
    # eps_root keeps the derivative of the square root finite where a gradient is exactly zero.
    "adam": (optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8, eps_root=1e-12), "gradient"),
}
"""Each optimiser with what a step keeps for its reverse pass besides the weights.

Where the update is linear in the gradient, that is the update, for the derivative by the step size. Otherwise it is the
gradient, with the optimiser's state, from which everything between it and the update is cheap to compute again.
"""


def loss_gradient(
    static: PyTree, loss: Loss, part: Part | None = None
) -> Callable[[PyTree, Float[Array, "n *shape"], Float[Array, "n classes"], Array | None], PyTree]:
    """The gradient of the training loss with respect to the weights, with a cheap reverse-mode derivative.

    Args:
        static: the network without its weights, as `eqx.partition` gives it.
        loss: its name.
        part: which of a step's examples this device takes, see `distill.cores`; None where it takes all.

    Returns:
        ``gradient(weights, inputs, labels, key)``, the key for the shots of this step, or None where there are none.
        The inputs and labels are this device's part, and the gradient is that of all of them. It can be differentiated
        once in reverse mode; the derivative keeps only the arguments and is computed by forward-over-reverse, as the
        module's text says.
    """
    # Arrays that are no weights, such as indices, are arguments too: a custom derivative may not close over them.
    constants, structure = eqx.partition(static, eqx.is_array)

    def value(
        weights: PyTree, constants: PyTree, inputs: Array, labels: Array, key: Array | None, counts: Array | None
    ) -> Array:
        logits = predict(eqx.combine(weights, constants, structure), inputs, key=key)
        if part is None or part.is_all:
            return LOSSES[loss](logits, labels)
        return total_loss(loss, logits, labels, counts) / part.n

    @jax.custom_vjp
    def gradient(weights: PyTree, *rest: Any) -> PyTree:
        return jax.grad(value)(weights, *rest)

    def forward(*arguments: Any) -> tuple[PyTree, tuple[Any, ...]]:
        return gradient(*arguments), arguments

    def backward(kept: tuple[Any, ...], cotangent: PyTree) -> tuple[PyTree, None, Array, Array, None, None]:
        def along_cotangent(weights: PyTree, constants: PyTree, *rest: Any) -> Array:
            derivative: Array = jax.jvp(lambda w: value(w, constants, *rest), (weights,), (cotangent,))[1]
            return derivative

        d_weights, d_inputs, d_labels = jax.grad(along_cotangent, argnums=(0, 2, 3))(*kept)
        return d_weights, None, d_inputs, d_labels, None, None

    gradient.defvjp(forward, backward)

    def of_all(weights: PyTree, inputs: Array, labels: Array, key: Array | None) -> PyTree:
        if part is None or part.is_all:
            return gradient(weights, constants, inputs, labels, key, None)
        keys = None if key is None else part.of(jax.random.split(key, part.n))
        own = gradient(shared(weights, part.axes), constants, inputs, labels, keys, part.counts)
        return total(own, part.axes)

    return of_all


def initial_state(inner: InnerLoop, weights: PyTree) -> PyTree:
    """The optimiser's state before the first step."""
    return _OPTIMISERS[inner.optimiser][0].init(weights)


def descend(
    inner: InnerLoop, weights: PyTree, state: PyTree, slopes: PyTree, sizes: Float[Array, " groups"]
) -> tuple[PyTree, PyTree]:
    """One step of the optimiser, wherever the gradient came from.

    Args:
        inner: names the optimiser.
        weights: the network's arrays.
        state: the optimiser's, as `initial_state` or the step before gave it.
        slopes: the gradient, of the weights' structure.
        sizes: the step's row of `TrainingSet.step_sizes`.

    Returns:
        The weights and the state after the step.
    """
    updates, state = _OPTIMISERS[inner.optimiser][0].update(slopes, state, weights)
    updates = _name(updates, "update")
    leaves, treedef = jax.tree.flatten(weights)
    by_tensor = jax.tree.unflatten(treedef, jnp.broadcast_to(sizes, (len(leaves),)))
    # Weights keep their precision, whatever that of the step sizes.
    return jax.tree.map(lambda w, u, size: (w - size * u).astype(w.dtype), weights, updates, by_tensor), state


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
    _, kept = _OPTIMISERS[inner.optimiser]

    def step(
        carry: tuple[PyTree, PyTree], now: tuple[Array, Array, Array | None]
    ) -> tuple[tuple[PyTree, PyTree], None]:
        weights, state = carry
        sizes, picked, key_data = now
        key = None if key_data is None else jax.random.wrap_key_data(key_data)
        inputs, labels = all_inputs, all_labels
        if inner.own_examples:
            inputs, labels = inputs[picked], labels[picked]
        slopes = _name(gradient(weights, inputs, labels, key), "gradient")
        return descend(inner, weights, state, slopes, sizes), None

    carry = (weights, initial_state(inner, weights) if optimiser_state is None else optimiser_state)
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


def _name(tree: PyTree, name: str) -> PyTree:
    return checkpoint_name(tree, name)  # type: ignore[no-untyped-call]


def _bytes(tree: PyTree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def fraction(share: Float[Array, ""] | float, n: int) -> float:
    """The fraction of n that a float32 stands for, without float32's rounding: 0.576 and not 0.57600003."""
    return round(float(share) * n) / n


def first_step_not_finite(model: Model, data: TrainingSet, inner: InnerLoop, *, key: Array | None = None) -> int | None:
    """The first step, counted from 1, after which a weight of `train` is not finite; None where all are.

    Args:
        model: see `train`, as the others.
        data: its synthetic data.
        inner: its optimiser.
        key: random key, consumed; the same as for `train`.
    """
    weights, static = eqx.partition(model, eqx.is_inexact_array)
    gradient = loss_gradient(static, inner.loss)
    keys = None if key is None else jax.random.split(key, inner.total_steps)

    def step(carry: tuple[PyTree, PyTree], now: tuple[Array, Array, Array | None]) -> tuple[tuple[PyTree, PyTree], Any]:
        sizes, picked, key = now
        slopes = gradient(carry[0], data.inputs[picked], data.labels[picked], key)
        weights, state = descend(inner, *carry, slopes, sizes)
        return (weights, state), jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(weights)]))

    carry = (weights, initial_state(inner, weights))
    _, finite = jax.lax.scan(step, carry, (data.step_sizes, jnp.asarray(data.schedule), keys))
    lost = np.flatnonzero(~np.asarray(finite))
    return int(lost[0]) + 1 if lost.size else None


def classify(
    model: Model,
    inputs: Shaped[Array, "n *shape"],
    transform: Callable[[Array], Array],
    *,
    slice_size: int = 250,
) -> tuple[Int[Array, " n"], Bool[Array, ""]]:
    """Which class a network gives each real input; works inside jit.

    Args:
        model: the network.
        inputs: raw, (n, ...), one at least.
        transform: raw inputs -> what the network takes.
        slice_size: inputs evaluated at once, at most.

    Returns:
        The number of the largest logit of each input, and whether all logits are finite.
    """

    def answers(inputs: Array, key: Array | None) -> tuple[Array, Array]:
        logits = predict(model, transform(inputs), key=key)
        return jnp.argmax(logits, axis=-1), jnp.isfinite(logits).all()

    classes, finite = _in_slices(model, answers, (inputs,), slice_size)
    return classes, finite.all()


def _in_slices(
    model: Model,
    evaluate: Callable[..., tuple[Array, ...]],
    columns: tuple[Array, ...],
    slice_size: int,
    key: Array | None = None,
) -> list[Array]:
    """What a function gives of real inputs that may be too many to be evaluated at once.

    Args:
        model: what evaluates them: its wires decide how many that can be.
        evaluate: takes a slice of each column and a key, and gives arrays.
        columns: arrays with an entry for each input, one at least.
        slice_size: inputs evaluated at once, at most.
        key: random key, consumed; each slice has one of its own, or None where there is none.

    Returns:
        Each of the function's arrays, flattened, from all slices one after another.
    """
    n = len(columns[0])
    # States of more than 16 wires are what takes the memory: a slice has at most 256 MiB of them.
    slice_size = min(slice_size, max(1, 2**24 >> wires_needed(model)))
    whole = n - n % slice_size
    keys = None if key is None else jax.random.split(key, n // slice_size + 1)
    parts = []
    if whole:
        cut = tuple(column[:whole].reshape(-1, slice_size, *column.shape[1:]) for column in columns)
        parts.append(jax.lax.map(lambda now: evaluate(*now), (*cut, None if keys is None else keys[:-1])))
    if whole < n:
        parts.append(evaluate(*(column[whole:] for column in columns), None if keys is None else keys[-1]))
    return [jnp.concatenate([jnp.ravel(part) for part in column]) for column in zip(*parts, strict=True)]


def check_labels(inputs: Shaped[Array | np.ndarray, "..."], labels: Shaped[Array | np.ndarray, "..."]) -> None:
    """Make sure that there is one class number for each input, and an input at least.

    Raises:
        ArgumentError: there is not.
    """
    if not inputs.ndim or labels.shape != inputs.shape[:1]:
        raise ArgumentError(
            f"Argument `labels` must be one class number for each input, but had shape {labels.shape} for inputs of "
            f"shape {inputs.shape}."
        )
    if not len(inputs):
        raise ArgumentError("Argument `inputs` must be one input at least, but was none.")


def measure(
    model: Model,
    inputs: Numbers,
    labels: Numbers,
    transform: Callable[[Array], Array],
    *,
    loss: Loss = "cross_entropy",
    key: Array | None = None,
    slice_size: int = 250,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How a network does on real inputs; works inside jit.

    Args:
        model: the network.
        inputs: raw, real, (n, ...), one at least.
        labels: class numbers, integers, (n,).
        transform: raw inputs -> what the network takes.
        loss: the name of what is averaged beside.
        key: random key, consumed, for layers that take shots.
        slice_size: inputs evaluated at once, at most.

    Returns:
        The share of inputs whose largest logit is the one of their label, and their mean loss.

    Raises:
        ArgumentError: inputs that are no real numbers or none at all, or labels that are not one integer for each of
            them.
    """
    # Slices of bytes are a quarter of what they become, so that each is made real by its transform.
    inputs, labels = jnp.asarray(real_as_given("inputs", inputs)), jnp.asarray(integers("labels", labels))
    check_labels(inputs, labels)

    def sums(inputs: Array, labels: Array, key: Array | None) -> tuple[Array, Array]:
        logits = predict(model, transform(inputs), key=key)
        one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        return jnp.sum(jnp.argmax(logits, axis=-1) == labels), len(logits) * LOSSES[loss](logits, one_hot)

    counts, losses = _in_slices(model, sums, (inputs, labels), slice_size, key)
    return jnp.sum(counts) / len(inputs), jnp.sum(losses) / len(inputs)
