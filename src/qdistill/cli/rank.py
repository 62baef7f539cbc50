"""`qdistill rank`: which of many circuits is best, by what they learn from a bundle's examples."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, arg

from qdistill.cli.output import say, tell, tell_json
from qdistill.cli.shared import BundlePath, Cache, DataDir, bundle_file, call, splits_of, use_compilation_cache
from qdistill.errors import ArgumentError, RunError
from qdistill.fields import check_seed
from qdistill.files import check_writable, read_json, write_json, write_text
from qdistill.lock import hold

if TYPE_CHECKING:
    from qdistill.data import Splits
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.rank import RealTraining, Score

RANKING, RANKING_TABLE, RANKING_FIGURE = "ranking.json", "ranking.csv", "ranking.png"
"""What is written, the last only where there is a full training."""


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(rank, arguments)


def rank(
    bundle: BundlePath,
    circuits: Annotated[tuple[str, ...], Positional, arg(metavar="NAME[:FIELD=VALUE,...]")],
    *,
    draws: int = 5,
    seed: int = 0,
    against: Annotated[Path | None, arg(metavar="FILE.json", help_behavior_hint="(default: none)")] = None,
    full_steps: Annotated[
        int | None, arg(metavar="N", help_behavior_hint="(default: 1000; with --against only)")
    ] = None,
    full_draws: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 5; with --against only)")] = None,
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the run folder)")] = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, FlagCreatePairsOff, arg(name="json")] = False,
    compilation_cache: Cache = True,
) -> int:
    """Train many circuits on a bundle's examples, and rank them by their accuracy on the validation part.

    A circuit is an architecture as `qdistill evaluate --on` takes it, own among them, or one of Sim et al.
    (arXiv 1905.10876): sim-14:n_layers=2; sim-14 is that at one, two and three layers, and sim all nineteen circuits.

    With --against, every circuit is trained in full too, on the real inputs, and the ranking is compared with that:
    Kendall's tau, and the regret, which is the accuracy lost by taking the winner. Beside it are rankings by as many
    circuits on real inputs, and by what is known of a circuit without any training.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo; for unknown initial weights.
        circuits: two at least.
        draws: networks of each circuit, with initial weights of their own.
        seed: decides the draws, and which real inputs are taken.
        against: a file of full trainings; those that it does not have are made and added to it, one by one, so that
            the same command goes on where it was stopped.
        full_steps: gradient steps of a full training, with Adam on batches of 32.
        full_draws: full trainings of each circuit.
        out: where ranking.json, ranking.csv and, with --against, ranking.png go.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    for name, value in {"full_steps": full_steps, "full_draws": full_draws}.items():
        if value is not None and against is None:
            raise ArgumentError(f"Argument `{name}` must be given together with `against` only, but was {value}.")
    if out is None and bundle.is_dir():
        out = bundle
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        check_writable(out / RANKING)
    if against is not None:
        check_writable(against)
    seed, path = check_seed(seed), bundle_file(bundle)
    if compilation_cache:
        use_compilation_cache()
    from qdistill.cli.candidates import candidates_of
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.protocol import check_draws
    from qdistill.evaluate.rank import DRAWS, RealTraining, best_rates, check_bundle, check_candidates
    from qdistill.evaluate.rank import rank as ranked

    training = RealTraining() if full_steps is None else RealTraining(steps=full_steps)
    loaded = DistilledDataset.load(path)
    check_bundle(loaded)
    candidates = candidates_of(circuits, loaded.architecture, loaded.input_shape)
    check_candidates(candidates, loaded.input_shape, loaded.n_classes)
    splits = dataclasses.replace(splits_of(loaded, data_dir), transform=loaded.transform)
    head = _head(splits, loaded, training, check_draws(DRAWS if full_draws is None else full_draws), seed)
    if against is not None:
        _read_record(against, head)
    found: list[Score] = []
    for score in ranked(loaded, candidates, splits, draws=draws, seed=seed, with_real=against is not None):
        found.append(score)
        if score.way == "distilled":
            say(f"{score.network}: {_mean(score.validation):.2%}")
    content: dict[str, Any] = {"bundle": str(path), "dataset": loaded.dataset, "draws": draws, "seed": seed}
    content |= {"n_validation": len(splits.validation), "n_test": len(splits.test), "full_training": None}
    if against is not None:
        found += _full(against, head, candidates, splits, training)
        content["full_training"] = {**dataclasses.asdict(training), "draws": head["draws"]}
    scores = best_rates(found)
    content["scores"] = [dataclasses.asdict(score) for score in scores]
    if against is not None:
        content |= _compared(candidates, scores, splits, seed)
    if out is not None:
        write_json(out / RANKING, content)
        write_text(out / RANKING_TABLE, _as_csv(content))
        if against is not None:
            from qdistill.report.ranking import draw_ranking

            draw_ranking(content, out / RANKING_FIGURE)
    if as_json:
        tell_json(content)
    else:
        _tell(content, path)
    return 0


def _head(splits: Splits, bundle: DistilledDataset, training: RealTraining, draws: int, seed: int) -> dict[str, Any]:
    """What full trainings are of, but for the candidates."""
    return {
        "dataset": splits.name,
        "digest": splits.digest,
        "transforms": bundle.recipe.get("transforms"),
        "n_validation": len(splits.validation),
        "training": dataclasses.asdict(training),
        "draws": draws,
        "seed": seed,
    }


def _read_record(against: Path, head: Mapping[str, Any]) -> dict[str, Any]:
    """The full trainings that there are.

    Raises:
        RunError: they are of something else.
    """
    record: dict[str, Any] = read_json(against, dict[str, Any]) if against.exists() else {**head, "scores": []}
    for name, value in head.items():
        if record.get(name) != value:
            raise RunError(
                f"The full trainings in {against} have the {name} {record.get(name)!r} and not {value!r}. Name "
                "another file."
            )
    return record


def _full(
    against: Path, head: Mapping[str, Any], candidates: Mapping[str, Any], splits: Splits, training: RealTraining
) -> list[Score]:
    """The full trainings of the candidates, from the record where it has them; the others are added to it."""
    from qdistill.evaluate.rank import Score, train_fully
    from qdistill.models import architecture_to_json

    with hold(against.with_name(f".{against.name}.lock"), against):
        record = _read_record(against, head)
        have = {row["network"]: row for row in record["scores"]}
        for name, architecture in candidates.items():
            text = json.dumps(architecture_to_json(architecture), sort_keys=True)
            which = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
            if name in have and have[name]["architecture"] == which:
                continue
            (score,) = train_fully({name: architecture}, splits, training, draws=head["draws"], seed=head["seed"])
            have[name] = {**dataclasses.asdict(score), "architecture": which}
            record["scores"] = list(have.values())
            write_json(against, record)
            say(f"{name} in full: {_mean(score.validation):.2%}")
    fields = [field.name for field in dataclasses.fields(Score)]
    rows = [{name: have[candidate][name] for name in fields} for candidate in candidates]
    return [Score(**{**row, "validation": tuple(row["validation"]), "test": tuple(row["test"])}) for row in rows]


def _compared(candidates: Mapping[str, Any], scores: Sequence[Score], splits: Splits, seed: int) -> dict[str, Any]:
    """Each ranking against that of full training on the test part, which none of them has seen."""
    from qdistill.evaluate.agreement import agreement, halves
    from qdistill.evaluate.rank import WAYS
    from qdistill.evaluate.untrained import measure_proxies

    by_way = {way: {score.network: score for score in scores if score.way == way} for way in WAYS}
    truth = [by_way["full"][name].test for name in candidates]
    names = list(candidates)
    rows = []

    def compared(way: str, label: str, values: Sequence[Sequence[float]], circuits: int | None) -> None:
        found = dataclasses.asdict(agreement(values, truth, seed=seed))
        rows.append({"way": way, "label": label, "circuits": circuits, **found, "winner": names[found["winner"]]})

    for way, label in WAYS.items():
        own = [by_way[way][name] for name in names]
        if way != "full":
            compared(way, label, [score.validation for score in own], sum(score.circuits for score in own))
    found = measure_proxies(candidates, splits, seed=seed)
    known = [each for each in found.values() if each is not None]
    for field, label in PROXIES.items():
        if len(known) == len(names):
            compared(field, label, [[float(each[field])] for each in known], None)
    one, other = halves(truth) if len(truth[0]) > 1 else ((), ())
    ceiling = dataclasses.asdict(agreement(one, other, seed=seed))["tau"] if one else None
    own = [by_way["full"][name] for name in names]
    full_circuits = sum(score.circuits for score in own)
    return {"agreement": rows, "proxies": found, "ceiling": ceiling, "full_circuits": full_circuits}


PROXIES = {
    "expressibility": "expressibility (untrained)",
    "entangling": "entangling capability (untrained)",
    "capacity": "representational capacity (untrained)",
    "paths": "number of paths (untrained)",
    "weights": "number of weights (untrained)",
}
"""How the proxies are called."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _tell(content: Mapping[str, Any], path: Path) -> None:
    """The ranking, and what it is compared with; 80 columns."""
    from qdistill.evaluate.protocol import spread

    full = {row["network"]: row for row in content["scores"] if row["way"] == "full"}
    own = sorted((row for row in content["scores"] if row["way"] == "distilled"), key=lambda r: -_mean(r["validation"]))
    tell(f"{path}: {len(own)} circuits by what they learn from its examples, {content['draws']} draws of each")
    tell(f"  {'':>3} {'circuit':<28} {'validation':>10} {'±':>7} {'in full':>8} {'circuits':>12}")
    for place, row in enumerate(own, start=1):
        apart = spread(row["validation"])
        beside = f"{_mean(full[row['network']]['test']):.2%}" if full else ""
        tell(
            f"  {place:>3} {row['network']:<28} {_mean(row['validation']):>10.2%} "
            f"{'' if apart is None else f'{apart:.2%}':>7} {beside:>8} {row['circuits']:>12,}"
        )
    total = sum(row["circuits"] for row in own)
    tell(f"All of it takes {total:,} circuits, those that score included.")
    if not full:
        return
    times = content["full_circuits"] / total
    tell(f"Full training takes {content['full_circuits']:,}, {times:,.4g} times as many. Against it, on the test part:")
    tell(f"  {'ranking by':<38} {'tau':>6} {'95 %':>14} {'regret':>7} {'winner':>9}")
    for row in content["agreement"]:
        tau = "-" if row["tau"] is None else f"{row['tau']:.2f}"
        between = "" if row["tau"] is None else f"{row['tau_interval'][0]:.2f} to {row['tau_interval'][1]:.2f}"
        which = f"{row['winners_place']} of {len(own)}"
        tell(f"  {row['label']:<38} {tau:>6} {between:>14} {row['regret']:>7.2%} {which:>9}")
    if content["ceiling"] is not None:
        tell(f"Half of the draws of full training against the others: tau {content['ceiling']:.2f}.")


def _as_csv(content: Mapping[str, Any]) -> str:
    """A line for each candidate and way."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["network", "way", "rate", "weights", "circuits", "validation", "test"])
    for row in content["scores"]:
        test = _mean(row["test"]) if row["test"] else ""
        writer.writerow(
            [*(row[k] for k in ("network", "way", "rate", "n_weights", "circuits")), _mean(row["validation"]), test]
        )
    return file.getvalue()
