"""What is tried next, and what mattered: Optuna, asked with all that is known so far.

Its study is made anew from the log for every question, so that an answer depends on the log and the trial's number
alone, and a search that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qdistill.backends.extras import require
from qdistill.experiments.search.space import Choices, Plain, Range, Space
from qdistill.experiments.search.trials import Trial

_FEWEST = 8
"""Trials of which it can be said what mattered."""


def check_optuna() -> None:
    """Make sure that Optuna is there.

    Raises:
        MissingExtraError: it is not installed.
    """
    require("optuna", "search")


def proposals(space: Space, trials: Sequence[Trial], seed: int) -> Iterator[dict[str, Plain]]:
    """Values for the next trial, by Optuna's TPE: the first that was not tried before is to be taken.

    The first ten trials are drawn at random. What runs counts as bad (Optuna's "constant liar"), so that many at once
    differ.

    Args:
        space: to draw from.
        trials: all so far.
        seed: of the search.
    """
    optuna = _optuna()
    distributions = {name: _distribution(optuna, field) for name, field in space.fields.items()}
    known = [_known(optuna, trial, space, distributions) for trial in trials if space.holds(trial.values)]
    attempt = 0
    while True:
        (draw,) = np.random.SeedSequence([seed, len(trials), attempt]).generate_state(1)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=int(draw)))
        study.add_trials(known)
        found = study.ask(distributions).params
        yield {name: _value(field, found[name]) for name, field in space.fields.items()}
        attempt += 1


def importances(space: Space, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of the variance of the accuracy at the first rung that each field has, by fANOVA; none of few trials.

    All trials come to the first rung, and are compared at the same share of their iterations there.

    Reference: Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014.
    """
    looked = [trial for trial in trials if trial.looks and space.holds(trial.values)]
    if len(looked) < _FEWEST or len({trial.looks[0].validation_accuracy for trial in looked}) == 1:
        return {}
    optuna = _optuna()
    # A share of a range that is searched by its logarithm is a share of that.
    distributions = {
        name: optuna.distributions.FloatDistribution(math.log(field.low), math.log(field.high))
        if isinstance(field, Range) and field.log
        else _distribution(optuna, field)
        for name, field in space.fields.items()
    }
    study = optuna.create_study(direction="maximize")
    for trial in looked:
        values = {name: _told(field, trial.values[name]) for name, field in space.fields.items()}
        for name, field in space.fields.items():
            if isinstance(field, Range) and field.log:
                values[name] = math.log(values[name])
        score = trial.looks[0].validation_accuracy
        study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=score))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def _optuna() -> Any:
    optuna = require("optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _distribution(optuna: Any, field: Range | Choices) -> Any:
    if isinstance(field, Choices):
        return optuna.distributions.CategoricalDistribution([_text(value) for value in field.values])
    kind = optuna.distributions.IntDistribution if field.is_whole else optuna.distributions.FloatDistribution
    return kind(field.low, field.high, log=field.log)


def _known(optuna: Any, trial: Trial, space: Space, distributions: Mapping[str, Any]) -> Any:
    """A trial as Optuna knows it: one that waits at a rung is one that was pruned there, better the later that was."""
    states = optuna.trial.TrialState
    state = {"running": states.RUNNING, "ended": states.COMPLETE}.get(trial.state, states.PRUNED)
    looks = {place: look.validation_accuracy for place, look in enumerate(trial.looks)} if trial.is_sound else {}
    return optuna.trial.create_trial(
        state=state,
        value=trial.score if trial.state == "ended" else None,
        params={name: _told(field, trial.values[name]) for name, field in space.fields.items()},
        distributions=distributions,
        intermediate_values=looks,
    )


def _told(field: Range | Choices, value: Any) -> Any:
    return _text(value) if isinstance(field, Choices) else value


def _value(field: Range | Choices, found: Any) -> Plain:
    if isinstance(field, Choices):
        value: Plain = json.loads(found)
        return value
    return field.rounded(found)


def _text(value: Plain) -> str:
    """A choice as text: Optuna has no lists."""
    return json.dumps(value)
