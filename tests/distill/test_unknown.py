"""Unknown initial weights: which networks are drawn, what is averaged over them, and what a run depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from qdistill.data import Labelled, Splits
from qdistill.data.transforms import Standardise, fit_chain
from qdistill.distill.compression import Compression
from qdistill.distill.cores import NETWORKS
from qdistill.distill.initialisation import DrawnAnew, Initialisation, drawn_names, drawn_schedule, with_drawn
from qdistill.distill.inner import InnerLoop, train
from qdistill.distill.losses import LOSSES
from qdistill.distill.objective import PerformanceMatching
from qdistill.distill.outer import Distiller, OuterLoop
from qdistill.distill.training_set import TrainingSet
from qdistill.distill.unknown import UnknownWeights, at_start
from qdistill.errors import ArgumentError
from qdistill.models import DataReuploading, Dense, QuantumLeNetArchitecture, named_weights, predict

SHAPE, CLASSES, N = (4,), 2, 6
UNKNOWN = Initialisation(weights="unknown", networks=3, validation_draws=4)


class Bent(eqx.Module):
    """A network of two layers on four features."""

    first: Dense
    last: Dense

    def __call__(self, x: Array) -> Array:
        return self.last(jnp.tanh(self.first(x)))


def build(key: Array) -> Bent:
    first, last = jax.random.split(key)
    return Bent(Dense(4, 3, "xavier_normal", key=first), Dense(3, CLASSES, "xavier_normal", key=last))


LIKE = build(jax.random.key(0))


def points(n: int, seed: int) -> Labelled:
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % CLASSES).astype(np.int32)
    centres = np.array([[1.0, 0.5, -1.0, 0.0], [-1.0, 0.0, 1.0, 0.5]])
    return Labelled((centres[labels] + generator.normal(0, 0.4, (n, 4))).astype(np.float32), labels)


@pytest.fixture(scope="module")
def splits() -> Splits:
    part = points(60, 1)
    return Splits(
        train=part,
        validation=points(30, 2),
        test=points(30, 3),
        transform=fit_chain((Standardise(),), part.inputs, 1.0),
        class_names=("a", "b"),
        name="points",
        digest="sha256:" + 64 * "0",
        ordered_digest="sha256:" + 64 * "1",
    )


def make(splits: Splits, initialisation: Initialisation = UNKNOWN, **options: Any) -> Distiller:
    inner = InnerLoop(**{"steps": 4, "optimiser": "momentum", "step_sizes": "shared"} | options.pop("inner", {}))
    fields: dict[str, Any] = {
        "compression": Compression(per_class=2, start="real"),
        "outer": OuterLoop(iterations=40, batch=16, validate_every=10),
        "build": build,
        "key": jax.random.key(7),
    }
    fields |= options
    model = fields["build"](jax.random.key(0))
    return Distiller(model, splits, inner=inner, initialisation=initialisation, **fields)


def build_double(key: Array) -> Bent:
    """In float64 from the start: a draw in float32 has other last bits where it is compiled in another program."""
    leaves, treedef = jax.tree.flatten(eqx.filter(LIKE, eqx.is_inexact_array))
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(own, leaf.shape, jnp.float64) for own, leaf in zip(keys, leaves, strict=True)]
    return eqx.combine(jax.tree.unflatten(treedef, drawn), eqx.filter(LIKE, eqx.is_inexact_array, inverse=True))


def problem(inner: InnerLoop) -> tuple[TrainingSet, Callable[[Array], tuple[Array, Array]]]:
    """Synthetic data in float64, and a way to draw real inputs."""
    generator = np.random.default_rng(5)
    data = TrainingSet(
        jnp.asarray(generator.normal(size=(N, *SHAPE))),
        jnp.asarray(generator.normal(size=(N, CLASSES))),
        jnp.asarray(generator.uniform(0.1, 0.3, (inner.total_steps, 1))),
        inner.schedule(N),
    )

    def batch(key: Array) -> tuple[Array, Array]:
        inputs = jax.random.normal(key, (8, *SHAPE), jnp.float64)
        return inputs, jax.nn.one_hot(jnp.arange(8) % CLASSES, CLASSES, dtype=jnp.float64)

    return data, batch


def unknown(inner: InnerLoop, **fields: Any) -> UnknownWeights:
    initialisation = dataclasses.replace(UNKNOWN, **fields)
    return UnknownWeights(initialisation, build_double, LIKE, inner, PerformanceMatching(), N)


def objective_by_hand(
    data: TrainingSet, model: Any, inner: InnerLoop, first: int, length: int, batch: tuple[Array, Array]
) -> Array:
    """The loss after some steps, of which those before the window are without gradient; a loop in Python."""
    weights, unravel = ravel_pytree(eqx.filter(model, eqx.is_inexact_array))
    static = eqx.filter(model, eqx.is_inexact_array, inverse=True)
    moving = jnp.zeros_like(weights)

    def loss(flat: Array, inputs: Array, labels: Array) -> Array:
        return LOSSES[inner.loss](predict(eqx.combine(unravel(flat), static), inputs), labels)

    for step in range(first + length):
        picked = jnp.asarray(data.schedule)[step]
        slope = jax.grad(loss)(weights, data.inputs[picked], data.labels[picked])
        moving = slope + (0.9 * moving if inner.optimiser == "momentum" else 0)
        weights = weights - data.step_sizes[step, 0] * moving
        if step < first:
            weights, moving = jax.lax.stop_gradient((weights, moving))
    return loss(weights, *batch)


@eqx.filter_jit
def slope_by_hand(data: TrainingSet, model: Any, inner: InnerLoop, first: int, *rest: Any) -> tuple[Array, Any]:
    def value(arrays: Any) -> Array:
        moved = eqx.combine(arrays, eqx.filter(data, eqx.is_inexact_array, inverse=True))
        return objective_by_hand(moved, model, inner, first, *rest)

    return jax.value_and_grad(value)(eqx.filter(data, eqx.is_inexact_array))


@pytest.mark.parametrize(("window", "own_examples"), [(None, False), (2, True)])
def test_the_meta_gradient_is_the_mean_of_those_of_single_networks(window: int | None, own_examples: bool) -> None:
    inner = InnerLoop(steps=3, optimiser="momentum", step_sizes="shared", own_examples=own_examples)
    with jax.enable_x64(True):
        data, batch = problem(inner)
        problem_of = unknown(inner, window=window)
        key = jax.random.key(3)
        loss, slope, pool = eqx.filter_jit(problem_of.meta_gradient)(data, LIKE, batch, None, key)
        assert pool is None
        _, key_networks = jax.random.split(key)
        losses, slopes = [], []
        for own in jax.random.split(key_networks, 3):
            key_network, key_batch, key_window = jax.random.split(own, 3)
            model, _ = problem_of.draw(LIKE, key_network)
            first = int(jax.random.randint(key_window, (), 0, 2, jnp.int32)) if window else 0

            value, gradient = slope_by_hand(data, model, inner, first, window or 3, batch(key_batch))
            losses.append(float(value))
            slopes.append(ravel_pytree(gradient)[0])
        assert len(set(losses)) == 3
        assert float(loss) == pytest.approx(np.mean(losses), abs=1e-12)
        np.testing.assert_allclose(ravel_pytree(slope)[0], np.mean(slopes, axis=0), atol=1e-12)


def test_the_gradient_through_a_window_is_that_of_finite_differences() -> None:
    """The steps before the window are run once, from the unmoved data: so is the objective a function of the data."""
    inner = InnerLoop(steps=5, optimiser="momentum", step_sizes="shared")
    with jax.enable_x64(True):
        data, batch = problem(inner)
        problem_of = unknown(inner, window=2)
        place = problem_of._train_to(data, problem_of.untrained(LIKE, jax.random.key(1)), jnp.asarray(2, jnp.int32))
        real = batch(jax.random.key(2))
        _, slope = problem_of._of_window(data, place, *real)
        flat, unravel = ravel_pytree(eqx.filter(data, eqx.is_inexact_array))
        static = eqx.filter(data, eqx.is_inexact_array, inverse=True)

        @jax.jit
        def value(numbers: Array) -> Array:
            return problem_of._of_window(eqx.combine(unravel(numbers), static), place, *real)[0]

        direction = np.random.default_rng(0).normal(size=flat.shape)
        step = 1e-5 * direction
        slope_along = float(value(flat + step) - value(flat - step)) / 2e-5
        assert float(ravel_pytree(slope)[0] @ direction) == pytest.approx(slope_along, rel=1e-7)
        assert not np.any(np.delete(np.asarray(slope.step_sizes), [2, 3], axis=0))
        assert np.all(np.asarray(slope.step_sizes)[2:4] != 0)


def test_a_window_over_the_whole_training_is_no_window() -> None:
    inner = InnerLoop(steps=3, optimiser="adam", step_sizes="shared")
    key = jax.random.key(3)
    with jax.enable_x64(True):
        data, batch = problem(inner)
        problems = [unknown(inner, window=window) for window in (None, 3)]
        both = [eqx.filter_jit(one.meta_gradient)(data, LIKE, batch, None, key) for one in problems]
        np.testing.assert_allclose(ravel_pytree(both[0])[0], ravel_pytree(both[1])[0], atol=1e-12)


def test_devices_that_share_the_networks_give_what_one_gives() -> None:
    inner = InnerLoop(steps=3, optimiser="momentum", step_sizes="shared")
    with jax.enable_x64(True):
        data, batch = problem(inner)
        problem_of = unknown(inner, networks=2, window=2, pool=3)
        _, pool = at_start(problem_of, LIKE, jax.random.split(jax.random.key(0), 2), jax.random.key(1))

        def alone(_: Any = None) -> Any:
            return eqx.filter(problem_of.meta_gradient(data, LIKE, batch, pool, jax.random.key(3)), eqx.is_array)

        expected = jax.jit(alone)()
        # vmap has the axis as `shard_map` would, on one device.
        found = jax.jit(jax.vmap(alone, axis_name=NETWORKS, axis_size=2))(jnp.arange(2))
        for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            for one in got:
                np.testing.assert_allclose(one, wanted, atol=1e-12)


def test_training_on_in_parts_is_training() -> None:
    inner = InnerLoop(steps=3, epochs=2, optimiser="adam", step_sizes="shared", own_examples=True)
    with jax.enable_x64(True):
        data, _ = problem(inner)
        problem_of = unknown(inner, order="random", window=2, pool=3)
        place = problem_of.untrained(LIKE, jax.random.key(4))
        model, schedule = problem_of.draw(LIKE, jax.random.key(4))
        whole = train(model, eqx.tree_at(lambda d: d.schedule, data, np.asarray(schedule)), inner)
        for step in (1, 4, 6):
            place = problem_of._train_to(data, place, jnp.asarray(step, jnp.int32))
        np.testing.assert_allclose(
            ravel_pytree(place.weights)[0], ravel_pytree(eqx.filter(whole, eqx.is_inexact_array))[0], atol=1e-12
        )


@pytest.fixture(scope="module")
def pooled(splits: Splits) -> Distiller:
    """With all that a state may hold."""
    fields = {"networks": 2, "window": 2, "pool": 3, "order": "random"}
    return make(splits, dataclasses.replace(UNKNOWN, **fields), inner={"own_examples": True})


def test_networks_of_a_pool_train_on_and_are_renewed(pooled: Distiller) -> None:
    state = pooled.start()
    assert np.array_equal(state.pool.step, [0, 0, 0])
    seen = []
    for _ in range(12):
        before = state.pool
        state, report = pooled.iterate(state)
        assert report.accepted
        steps = np.asarray(state.pool.step)
        moved = np.flatnonzero(steps != np.asarray(before.step))
        # Of four steps a window of two can begin at steps 0 to 2, and then the network is a new one.
        assert len(moved) == 2
        assert np.array_equal(steps[moved], (np.asarray(before.step)[moved] + 1) % 3)
        kept = np.setdiff1d(range(3), moved)
        for old, new in zip(jax.tree.leaves(before.weights), jax.tree.leaves(state.pool.weights), strict=True):
            assert np.array_equal(old[kept], new[kept])
            assert not np.array_equal(old[moved], new[moved])
        # A network keeps its order of the examples as long as it lives.
        goes_on = moved[steps[moved] > 0]
        assert np.array_equal(before.schedule[goes_on], state.pool.schedule[goes_on])
        seen.append(tuple(moved))
    assert len(set(seen)) == 3


def test_a_network_of_a_pool_that_is_no_longer_finite_is_renewed(pooled: Distiller) -> None:
    state = pooled.start()
    lost = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), state.pool.weights)
    state = eqx.tree_at(lambda s: s.pool.weights, state, lost)
    accepted = []
    for _ in range(8):
        state, report = pooled.iterate(state)
        accepted.append(bool(report.accepted))
    assert not accepted[0]
    assert accepted[-1]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.pool.weights))


def test_an_iteration_depends_on_the_state_and_the_key_alone(pooled: Distiller) -> None:
    state = pooled.start()
    for _ in range(3):
        state, _ = pooled.iterate(state)
    # As if it were read from a file.
    copied = jax.tree.map(lambda a: jnp.asarray(np.asarray(a).copy()), state)
    ends = [pooled.iterate(one)[0] for one in (state, copied)]
    assert all(map(np.array_equal, *map(jax.tree.leaves, ends)))


DRAWN: set[tuple[int, ...]] = set()


@pytest.fixture(scope="module")
def plain(splits: Splits) -> Distiller:
    """It notes the key of every network that it draws."""

    def noted(key: Array) -> Bent:
        jax.debug.callback(lambda key: DRAWN.add(tuple(np.asarray(key).tolist())), jax.random.key_data(key))
        return build(key)

    return make(splits, build=noted, outer=OuterLoop(iterations=150, batch=32, learning_rate=0.05))


def test_every_iteration_draws_other_networks_and_validation_draws_its_own(plain: Distiller) -> None:
    def drawn(what: Callable[[Any], Any], state: Any) -> tuple[Any, set[tuple[int, ...]]]:
        DRAWN.clear()
        state = what(state)[0]
        jax.block_until_ready(state)
        jax.effects_barrier()
        return state, set(DRAWN)

    state, in_validation = drawn(plain.validate, plain.start())
    assert len(in_validation) == 4
    in_training: set[tuple[int, ...]] = set()
    for _ in range(5):
        state, now = drawn(plain.iterate, state)
        in_training |= now
    assert len(in_training) == 5 * 3
    assert drawn(plain.validate, state)[1] == in_validation
    assert not in_training & in_validation


def test_validation_is_the_mean_over_its_networks(splits: Splits, plain: Distiller) -> None:
    state, _ = plain.iterate(plain.start())
    state, measured = plain.validate(state)
    accuracies = []
    for key in plain._validation_keys:
        model, _ = plain._unknown.draw(plain.model, key)
        trained = train(model, plain.training_set(state.averaged), plain.inner)
        logits = predict(trained, splits.transform(splits.validation.inputs))
        accuracies.append(float(np.mean(np.argmax(logits, axis=1) == splits.validation.labels)))
    assert measured.draws == pytest.approx(accuracies)
    assert measured.accuracy == pytest.approx(np.mean(accuracies))
    assert float(state.best_accuracy) == pytest.approx(np.mean(accuracies))
    assert len(set(accuracies)) > 1


def test_a_network_whose_training_does_not_stay_finite_is_never_right(plain: Distiller) -> None:
    start = plain.start()
    wild = eqx.tree_at(
        lambda s: s.averaged.raw_step_sizes, start, jnp.full_like(start.averaged.raw_step_sizes, jnp.inf)
    )
    _, measured = plain.validate(wild)
    assert measured.draws == (0.0,) * len(plain._validation_keys), "not the share of the class that comes first"
    assert measured.accuracy == 0
    assert np.isnan(measured.loss)


def test_what_is_distilled_teaches_networks_that_were_never_seen(plain: Distiller) -> None:
    start = state = plain.start()
    for _ in range(150):
        state, _ = plain.iterate(state)
    before, after = (plain.validate(one)[1] for one in (start, state))
    assert after.accuracy > 0.95 > before.accuracy
    assert after.loss < before.loss


def test_the_weights_that_are_not_drawn_stay_those_of_the_model() -> None:
    architecture = QuantumLeNetArchitecture(n_qubits=3, skip="none")
    one, other = (architecture.build((8, 8, 1), 2, key=jax.random.key(seed)) for seed in (0, 1))
    names = drawn_names(Initialisation(weights="unknown", drawn="quantum"), one)
    assert names == ("branch.weights", "branch.observable.coefficients")
    mixed = named_weights(with_drawn(one, other, names))
    for name, weight in mixed.items():
        assert np.array_equal(weight, named_weights(other if name in names else one)[name])
    assert drawn_names(Initialisation(weights="unknown"), one) == tuple(named_weights(one))


def test_networks_without_a_quantum_layer_have_nothing_quantum_to_draw() -> None:
    with pytest.raises(ArgumentError, match="Argument `drawn` must be 'all'"):
        drawn_names(Initialisation(weights="unknown", drawn="quantum"), build(jax.random.key(0)))


def test_each_epoch_of_a_random_order_has_every_example_once() -> None:
    inner = InnerLoop(steps=3, epochs=2, own_examples=True)
    schedule = np.asarray(drawn_schedule(inner, 6, key=jax.random.key(0)))
    assert schedule.shape == (6, 2)
    for epoch in (schedule[:3], schedule[3:]):
        assert sorted(epoch.ravel()) == list(range(6))
    other = np.asarray(drawn_schedule(inner, 6, key=jax.random.key(1)))
    assert not np.array_equal(schedule, other)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": "unknown", "networks": 0}, "`networks` must be at least 1, but was 0"),
        ({"weights": "unknown", "window": 5, "pool": 0}, "`pool` must be at least 1, but was 0"),
        ({"weights": "unknown", "window": 5, "networks": 4, "pool": 3}, "`pool` must be at least the 4 `networks`"),
        ({"weights": "unknown", "pool": 3}, "`pool` must be given together with `window`"),
        ({"networks": 3}, "`networks` must be left out where `weights` is 'known', but was 3"),
        ({"drawn": "quantum"}, "`drawn` must be left out where `weights` is 'known'"),
        ({"order": "random"}, "`order` must be left out where `weights` is 'known'"),
    ],
)
def test_what_has_no_meaning_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Initialisation(**fields)


@pytest.mark.parametrize(
    ("fields", "inner", "message"),
    [
        ({"window": 5}, {"steps": 4}, "`window` must be at most the 4 steps of the training, but was 5"),
        ({"window": 4, "pool": 3}, {"steps": 4}, "`window` must be less than the 4 steps"),
        ({"order": "random"}, {"steps": 4}, "`order` must be 'fixed' where every step sees all"),
        ({}, {"steps": 1, "optimiser": "newton", "step_sizes": "shared", "loss": "square"}, "closed form"),
    ],
)
def test_what_does_not_fit_the_training_is_refused(fields: Any, inner: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        dataclasses.replace(UNKNOWN, **fields).check(InnerLoop(**inner))


def test_weights_that_are_drawn_as_no_numbers_are_refused_before_anything_runs(splits: Splits) -> None:
    architecture = DataReuploading(spread=3e38, distribution="normal")

    def drawn(key: Array) -> Any:
        return architecture.build(SHAPE, CLASSES, key=key)

    distiller = make(splits, build=drawn)
    with pytest.raises(ArgumentError, match="must draw initial weights that are finite"):
        distiller.start()


def test_a_bundle_draws_something_and_nothing_twice() -> None:
    for weights in ((), ("a", "a")):
        with pytest.raises(ArgumentError, match="`weights` must be different names, one at least"):
            DrawnAnew(weights)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("fields", "name"), [(("abc",), "weights"), ((("a",), "Random"), "order")])
def test_a_bundle_says_in_known_words_what_it_draws(fields: Any, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"`{name}`"):
        DrawnAnew(*fields)
