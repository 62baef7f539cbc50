"""The outer loop: what one iteration does, what it depends on, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from qdistill.data import Labelled, Splits
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.outer import Distiller, OuterLoop
from qdistill.distill.outer_state import OuterState
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError
from qdistill.models import Dense, QuantumLeNetArchitecture
from qdistill.quantum import Execution, on_device

SHAPE, CLASSES = (3, 4, 1), 3


class Linear(eqx.Module):
    """Logits that are affine in the pixels."""

    dense: Dense

    @classmethod
    def draw(cls) -> Linear:
        return cls(Dense(math.prod(SHAPE), CLASSES, "xavier_normal", key=jax.random.key(11)))

    def __call__(self, x: Array) -> Array:
        return self.dense(x.reshape(-1))


def blobs(n: int, seed: int) -> Labelled:
    """Noisy inputs of three patterns; no two are equal, and no pattern is symmetric."""
    generator = np.random.default_rng(seed)
    patterns = np.random.default_rng(0).uniform(40, 200, (CLASSES, *SHAPE))
    labels = (np.arange(n) % CLASSES).astype(np.int32)
    inputs = patterns[labels] + generator.normal(0, 15, (n, *SHAPE))
    return Labelled(np.clip(inputs, 0, 255).astype(np.uint8), labels)


@pytest.fixture(scope="module")
def splits() -> Splits:
    train = blobs(60, 1)
    return Splits(
        train=train,
        validation=blobs(30, 2),
        test=blobs(30, 3),
        transform=fit_chain((Standardise(),), train.inputs, 255.0),
        class_names=("a", "b", "c"),
        name="blobs",
        digest="sha256:" + 64 * "0",
        ordered_digest="sha256:" + 64 * "1",
    )


@dataclass(frozen=True)
class Fixed:
    """A meta-objective with a given loss and gradient: the gradient's norm, spread evenly over the inputs."""

    norm: float
    loss: float = 1.0

    def value_and_gradient(
        self, data: TrainingSet, model: Any, inner: InnerLoop, inputs: Array, labels: Array
    ) -> tuple[Array, TrainingSet]:
        zero = jax.tree.map(jnp.zeros_like, eqx.filter(data, eqx.is_inexact_array))
        slope = jnp.full_like(data.inputs, self.norm / math.sqrt(data.inputs.size))
        return jnp.asarray(self.loss), eqx.tree_at(lambda d: d.inputs, zero, slope)


@dataclass(frozen=True)
class ShowBatch:
    """A meta-objective whose gradient is the real batch, so that a step of -1 puts it among what is learned."""

    def value_and_gradient(
        self, data: TrainingSet, model: Any, inner: InnerLoop, inputs: Array, labels: Array
    ) -> tuple[Array, TrainingSet]:
        n = len(data.inputs)
        zero = jax.tree.map(jnp.zeros_like, eqx.filter(data, eqx.is_inexact_array))
        difference = data.inputs - inputs[:n], data.labels - labels[:n]
        gradient = eqx.tree_at(lambda d: (d.inputs, d.labels), zero, difference)
        return jnp.zeros(()), gradient


START, INNER = Compression(step_size=0.1), InnerLoop(steps=2, step_sizes="tensor")
OUTER = OuterLoop(iterations=50, batch=16, learning_rate=0.05)


def make(
    splits: Splits,
    compression: Compression = START,
    inner: InnerLoop = INNER,
    outer: OuterLoop = OUTER,
    *,
    objective: Any = None,
    optimiser: Any = None,
    seed: int = 0,
) -> Distiller:
    """A distiller for the three patterns."""
    return Distiller(
        Linear.draw(),
        splits,
        compression=compression,
        inner=inner,
        outer=outer,
        objective=objective,
        optimiser=optimiser,
        key=jax.random.key(seed),
    )


def stepping(splits: Splits, objective: Any, **options: Any) -> Distiller:
    """A distiller whose every update is the meta-gradient of the given objective itself."""
    outer = dataclasses.replace(OUTER, **options)
    return make(splits, outer=outer, objective=objective, optimiser=optax.sgd(1.0))


def equal(one: Any, other: Any) -> bool:
    """Whether two trees hold the same bits."""
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def several(distiller: Distiller, state: OuterState, n: int) -> tuple[OuterState, list[Any]]:
    reports = []
    for _ in range(n):
        state, report = distiller.iterate(state)
        reports.append(report)
    return state, reports


@pytest.fixture(scope="module")
def plain(splits: Splits) -> Distiller:
    """The distiller that most tests share, compiled once."""
    return make(splits)


def test_a_key_decides_everything(splits: Splits, plain: Distiller) -> None:
    again, other = make(splits), make(splits, seed=1)
    state, reports = several(plain, plain.start(), 3)
    state_again, reports_again = several(again, again.start(), 3)
    assert equal((state, reports), (state_again, reports_again))
    assert not equal(plain.start().learned.inputs, other.start().learned.inputs)
    assert int(state.iteration) == 3


def test_an_iteration_depends_on_the_state_and_the_key_alone(splits: Splits, plain: Distiller) -> None:
    third, _ = several(plain, plain.start(), 3)
    fourth, report = plain.iterate(third)
    # A new object that has iterated something else before.
    again = make(splits)
    several(again, again.start(), 1)
    assert equal(again.iterate(third), (fourth, report))


@dataclass
class Counting:
    """Performance matching that counts how often it is compiled."""

    times: int = 0

    def value_and_gradient(self, *arguments: Any) -> tuple[Array, TrainingSet]:
        self.times += 1
        return PerformanceMatching().value_and_gradient(*arguments)


def test_an_iteration_is_compiled_once(splits: Splits) -> None:
    objective = Counting()
    distiller = make(splits, objective=objective)
    state = distiller.start()
    for _ in range(3):
        state, _ = distiller.iterate(state)
        state, _ = distiller.validate(state)
    # What a checkpoint gives back.
    state = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), state)
    distiller.iterate(state)
    assert objective.times == 1


def test_the_loss_goes_down_and_the_network_learns(splits: Splits, plain: Distiller) -> None:
    state = plain.start()
    state, first = plain.validate(state)
    before = first.accuracy
    state, reports = several(plain, state, 50)
    losses = [float(report.loss) for report in reports]
    assert all(report.accepted for report in reports)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    state, last = plain.validate(state)
    after = last.accuracy
    assert last.loss < first.loss
    assert last.coefficient_norm is None  # a network without Hermitians
    assert after > max(0.9, before)
    assert (float(state.best_accuracy), int(state.best_iteration)) == (pytest.approx(after), 50)


def test_it_starts_from_noise_one_hot_labels_and_the_given_step_size(splits: Splits) -> None:
    distiller = make(
        splits,
        Compression(per_class=40, step_size=0.02),
        InnerLoop(steps=3, epochs=2, step_sizes="tensor"),
    )
    learned = distiller.start().learned
    assert learned.inputs.shape == (120, *SHAPE)
    assert abs(float(learned.inputs.mean())) < 0.1
    assert float(learned.inputs.std()) == pytest.approx(1, abs=0.1)
    assert np.array_equal(learned.labels, np.eye(CLASSES)[np.arange(120) % CLASSES])
    data = distiller.training_set(learned)
    assert data.step_sizes.shape == (6, 2)
    np.testing.assert_allclose(data.step_sizes, 0.02, rtol=1e-5)
    assert np.array_equal(data.schedule, np.tile(np.arange(120), (6, 1)))


@pytest.mark.parametrize("step_size", [1e-6, 1.0, 50.0, 1e4])
def test_step_sizes_of_any_size_can_be_started_from(splits: Splits, step_size: float) -> None:
    distiller = make(splits, Compression(step_size=step_size))
    sizes = distiller.training_set(distiller.start().learned).step_sizes
    np.testing.assert_allclose(sizes, step_size, rtol=1e-5)


def test_it_starts_from_different_real_inputs_of_the_right_classes(splits: Splits) -> None:
    distiller = make(splits, Compression(per_class=5, start="real"))
    learned = distiller.start().learned
    known = np.asarray(splits.transform(splits.train.inputs))
    matches = [np.flatnonzero((known == x).all(axis=(1, 2, 3))) for x in np.asarray(learned.inputs)]
    assert all(len(match) == 1 for match in matches)
    assert len({int(match[0]) for match in matches}) == 15
    assert [int(splits.train.labels[match[0]]) for match in matches] == np.argmax(learned.labels, axis=1).tolist()
    other = make(splits, Compression(per_class=5, start="real"), seed=1).start().learned
    assert not np.array_equal(learned.inputs, other.inputs)


def test_more_real_inputs_than_there_are_cannot_be_started_from(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match=r"at most the 20 training inputs of class 0 .*, but asked for 21\."):
        make(splits, Compression(per_class=21, start="real")).start()


@pytest.mark.parametrize("start", ["noise", "real", "class_means", "k_centre"])
@pytest.mark.parametrize("examples", [1, 2, 3, 4, 7])
def test_any_number_of_examples(splits: Splits, examples: int, start: Any) -> None:
    distiller = make(splits, Compression(per_class=9, examples=examples, start=start))
    learned = distiller.start().learned
    labels = np.asarray(learned.labels)
    assert learned.inputs.shape == (examples, *splits.input_shape)
    assert distiller.schedule.shape[1] == examples
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    # Every class is in a label; one-hot where there is an example for each.
    assert (labels.sum(axis=0) > 0).all()
    assert labels.argmax(axis=1).tolist() == [k % 3 for k in range(examples)]
    assert (labels.max(axis=1) == 1).all() == (examples >= 3)


def test_a_multiple_of_the_classes_is_so_many_of_each(splits: Splits) -> None:
    one, other = (make(splits, c).start().learned for c in (Compression(examples=6), Compression(per_class=2)))
    assert np.array_equal(one.inputs, other.inputs)
    assert np.array_equal(one.labels, other.labels)


def test_examples_that_there_cannot_be(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match="`examples` must be at least 1, but was 0"):
        Compression(examples=0)
    with pytest.raises(ArgumentError, match=r"`labels` must be 'learned' .* 2 for 3, but was 'fixed'"):
        make(splits, Compression(examples=2, labels="fixed"))


def shown_batch(splits: Splits, *, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """The normalised inputs and the labels of one iteration's real batch."""
    outer = dataclasses.replace(OUTER, batch=120, mirror=mirror, clip=0.0)
    distiller = make(splits, Compression(per_class=40), outer=outer, objective=ShowBatch(), optimiser=optax.sgd(1.0))
    state, _ = distiller.iterate(distiller.start())
    return np.asarray(state.learned.inputs), np.asarray(state.learned.labels)


def distance_to(known: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Of each input to each known one, the largest difference of a pixel."""
    return np.abs(inputs[:, None] - known[None]).max(axis=(2, 3, 4))


def test_a_batch_is_of_normalised_training_images_with_their_labels(splits: Splits) -> None:
    inputs, labels = shown_batch(splits, mirror=False)
    distances = distance_to(np.asarray(splits.transform(splits.train.inputs)), inputs)
    assert distances.min(axis=1).max() < 1e-5
    found = distances.argmin(axis=1)
    np.testing.assert_allclose(labels, np.eye(CLASSES)[splits.train.labels[found]], atol=1e-6)
    assert len(set(found.tolist())) > 40, "120 draws of 60 inputs with replacement"


def test_mirroring_flips_about_half_of_a_batch_left_to_right(splits: Splits) -> None:
    inputs, labels = shown_batch(splits, mirror=True)
    known = np.asarray(splits.transform(splits.train.inputs))
    straight, flipped = distance_to(known, inputs), distance_to(known[:, :, ::-1], inputs)
    is_flipped = flipped.min(axis=1) < straight.min(axis=1)
    assert 0.3 < is_flipped.mean() < 0.7
    distances = np.where(is_flipped[:, None], flipped, straight)
    assert distances.min(axis=1).max() < 1e-5
    np.testing.assert_allclose(labels, np.eye(CLASSES)[splits.train.labels[distances.argmin(axis=1)]], atol=1e-6)


def step_length(before: OuterState, after: OuterState) -> float:
    return float(jnp.linalg.norm(after.learned.inputs - before.learned.inputs))


def test_the_meta_gradient_is_clipped_at_a_multiple_of_its_running_mean(splits: Splits) -> None:
    def with_norm(norm: float) -> Distiller:
        return stepping(splits, Fixed(norm), clip=2.0)

    start = with_norm(3.0).start()
    first, report = with_norm(3.0).iterate(start)
    assert step_length(start, first) == pytest.approx(3, rel=1e-4), "the first one sets the scale"
    assert (float(report.norm), float(first.norm)) == (pytest.approx(3), pytest.approx(3))

    second, report = with_norm(100.0).iterate(first)
    assert step_length(first, second) == pytest.approx(6, rel=1e-4), "twice the mean of 3"
    assert float(report.norm) == pytest.approx(100), "what is told is the norm before clipping"
    assert float(second.norm) == pytest.approx(0.9 * 3 + 0.1 * 6)

    third, _ = with_norm(1.0).iterate(second)
    assert step_length(second, third) == pytest.approx(1, rel=1e-4), "below the limit nothing happens"
    assert float(third.norm) == pytest.approx(0.9 * 3.3 + 0.1)


def test_without_clipping_any_meta_gradient_is_followed(splits: Splits) -> None:
    small, large = (stepping(splits, Fixed(norm), clip=0.0) for norm in (3.0, 100.0))
    first, _ = small.iterate(small.start())
    second, _ = large.iterate(first)
    assert step_length(first, second) == pytest.approx(100, rel=1e-4)


@pytest.mark.parametrize("clip", [0.0, 2.0])
def test_a_meta_gradient_of_zero_changes_nothing(splits: Splits, clip: float) -> None:
    distiller = stepping(splits, Fixed(0.0), clip=clip)
    start = distiller.start()
    state, reports = several(distiller, start, 2)
    assert equal(state.learned, start.learned)
    assert all(report.accepted for report in reports)


def test_the_moving_average_forgets_the_start_first(splits: Splits) -> None:
    distiller = stepping(splits, Fixed(1.0), average=0.15)
    state = distiller.start()
    expected = np.asarray(state.learned.inputs)
    for iteration in range(4):
        state, _ = distiller.iterate(state)
        decay = min(0.15, (1 + iteration) / (10 + iteration))
        expected = decay * expected + (1 - decay) * np.asarray(state.learned.inputs)
        np.testing.assert_allclose(state.averaged.inputs, expected, atol=1e-5)


def test_without_a_moving_average_the_last_data_is_kept(splits: Splits) -> None:
    distiller = stepping(splits, Fixed(1.0), average=0.0)
    state, _ = several(distiller, distiller.start(), 2)
    assert equal(state.averaged, state.learned)


def test_fixed_inputs_stay_as_they_start(splits: Splits) -> None:
    compression = dataclasses.replace(START, inputs="fixed", start="real")
    distiller = make(splits, compression, outer=dataclasses.replace(OUTER, optimiser="adamw"))
    start = distiller.start()
    state, _ = several(distiller, start, 3)
    assert np.array_equal(state.averaged.inputs, start.learned.inputs)
    assert not np.array_equal(state.averaged.labels, start.learned.labels)


@pytest.mark.parametrize("optimiser", ["adamw", "lion", "rmsprop", "sgd"])
def test_fixed_labels_stay_one_hot_and_the_rest_is_learned(splits: Splits, optimiser: str) -> None:
    compression = dataclasses.replace(START, labels="fixed")
    distiller = make(splits, compression, outer=dataclasses.replace(OUTER, optimiser=optimiser))
    start = distiller.start()
    state, reports = several(distiller, start, 3)
    assert all(report.accepted for report in reports)
    for learned in (state.learned, state.averaged):
        assert np.array_equal(learned.labels, np.eye(CLASSES))
        assert not np.array_equal(learned.inputs, start.learned.inputs)
        assert not np.array_equal(learned.raw_step_sizes, start.learned.raw_step_sizes)


def test_learned_labels_move(plain: Distiller) -> None:
    state, _ = plain.iterate(plain.start())
    assert not np.array_equal(state.learned.labels, np.eye(CLASSES))


def without_counters(state: OuterState) -> OuterState:
    counters = ("iteration", "rejected", "rejected_total")
    return dataclasses.replace(state, **dict.fromkeys(counters, jnp.zeros((), jnp.int32)))


def test_what_is_not_finite_is_rejected_and_counted(plain: Distiller) -> None:
    good, _ = several(plain, plain.start(), 2)
    bad = eqx.tree_at(lambda s: s.learned.inputs, good, good.learned.inputs.at[0].set(jnp.inf))
    first, report = plain.iterate(bad)
    second, _ = plain.iterate(first)
    assert not report.accepted
    assert not np.isfinite(report.loss)
    assert equal(without_counters(second), without_counters(bad))
    assert [int(count) for count in (second.iteration, second.rejected, second.rejected_total)] == [4, 2, 2]

    healed = eqx.tree_at(lambda s: s.learned, second, good.learned)
    third, report = plain.iterate(healed)
    assert report.accepted
    assert [int(count) for count in (third.iteration, third.rejected, third.rejected_total)] == [5, 0, 2]


def test_a_step_size_that_blows_up_is_rejected(plain: Distiller) -> None:
    start = plain.start()
    bad = eqx.tree_at(lambda s: s.learned.raw_step_sizes, start, jnp.full_like(start.learned.raw_step_sizes, 1e38))
    state, report = plain.iterate(bad)
    assert not report.accepted
    assert equal(state.learned, bad.learned)
    assert float(state.norm) == 0


@pytest.mark.parametrize(("norm", "loss"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, -math.inf)])
def test_both_the_loss_and_its_gradient_must_be_finite(splits: Splits, norm: float, loss: float) -> None:
    distiller = make(splits, objective=Fixed(norm, loss))
    start = distiller.start()
    state, report = distiller.iterate(start)
    assert not report.accepted
    assert equal(without_counters(state), without_counters(start))


def test_validation_keeps_the_best_averaged_data(splits: Splits, plain: Distiller) -> None:
    start = plain.start()
    trained, _ = several(plain, start, 50)
    state, validation = plain.validate(trained)
    accuracy = validation.accuracy
    assert equal(state.best, trained.averaged)
    assert (float(state.best_accuracy), int(state.best_iteration)) == (pytest.approx(accuracy), 50)

    worse = eqx.tree_at(lambda s: (s.averaged, s.iteration), state, (start.learned, jnp.asarray(60, jnp.int32)))
    state_after, validation_after = plain.validate(worse)
    assert validation_after.accuracy < accuracy
    assert equal(
        (state_after.best, state_after.best_accuracy, state_after.best_iteration),
        (state.best, state.best_accuracy, state.best_iteration),
    )
    # A tie keeps the earlier one.
    tied = eqx.tree_at(lambda s: (s.averaged, s.iteration), state, (trained.averaged, jnp.asarray(70, jnp.int32)))
    assert int(plain.validate(tied)[0].best_iteration) == 50


def test_what_is_not_finite_is_never_the_best(plain: Distiller) -> None:
    start = plain.start()
    lost = eqx.tree_at(lambda s: s.averaged.inputs, start, start.averaged.inputs.at[0].set(jnp.nan))
    after, validation = plain.validate(lost)
    assert not np.isfinite(validation.loss)
    assert after.best_accuracy == start.best_accuracy == -1


def test_validation_accuracy_is_that_of_a_network_trained_by_hand(splits: Splits, plain: Distiller) -> None:
    state, _ = several(plain, plain.start(), 5)
    _, validation = plain.validate(state)
    accuracy = validation.accuracy
    data = jax.tree.map(np.asarray, plain.training_set(state.averaged))
    dense = Linear.draw().dense
    weight, bias = np.asarray(dense.weight, float), np.asarray(dense.bias, float)
    pixels = data.inputs.reshape(len(data.inputs), -1).astype(float)
    for weight_size, bias_size in data.step_sizes:
        logits = pixels @ weight.T + bias
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        slope = (data.labels.sum(axis=1, keepdims=True) * p - data.labels) / len(pixels)
        weight, bias = weight - weight_size * slope.T @ pixels, bias - bias_size * slope.sum(axis=0)
    inputs = np.asarray(splits.transform(splits.validation.inputs)).reshape(len(splits.validation), -1)
    right = (inputs @ weight.T + bias).argmax(axis=1) == splits.validation.labels
    assert accuracy == pytest.approx(right.mean())


def test_the_test_part_is_not_read(splits: Splits, plain: Distiller) -> None:
    other = make(dataclasses.replace(splits, test=Labelled(splits.test.inputs[::-1] // 2, splits.test.labels)))
    states = []
    for distiller in (plain, other):
        state, _ = several(distiller, distiller.start(), 2)
        states.append(distiller.validate(state)[0])
    assert equal(*states)


def test_the_learning_rate_follows_its_schedule() -> None:
    at = [0, 250, 499, 500, 999]
    constant = OuterLoop(iterations=1000, learning_rate=0.2, schedule="constant").learning_rates()
    assert [float(constant(i)) for i in at] == pytest.approx([0.2] * 5)
    cosine = OuterLoop(iterations=1000, learning_rate=0.2, schedule="cosine").learning_rates()
    expected = [0.1 * (1 + math.cos(math.pi * i / 1000)) for i in at]
    assert [float(cosine(i)) for i in at] == pytest.approx(expected, rel=1e-5, abs=1e-7)
    halving = OuterLoop(iterations=1000, learning_rate=0.2, schedule="halving").learning_rates()
    assert [float(halving(i)) for i in at] == pytest.approx([0.2 * 0.5**k for k in (0, 2, 4, 5, 9)])
    warm = OuterLoop(iterations=1000, learning_rate=0.2, schedule="cosine", warm_up=0.25).learning_rates()
    expected = [0.0, 0.1, *(0.1 * (1 + math.cos(math.pi * (i - 250) / 750)) for i in (250, 500, 999))]
    assert [float(warm(i)) for i in (0, 125, 250, 500, 999)] == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("iterations", [1, 4, 15, 19, 600])
def test_halving_has_ten_levels_for_any_number_of_iterations(iterations: int) -> None:
    rates = jax.vmap(OuterLoop(iterations=iterations, learning_rate=1.0, schedule="halving").learning_rates())
    expected = [0.5 ** math.floor(10 * i / iterations) for i in range(iterations)]
    np.testing.assert_allclose(rates(jnp.arange(iterations)), expected, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Compression, {"per_class": 0}, r"`per_class` must be at least 1, but was 0\."),
        (Compression, {"labels": "soft"}, "`labels` must be one of fixed, learned, but was 'soft'"),
        (Compression, {"inputs": "frozen"}, "`inputs` must be one of fixed, learned, but was 'frozen'"),
        (Compression, {"start": "reel"}, "Did you mean 'real'"),
        (Compression, {"step_size": 0.0}, r"`step_size` must be above 0, but was 0\.0"),
        (Compression, {"step_size": math.inf}, "`step_size` must be finite"),
        (Compression, {"step_size": math.nan}, "`step_size` must be finite"),
        (OuterLoop, {"iterations": 0}, r"`iterations` must be at least 1, but was 0\."),
        (OuterLoop, {"batch": 0}, r"`batch` must be at least 1, but was 0\."),
        (OuterLoop, {"validate_every": 0}, r"`validate_every` must be at least 1, but was 0\."),
        (OuterLoop, {"max_rejected": 0}, r"`max_rejected` must be at least 1, but was 0\."),
        (OuterLoop, {"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        (OuterLoop, {"learning_rate": math.nan}, "`learning_rate` must be finite"),
        (OuterLoop, {"learning_rate": math.inf}, "`learning_rate` must be finite"),
        (OuterLoop, {"clip": -1.0}, r"`clip` must be 0 or at least 1, but was -1\.0"),
        (OuterLoop, {"clip": 0.5}, r"`clip` must be 0 or at least 1, but was 0\.5"),
        (OuterLoop, {"clip": math.nan}, "`clip` must be finite"),
        (OuterLoop, {"average": 1.0}, r"`average` must be in \[0, 1\), but was 1\.0"),
        (OuterLoop, {"average": math.nan}, "`average` must be finite"),
        (OuterLoop, {"warm_up": 1.0}, r"`warm_up` must be in \[0, 1\), but was 1\.0"),
        (OuterLoop, {"warm_up": -0.1}, r"`warm_up` must be in \[0, 1\), but was -0\.1"),
        (OuterLoop, {"warm_up": math.nan}, "`warm_up` must be finite"),
        (OuterLoop, {"optimiser": "adma"}, "Did you mean 'adam'"),
        (OuterLoop, {"schedule": "linear"}, "`schedule` must be one of constant, cosine, halving"),
    ],
)
def test_what_has_no_meaning_is_rejected(kind: type, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        kind(**fields)


def test_shots_without_derivatives_are_refused(splits: Splits, plain: Distiller) -> None:
    model = QuantumLeNetArchitecture(n_qubits=2, n_layers=1).build(
        splits.input_shape, splits.n_classes, key=jax.random.key(0)
    )
    noisy = on_device(model, Execution(shots=10))
    with pytest.raises(ArgumentError, match="Argument `model` must take its shots by the estimator 'gaussian'"):
        Distiller(
            noisy, splits, compression=plain.compression, inner=plain.inner, outer=plain.outer, key=jax.random.key(0)
        )


def test_inputs_that_cannot_be_shared_out_are_named_before_anything_runs(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match="`steps` must divide the 3 synthetic examples"):
        make(splits, inner=InnerLoop(steps=2, own_examples=True))
