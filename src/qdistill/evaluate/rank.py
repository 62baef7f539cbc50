"""Which of many circuits is best: each is trained on a few distilled examples, and scored on the validation part.

Beside it, at the same number of circuits, are trainings on real inputs: on a random subset of as many as there are
distilled ones, and on ones that are new in every step. `evaluate.agreement` holds any of these rankings against that of
full training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from qdistill.data import Labelled, Splits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import ArgumentError, BundleError
from qdistill.evaluate.baselines import FullTraining
from qdistill.evaluate.cost import settings, training_circuits
from qdistill.evaluate.protocol import check_draws
from qdistill.evaluate.side_by_side import Examples, accuracies, count_weights, draw_networks, trained
from qdistill.evaluate.transfer import structures
from qdistill.fields import check_fields, check_seed
from qdistill.models import Architecture, Model, structure
from qdistill.quantum import layer_calls

Way = Literal["distilled", "distilled_adam", "subset", "short", "full"]

WAYS: dict[Way, str] = {
    "distilled": "distilled examples, their steps",
    "distilled_adam": "distilled examples, Adam",
    "subset": "as many random real inputs, Adam",
    "short": "real inputs new in each step, Adam",
    "full": "full training",
}
"""How they are called."""

RATES = (0.02, 0.05, 0.1, 0.2)
"""Learning rates of Adam in short trainings, of which the best over all candidates is taken, uncounted."""

DRAWS = 5
"""Networks of each candidate, where nobody says how many."""


@dataclass(frozen=True)
class RealTraining:
    """The full training that a ranking is held against: Adam, along a cosine to zero.

    Args:
        steps: gradient steps.
        batch: real inputs a step; all where there are fewer.
        rate: the largest learning rate.
    """

    steps: int = 1000
    batch: int = 32
    rate: float = 0.02

    def __post_init__(self) -> None:
        """Check the fields, and what their types do not say."""
        check_fields(self)
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"Argument `{name}` must be at least 1, but was {getattr(self, name)}.")
        if self.rate <= 0:
            raise ArgumentError(f"Argument `rate` must be above 0, but was {self.rate}.")


@dataclass(frozen=True)
class Score:
    """What a candidate reached in one way to train it.

    Args:
        network: its name.
        way: of `WAYS`.
        rate: the learning rate of Adam; None in the bundle's steps.
        n_weights: trained numbers of the network.
        circuits: of all draws by the parameter-shift rule, as `evaluate.cost` counts them, with those that score it.
        validation: its accuracies on the validation part, one a draw.
        test: the same on the test part, of full trainings only.
    """

    network: str
    way: Way
    rate: float | None
    n_weights: int
    circuits: int
    validation: tuple[float, ...]
    test: tuple[float, ...] = ()


def check_candidates(
    candidates: Mapping[str, Architecture], input_shape: tuple[int, ...], n_classes: int
) -> dict[str, Model]:
    """The structure of each candidate, without weights.

    Raises:
        ArgumentError: fewer than two, or one that does not read such inputs, has no readout for the classes, has no
            quantum layer or is solved at once.
    """
    if len(candidates) < 2:
        raise ArgumentError(f"Argument `circuits` must be two at least to be ranked, but was {len(candidates)}.")
    return structures(candidates, input_shape, n_classes, "circuits")


def rank(
    bundle: DistilledDataset,
    candidates: Mapping[str, Architecture],
    splits: Splits,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    with_real: bool = False,
) -> Iterator[Score]:
    """Train each candidate on a bundle's examples, from unseen draws, and score it on the validation part.

    All candidates take the same step sizes: where a bundle has one for each weight tensor of its own network, the mean
    over them.

    Args:
        bundle: for unknown initial weights.
        candidates: by name, two at least.
        splits: real inputs, under the bundle's transform.
        draws: networks of each candidate.
        seed: decides the draws, and the real inputs.
        with_real: also train on distilled examples with Adam, and on real inputs in the two ways with as many circuits,
            at each of `RATES`.

    Returns:
        The scores, candidate by candidate.

    Raises:
        ArgumentError: what `check_candidates` refuses, or initial weights that are not finite.
        BundleError: the bundle is for known initial weights.
    """
    check_bundle(bundle)
    draws, seed = check_draws(draws), check_seed(seed)
    models = check_candidates(candidates, bundle.input_shape, bundle.n_classes)
    return _scores(bundle, candidates, models, splits, draws, seed, with_real)


def check_bundle(bundle: DistilledDataset) -> None:
    """Make sure that a bundle's examples are for any network.

    Raises:
        BundleError: they are for known initial weights, or support points.
    """
    if bundle.drawn_anew is None:
        raise BundleError(
            "The bundle is for known initial weights, from which no other circuit starts, so it ranks none. Distil one "
            "with `--initialisation unknown`."
        )


def _scores(
    bundle: DistilledDataset,
    candidates: Mapping[str, Architecture],
    models: Mapping[str, Model],
    splits: Splits,
    draws: int,
    seed: int,
    with_real: bool,
) -> Iterator[Score]:
    key_weights, key_inputs = jax.random.split(_key(seed, 0))
    examples = _in_own_steps(bundle, draws)
    real = {} if not with_real else _with_adam(bundle, splits, draws, _generator(key_inputs))
    adam = InnerLoop(optimiser="adam", step_sizes="shared", loss=bundle.inner.loss)
    validation = _read(splits, splits.validation)
    for name, architecture in candidates.items():
        networks = draw_networks(
            name, architecture, bundle.input_shape, bundle.n_classes, jax.random.split(key_weights, draws)
        )
        circuits = draws * _circuits(models[name], bundle.input_shape, examples.seen, len(splits.validation))
        n_weights = count_weights(models[name])
        found = accuracies(trained(networks, examples, bundle.inner), *validation)
        yield Score(name, "distilled", None, n_weights, circuits, found)
        many = networks.picked(np.tile(np.arange(draws), len(RATES)))
        for way, own in real.items():
            found = accuracies(trained(many, own, adam), *validation)
            for place, rate in enumerate(RATES):
                yield Score(name, way, rate, n_weights, circuits, found[place * draws : (place + 1) * draws])


def train_fully(
    candidates: Mapping[str, Architecture],
    splits: Splits,
    training: RealTraining,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Iterator[Score]:
    """Train each candidate on the training part, from draws that are others than those of `rank`.

    Args:
        candidates: by name.
        splits: real inputs.
        training: how.
        draws: networks of each candidate.
        seed: decides the draws, and the order of the inputs, which is the same for all candidates.

    Returns:
        Their scores on the validation and on the test part, as they are measured.

    Raises:
        ArgumentError: initial weights that are not finite.
    """
    draws, seed = check_draws(draws), check_seed(seed)
    key_weights, key_inputs = jax.random.split(_key(seed, 1))
    train, generator = _read(splits, splits.train), _generator(key_inputs)
    batch = min(training.batch, len(splits.train))
    orders = [_passes(len(splits.train), training.steps, batch, generator) for _ in range(draws)]
    falling = FullTraining(step_size=training.rate).step_sizes(training.steps)
    sizes = np.tile(np.asarray(falling, np.float32), (draws, 1))
    one_hot = np.eye(splits.n_classes, dtype=np.float32)[train[1]]
    inputs, labels = (np.stack([part[order] for order in orders]) for part in (train[0], one_hot))
    examples = Examples(inputs, labels, sizes)
    adam = InnerLoop(optimiser="adam", step_sizes="shared")
    parts = {"validation": _read(splits, splits.validation), "test": _read(splits, splits.test)}
    for name, architecture in candidates.items():
        keys = jax.random.split(key_weights, draws)
        networks = draw_networks(name, architecture, splits.input_shape, splits.n_classes, keys)
        model = structure(architecture, splits.input_shape, splits.n_classes)
        circuits = draws * _circuits(model, splits.input_shape, examples.seen, len(splits.validation))
        after = trained(networks, examples, adam)
        both = {part: accuracies(after, *own) for part, own in parts.items()}
        yield Score(name, "full", training.rate, count_weights(model), circuits, **both)


def best_rates(scores: Sequence[Score]) -> list[Score]:
    """The scores of each way at the rate that is best on the validation part over all candidates and draws."""
    kept = []
    for way in WAYS:
        own = [score for score in scores if score.way == way]
        rates = {score.rate for score in own}
        means = {rate: np.mean([score.validation for score in own if score.rate == rate]) for rate in rates}
        best = max(means, key=lambda rate: means[rate], default=None)
        kept += [score for score in own if score.rate == best]
    return kept


def _key(seed: int, purpose: int) -> Array:
    """Beside the keys of all that a distillation draws, of a bundle's replays and of its transfer."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2**32 - 3), purpose)


def _generator(key: Array) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _read(splits: Splits, part: Labelled) -> tuple[Float[np.ndarray, "n *shape"], Int[np.ndarray, " n"]]:
    return np.asarray(splits.transform(part.inputs), np.float32), np.asarray(part.labels)


def _in_own_steps(bundle: DistilledDataset, draws: int) -> Examples:
    data = bundle.data
    inputs, labels = (np.asarray(part)[np.asarray(data.schedule)] for part in (data.inputs, data.labels))
    sizes = np.asarray(data.step_sizes).mean(axis=1)
    return Examples(*(np.broadcast_to(part, (draws, *part.shape)) for part in (inputs, labels, sizes)))


def _with_adam(
    bundle: DistilledDataset, splits: Splits, draws: int, generator: np.random.Generator
) -> dict[Way, Examples]:
    """Trainings of the bundle's number of steps and of examples in each, at every rate one after another."""
    own = _in_own_steps(bundle, draws)
    steps, batch = own.inputs.shape[1:3]
    inputs, classes = _read(splits, splits.train)
    one_hot = np.eye(bundle.n_classes, dtype=np.float32)[classes]
    schedule, n = np.asarray(bundle.data.schedule), len(bundle.data.inputs)
    subsets = np.stack([_of_each_class(classes, n, generator)[schedule] for _ in range(draws)])
    news = np.stack([_passes(len(classes), steps, min(batch, len(classes)), generator) for _ in range(draws)])
    pairs: dict[Way, tuple[np.ndarray, np.ndarray]] = {
        "distilled_adam": (own.inputs, own.labels),
        "subset": (inputs[subsets], one_hot[subsets]),
        "short": (inputs[news], one_hot[news]),
    }
    sizes = np.repeat(np.array(RATES, np.float32), draws)[:, None] * np.ones((1, steps), np.float32)

    def at_each_rate(part: np.ndarray) -> np.ndarray:
        return np.tile(part, (len(RATES), *[1] * (part.ndim - 1)))

    return {way: Examples(at_each_rate(inputs), at_each_rate(labels), sizes) for way, (inputs, labels) in pairs.items()}


def _of_each_class(
    classes: Int[np.ndarray, " n"], size: int, generator: np.random.Generator
) -> Int[np.ndarray, " size"]:
    """So many random inputs, as evenly from the classes as whole inputs allow."""
    order = generator.permutation(len(classes))
    turn = np.zeros(len(order), int)
    for label in np.unique(classes):
        members = np.flatnonzero(classes[order] == label)
        turn[members] = np.arange(len(members))
    picked: np.ndarray = order[np.argsort(turn, kind="stable")[:size]]
    # Again from the first where there are fewer.
    return np.resize(picked, size)


def _passes(n: int, steps: int, batch: int, generator: np.random.Generator) -> Int[np.ndarray, "steps batch"]:
    """Which of n inputs each step sees: passes in random order, without what is left over at the end of one."""
    a_pass = n // batch
    orders = [generator.permutation(n)[: a_pass * batch] for _ in range(-(-steps // a_pass))]
    picked: np.ndarray = np.concatenate(orders).reshape(-1, batch)[:steps]
    return picked


def _circuits(model: Model, input_shape: tuple[int, ...], seen: int, n_scored: int) -> int:
    """Of one training, and of the inputs that score it."""
    scoring = sum(call.vectors * settings(call.layer.observable) for call in layer_calls(model, input_shape))
    return training_circuits(model, input_shape, seen) + n_scored * scoring
