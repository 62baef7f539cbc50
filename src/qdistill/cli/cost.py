"""`qdistill cost`: what a training on a bundle runs on a quantum computer, and what that costs."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, arg

from qdistill.cli.output import say, tell, tell_json
from qdistill.cli.places import Runs
from qdistill.cli.shared import BundlePath, Directions, Rates, again, bundle_file, home_of, spsa_directions
from qdistill.errors import ArgumentError, BundleError
from qdistill.files import check_writable, write_json
from qdistill.lock import hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.cost import Work
    from qdistill.evaluate.rates import RateCard
    from qdistill.evaluate.savings import Training


@dataclass(frozen=True, kw_only=True)
class _Options(Runs):
    """Count the circuits and shots of a training on a bundle and on real inputs, and what they cost.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo's.
        shots: of each circuit.
        steps: how many of the bundle's training, from the first, as execute takes them; without trainings on real
            inputs. All by default.
        gradient: how gradients are taken.
        directions: that spsa averages over, each two evaluations an input.
        rates: rate cards of your own, in the form of the package's rates.toml, whose path is printed.
        measure: first train the network on real inputs until it reaches the bundle's validation accuracy, with batch,
            step size, warm-up and decay searched for every number of inputs (three seeds; ten minutes and more), and
            write the record beside the bundle. Only for this there are --data-dir, --on and what goes with them.
        record: a record that --measure wrote for the bundle's dataset and network.
        as_json: print one JSON object and nothing else.
    """

    bundle: BundlePath
    shots: int = 1024
    steps: int | None = None
    gradient: Literal["parameter_shift", "spsa"] = "parameter_shift"
    directions: Directions = None
    rates: Rates = None
    measure: Annotated[bool, FlagCreatePairsOff] = False
    record: Annotated[Path | None, arg(metavar="FILE.json", help_behavior_hint="(default: the zoo's)")] = None
    as_json: Annotated[bool, FlagCreatePairsOff, arg(name="json")] = False


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return _cost(tyro.cli(_Options, args=arguments, prog="qdistill cost"))


def _cost(asked: _Options) -> int:
    shots, steps, gradient, record = asked.shots, asked.steps, asked.gradient, asked.record
    path = bundle_file(asked.bundle)
    if steps is not None and (asked.measure or record is not None):
        option = "measure" if asked.measure else "record"
        raise ArgumentError(
            f"Argument `{option}` must be left out with `steps`: trainings on real inputs are compared with the whole "
            "training on the bundle."
        )
    if not asked.measure and not asked.is_usual:
        raise ArgumentError("Argument `on` must be given with `measure` only, and `cores`, `each` and `slurm` too.")
    averaged = spsa_directions(asked.directions, gradient)
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.rates import DEFAULT_RATES, read_rates
    from qdistill.evaluate.savings import (
        compare,
        distillation_circuits,
        distillation_note,
        distillation_seconds,
        find_record,
        read_record,
    )

    rates = DEFAULT_RATES if asked.rates is None else asked.rates
    cards = read_rates(rates)
    loaded = DistilledDataset.load(path)
    if loaded.kernel is not None:
        given = {"steps": steps is not None, "gradient": gradient != "parameter_shift", "measure": asked.measure}
        given |= {"directions": asked.directions is not None, "record": record is not None}
        names = [name for name, is_given in given.items() if is_given]
        return _of_kernel(loaded, path, shots, rates, names, asked.as_json)
    if asked.measure:
        record = _measure(asked, loaded, path)
    known = None
    if steps is None:
        known = find_record(loaded) if record is None else read_record(record, loaded)
    trainings = compare(loaded, known, shots=shots, gradient=gradient, directions=averaged, steps=steps)
    core_seconds = distillation_seconds(path)
    on_device = distillation_circuits(loaded, trainings[0].work.circuits // trainings[0].seen)
    note = distillation_note(core_seconds, on_device)
    if asked.as_json:
        rows = [dataclasses.asdict(training) | _prices(training.work, cards) for training in trainings]
        distillation = {"core_seconds": core_seconds, "circuits": on_device, "note": note}
        bill = {"bundle": str(path), "shots": shots, "steps": steps, "gradient": gradient, "rates": str(rates)}
        bill |= {"trainings": rows, "distillation": distillation}
        tell_json(bill)
        return 0
    work = trainings[0].work
    if not work.circuits:
        tell(f"{path}: the network has no quantum layer, so it runs no circuits.")
        return 0
    tell(f"{path}: one training, {gradient.replace('_', ' ')}, {shots:,} shots a circuit, {work.settings} settings")
    tell(f"  a circuit as written: depth {work.depth}, {work.two_qubit_gates} two-qubit gates")
    for training in trainings:
        accuracy = "not measured" if training.accuracy is None else f"{training.accuracy:.2%}"
        seeds = f", mean of {training.n_seeds} seeds" if training.n_seeds > 1 else ""
        tell("", f"{training.name}: test accuracy {accuracy}{seeds}")
        circuits = f"{training.work.circuits:,} circuits{_times(training, trainings[0])}"
        tell(f"  {training.seen:,} example gradients, {circuits}")
        _tell_prices(training.work, cards)
    tell("", _price_note(cards, rates))
    tell(
        "Accuracies are those of exact simulation; from shots, and by spsa, they are lower: "
        "`qdistill evaluate --shots` and `qdistill execute` measure that."
    )
    if known is None and steps is None:
        tell("No training on real inputs was measured for this network; --measure does.")
    tell(note)
    return 0


def _of_kernel(
    loaded: DistilledDataset, path: Path, shots: int, rates: Path, given: Sequence[str], as_json: bool
) -> int:
    """The entries that a kernel's support points take, before and for a prediction."""
    from qdistill.evaluate.kernel_cost import kernel_distillation_circuits, kernel_tasks
    from qdistill.evaluate.rates import read_rates
    from qdistill.evaluate.savings import distillation_note, distillation_seconds

    if given:
        raise ArgumentError(
            f"Argument `{given[0]}` must be left out for a kernel, which is solved from its entries without gradients."
        )
    cards, tasks = read_rates(rates), kernel_tasks(loaded, shots=shots)
    core_seconds, on_device = distillation_seconds(path), kernel_distillation_circuits(loaded)
    note = distillation_note(core_seconds, on_device)
    if as_json:
        rows = [dataclasses.asdict(task) | _prices(task.work, cards) for task in tasks]
        distillation = {"core_seconds": core_seconds, "circuits": on_device, "note": note}
        bill = {"bundle": str(path), "shots": shots, "rates": str(rates)}
        tell_json({**bill, "tasks": rows, "distillation": distillation})
        return 0
    work = tasks[0].work
    tell(f"{path}: a kernel, {shots:,} shots a circuit")
    tell(f"  a circuit as written: depth {work.depth}, {work.two_qubit_gates} two-qubit gates")
    for task in tasks:
        tell("", f"{task.name}: {task.work.circuits:,} circuits ({task.how})")
        _tell_prices(task.work, cards)
    tell("", _price_note(cards, rates), f"A pair is measured once, a point with itself never. {note}")
    return 0


def _prices(work: Work, cards: Sequence[RateCard]) -> dict[str, dict[str, float]]:
    return {"prices": {card.name: card.price(work) for card in cards}}


def _tell_prices(work: Work, cards: Sequence[RateCard]) -> None:
    """One line a card: the price, and how long the device is busy where the card says that."""
    for card in cards:
        seconds = card.seconds(work)
        busy = "" if seconds is None else f", {seconds / 3600:,.2f} hours of the device"
        tell(f"  {card.name:<32} {card.price(work):>18,.2f} {card.currency}{busy}")


def _price_note(cards: Sequence[RateCard], rates: Path) -> str:
    """What the prices are of."""
    dates = ", ".join(sorted({card.date for card in cards}))
    return f"Queueing, loading and compiling are not in it. Prices as of: {dates}, from {rates}"


def _measure(asked: _Options, bundle: DistilledDataset, path: Path) -> Path:
    """Train on real inputs, and write the record, whose path is returned."""
    asked.make_ready()
    from qdistill.experiments.full_data import measure_full_training
    from qdistill.experiments.recipe import Recipe

    record = home_of(asked.bundle) / f"full-{path.stem}.json"
    check_writable(record)
    # A line for each number of inputs says enough.
    engine, trials = asked.engine(told=lambda line: None), record.with_suffix("")
    until = 1.0 if bundle.record.validation_accuracy is None else bundle.record.validation_accuracy
    with hold(record.with_name(f".{record.name}.lock"), record):
        if not bundle.recipe:
            raise BundleError("The bundle holds no recipe, so there is no network to train on real inputs.")
        recipe = Recipe.from_json(bundle.recipe)
        try:
            found = measure_full_training(
                recipe, (0, 1, 2), trials, engine=engine, data_dir=asked.data_dir, goals=(until,), told=say
            )
        except KeyboardInterrupt:
            say(f"To go on: {again('cost', asked.bundle, '--measure', *asked.words())}")
            raise
        write_json(record, found)
        shutil.rmtree(trials, ignore_errors=True)
    say(f"Written: {record}")
    return record


def _times(training: Training, own: Training) -> str:
    """How many times the bundle's circuits a training takes, in words; from seed to seed where that is known."""
    if training is own:
        return ""
    times = f"{training.seen / own.seen:,.4g} times the bundle's"
    if training.seen_by_seed is None:
        return f" ({times})"
    fewest, most = (f"{seen / own.seen:,.4g}" for seen in training.seen_by_seed)
    return f" ({times}; {fewest} to {most} from seed to seed)"
