"""Training on all inputs: held against plain Optax in a Python loop."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qdistill.data import Splits, source, split
from qdistill.errors import ArgumentError
from qdistill.evaluate.baselines import FullTraining, score_full_trainings, share_right, train_on_all
from qdistill.models import LeNetArchitecture, Model, predict


class Linear(eqx.Module):
    """Logits that are linear in the pixels."""

    weight: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.weight @ x.reshape(-1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(source("digits").load(), n_validation=200)


def test_it_is_adam_with_a_cosine_over_every_image_once_an_epoch(splits: Splits) -> None:
    training = FullTraining(epochs=2.0, batch=100, step_size=0.001)
    model, key = Linear(jnp.zeros((10, 784))), jax.random.key(3)
    trained = train_on_all(model, splits, training, key=key)

    n, steps = len(splits.train), training.steps(len(splits.train))
    generator = np.random.default_rng(np.asarray(jax.random.key_data(jax.random.split(key)[0])))
    orders = [generator.permutation(n) for _ in range(2)]
    inputs, labels = splits.transform(splits.train.inputs), splits.train.labels
    optimiser = optax.adam(optax.cosine_decay_schedule(0.001, steps), eps_root=1e-12)
    state, weight = optimiser.init(model.weight), model.weight
    for step in range(steps):
        order = orders[step // (n // 100)]
        picked = order[100 * (step % (n // 100)) :][:100]

        def loss(weight: jax.Array, picked: np.ndarray = picked) -> jax.Array:
            logits = inputs[picked].reshape(100, -1) @ weight.T
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[picked]).mean()

        updates, state = optimiser.update(jax.grad(loss)(weight), state)
        weight = optax.apply_updates(weight, updates)
    np.testing.assert_allclose(trained.weight, weight, atol=1e-4)
    assert share_right(trained, splits, "test") > 0.85


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize(("warm_up", "steps"), [(0.0, 1), (0.0, 7), (0.3, 10), (0.99, 3)])
def test_step_sizes_rise_to_the_largest_and_fall_to_zero(schedule: str, warm_up: float, steps: int) -> None:
    sizes = FullTraining(step_size=0.5, warm_up=warm_up, schedule=schedule).step_sizes(steps)
    rising = int(warm_up * steps)
    assert sizes.shape == (steps,)
    assert sizes[rising] == sizes.max() == 0.5
    assert (sizes > 0).all()
    assert (np.diff(sizes[: rising + 1]) > 0).all()
    assert (np.diff(sizes[rising:]) < 0).all()
    optaxs = {"linear": optax.linear_schedule(0.5, 0.0, steps - rising), "cosine": optax.cosine_decay_schedule}
    falling = optaxs["linear"] if schedule == "linear" else optaxs["cosine"](0.5, steps - rising)
    np.testing.assert_allclose(sizes[rising:], [falling(i) for i in range(steps - rising)], rtol=1e-5)


def test_mirrored_inputs_are_seen_on_average_half_the_time(splits: Splits) -> None:
    # One step over all inputs: its update is the mean over both ways round, but for which inputs came how.
    training = FullTraining(
        epochs=1.0, batch=len(splits.train), optimiser="gradient_descent", step_size=1.0, mirror=True
    )
    model = Linear(jnp.zeros((10, 784)))
    both = train_on_all(model, splits, training, key=jax.random.key(0))
    gradient = np.asarray(both.weight).reshape(10, 28, 28)
    inputs = np.asarray(splits.transform(splits.train.inputs))[..., 0]
    target = np.eye(10)[splits.train.labels] - 0.1
    plain = np.einsum("nc,nhw->chw", target, inputs) / len(inputs)
    np.testing.assert_allclose(gradient, (plain + plain[:, :, ::-1]) / 2, atol=0.05)


def test_shares_are_numpys(splits: Splits) -> None:
    model: Model = Linear(jax.random.normal(jax.random.key(1), (10, 784)))
    logits = predict(model, splits.transform(splits.validation.inputs))
    right = (np.asarray(logits).argmax(axis=1) == splits.validation.labels).mean()
    assert share_right(model, splits, "validation") == pytest.approx(right)


def test_a_part_of_an_epoch(splits: Splits) -> None:
    assert FullTraining(epochs=0.5, batch=100).steps(1197) == round(0.5 * 11)
    assert FullTraining(epochs=1e-6, batch=100).steps(1197) == 1
    model = Linear(jnp.zeros((10, 784)))
    half, whole = (
        train_on_all(model, splits, FullTraining(epochs=e, batch=100), key=jax.random.key(0)) for e in (0.5, 1.0)
    )
    assert 0 < float(jnp.abs(half.weight).sum()) < float(jnp.abs(whole.weight).sum())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0.0}, r"`epochs` must be above 0, but was 0\.0\."),
        ({"batch": 0}, r"`batch` must be at least 1, but was 0\."),
        ({"step_size": float("nan")}, "`step_size` must be finite"),
        ({"warm_up": 1.0}, r"`warm_up` must be in \[0, 1\), but was 1\.0"),
        ({"schedule": "halving"}, "`schedule` must be one of cosine, linear, but was 'halving'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_values(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        FullTraining(**fields)


def test_a_batch_beyond_the_training_part(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match=r"`batch` must be at most the 1.* training inputs, but was 5000"):
        train_on_all(Linear(jnp.zeros((10, 784))), splits, FullTraining(batch=5000), key=jax.random.key(0))


def test_seeds_together_are_what_each_is_alone(splits: Splits) -> None:
    architecture, training = LeNetArchitecture(width=12), FullTraining(epochs=1.0, batch=200)
    together = score_full_trainings(architecture, splits, training, seeds=(0, 1, 2))
    for seed, score in enumerate(together):
        (alone,) = score_full_trainings(architecture, splits, training, seeds=(seed,))
        assert score.validation_accuracy == alone.validation_accuracy
        assert score.test_accuracy == alone.test_accuracy
    assert len({score.test_accuracy for score in together}) > 1
    assert together[0].gpu_seconds is None or jax.default_backend() != "cpu"
    assert together[0].inputs_seen == 200 * (len(splits.train) // 200)


def test_a_training_that_cannot_be_is_an_error_from_any_seed(splits: Splits) -> None:
    with pytest.raises(ArgumentError, match="`batch` must be at most"):
        score_full_trainings(LeNetArchitecture(), splits, FullTraining(batch=5000), seeds=(0, 1))
