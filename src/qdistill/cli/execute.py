"""`qdistill execute`: a bundle's training with the quantum layer on a simulator or a device of another framework."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from qdistill.cli.output import plain_console, say, tell
from qdistill.cli.shared import (
    INTERRUPTED,
    BundlePath,
    Cache,
    DataDir,
    Directions,
    Rates,
    accuracy,
    again,
    bundle_file,
    call,
    say_other_data,
    spsa_directions,
    use_compilation_cache,
)
from qdistill.errors import ArgumentError, RunError
from qdistill.files import SCORES, write_json, write_whole
from qdistill.folders import holding

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.rates import RateCard

WEIGHTS = "weights.safetensors"
"""The trained network's arrays, in an execution's folder."""

_Out = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: runs/BUNDLE-on-BACKEND)")]


def run(arguments: list[str]) -> int:
    """Parse and call; where Ctrl-C ended the training, say how to go on."""
    code = call(execute, arguments)
    if code == INTERRUPTED:
        say(f"To go on: {again('execute', *arguments, *([] if '--resume' in arguments else ['--resume']))}")
    return code


def execute(
    bundle: BundlePath,
    *,
    backend: str,
    shots: int | None = None,
    steps: int | None = None,
    gradient: Literal["parameter_shift", "spsa"] = "parameter_shift",
    directions: Directions = None,
    seed: int = 0,
    price: float | None = None,
    rates: Rates = None,
    out: _Out = None,
    resume: Annotated[bool, FlagCreatePairsOff] = False,
    data_dir: DataDir = None,
    compilation_cache: Cache = True,
) -> int:
    """Replay a bundle's training with the quantum layer evaluated and differentiated by another backend.

    Everything measured is kept in a folder, so that an execution that was cut short goes on with --resume and the same
    options, and pays for no circuit twice. On IBM's devices it first says what it would run, and asks.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        backend: exact, qiskit-aer, qiskit:FakeSherbrooke (or another simulated device), pennylane:default.qubit (or
            another simulator of PennyLane's own: default.*, lightning.*), or ibm:NAME, the only one that costs money.
        shots: of each circuit; without it exact values, where the backend has them.
        steps: how many of the training's steps, from the first; all by default.
        gradient: parameter_shift is exact but for the shots; spsa takes fewer circuits, and is noisy.
        directions: that spsa averages over, each two evaluations an input.
        seed: decides the samples on simulators, and the directions of spsa.
        price: of one circuit with its shots, in any currency, to show what the whole costs; on ibm:NAME it is shown
            without this by the card of IBM's.
        rates: rate cards of your own, of which one names IBM; on ibm:NAME only.
        out: where to keep what is measured.
        resume: go on with the execution in the folder.
        data_dir: where the dataset's files lie; the trained network is measured on its test set.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    path = bundle_file(bundle)
    if price is not None and not 0 <= price < float("inf"):
        raise ArgumentError(f"Argument `price` must be finite and at least 0, but was {price}.")
    card = _card(backend, rates)
    if compilation_cache:
        use_compilation_cache()
    import numpy as np
    from safetensors.numpy import save

    from qdistill.backends.evaluators import evaluator
    from qdistill.backends.execution import Execution
    from qdistill.backends.execution_plan import ExecutionSettings
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.protocol import measure
    from qdistill.models import named_weights

    loaded = DistilledDataset.load(path)
    loaded.initial_model()  # says what to do where the weights are still to be drawn
    averaged = spsa_directions(directions, gradient)
    execution = Execution(loaded, ExecutionSettings(backend, shots, gradient, seed, directions=averaged), steps)
    name = path.parent.name if bundle.is_dir() else path.stem
    folder = Path("runs") / f"{name}-on-{backend.replace(':', '-')}" if out is None else out
    # What can be wrong is found before anything is paid for.
    execution.check(folder, resume=resume)
    given = loaded.origin.load(data_dir)
    raw, recorded = loaded.fitted(given), loaded.recorded_on(given)
    say_other_data(loaded, given, "The recorded accuracy is of the other data and left out.")
    made = {measured: evaluator(measured, backend, shots) for measured in execution.measured}
    measuring = {measured: one for measured, (one, _) in made.items()}
    missing = execution.circuits_left(folder)
    left = sum(missing.values())
    done = execution.circuits - left
    _describe(execution.circuits, done, shots, price)
    currency = ""
    if card is not None and shots is not None and left:
        # How long a shot takes is the device's to say.
        seconds = sum(missing[measured] * (lasts or 0.0) for measured, (_, lasts) in made.items())
        card = dataclasses.replace(card, seconds_per_shot=seconds / (left * shots))
        if price is None:
            price, currency = _bill(card, 1, shots), f" {card.currency}"
        _confirm(backend, left, shots, seconds, card)
    execution.open(folder, resume=resume)
    started = time.monotonic()
    try:
        with _progress(execution.circuits, done, price, currency) as observe:
            model = execution.train(measuring, folder, observe=observe)
    except KeyboardInterrupt:
        return INTERRUPTED
    lasted = time.monotonic() - started
    # The share of test inputs is that of the package's own simulator, for both networks.
    reached = measure(model, loaded, raw.test_inputs, raw.test_labels)
    exact = measure(_exact(loaded, execution.n_steps).train(), loaded, raw.test_inputs, raw.test_labels)
    n = len(raw.test_labels)
    weights = save({key: np.asarray(array) for key, array in named_weights(model).items()})
    scores: dict[str, Any] = {
        "test_accuracy": reached,
        "exact_test_accuracy": exact,
        "recorded_test_accuracy": recorded,
        "n_test": n,
        "steps": execution.n_steps,
        "all_steps": loaded.inner.total_steps,
        "circuits": execution.circuits,
        "circuits_measured_now": left,
        "seconds": lasted,
        **dataclasses.asdict(execution.settings),
    }
    with holding(folder):
        write_whole(folder / WEIGHTS, weights)
        write_json(folder / SCORES, scores)
    tell(f"{path} on {backend}, {execution.n_steps} of {loaded.inner.total_steps} steps")
    tell(f"  test accuracy      {accuracy(reached, n)}")
    tell(f"  exact simulation   {accuracy(exact, n)}")
    total = loaded.inner.total_steps
    if recorded is not None:
        at_end = f" after all {total} steps" if execution.n_steps < total else ""
        tell(f"  recorded           {accuracy(recorded, loaded.record.n_test)}{at_end}")
    tell(f"  circuits           {execution.circuits:,} of {_shots(shots)}")
    tell(f"  scores             {folder / SCORES}")
    if execution.n_steps < total:
        tell("To go on: the same with --resume, and without --steps or with more of them. What is measured is kept.")
    return 0


def _exact(bundle: DistilledDataset, steps: int) -> DistilledDataset:
    """The bundle cut to its first steps."""
    import equinox as eqx

    data = bundle.data
    cut = dataclasses.replace(data, step_sizes=data.step_sizes[:steps], schedule=data.schedule[:steps])
    inner = dataclasses.replace(bundle.inner, steps=steps, epochs=1)
    shorter: DistilledDataset = eqx.tree_at(lambda b: b.data, bundle, cut)
    return dataclasses.replace(shorter, inner=inner)


def _shots(shots: int | None) -> str:
    return "exact values" if shots is None else f"{shots:,} shots"


def _describe(circuits: int, done: int, shots: int | None, price: float | None) -> None:
    cost = "" if price is None else f", {(circuits - done) * price:,.2f} at {price:g} a circuit"
    before = f", {done:,} of them measured already" if done else ""
    say(f"{circuits:,} circuits of {_shots(shots)}{before}{cost}")


def _card(backend: str, rates: Path | None) -> RateCard | None:
    """The card of IBM's, for a device of theirs; None for what costs nothing.

    Raises:
        ArgumentError: the file cannot be read, has no card that names IBM or several, or was given for what costs
            nothing.
    """
    if not backend.startswith("ibm:"):
        if rates is not None:
            raise ArgumentError(
                f"Argument `rates` must be left out but for ibm:NAME, for {backend} costs nothing, but was {rates}."
            )
        return None
    from qdistill.evaluate.rates import DEFAULT_RATES, read_rates

    rates = DEFAULT_RATES if rates is None else rates
    cards = read_rates(rates)
    fitting = [card for card in cards if "ibm" in card.name.lower()]
    if len(fitting) != 1:
        found = ", ".join(repr(card.name) for card in fitting or cards)
        raise ArgumentError(
            f"Argument `rates` must have one card whose name holds IBM, by which {backend} is priced, but {rates} has "
            f"{len(fitting) or 'none'}: {found}."
        )
    return fitting[0]


def _bill(card: RateCard, circuits: int, shots: int) -> float:
    """What circuits of so many shots cost."""
    from qdistill.evaluate.cost import Work

    return card.price(Work(circuits, circuits * shots, 1, 0, 0))


def _confirm(backend: str, circuits: int, shots: int, seconds: float, card: RateCard) -> None:
    """Ask before anything is sent to a device.

    Raises:
        RunError: the answer is not yes.
    """
    prices = [("second", card.per_second), ("circuit", card.per_task), ("shot", card.per_shot)]
    tariff = " and ".join(f"{price:g} {card.currency} a {unit}" for unit, price in prices if price)
    say(f"{backend} would run {circuits:,} circuits of {shots:,} shots, in about {seconds:,.1f} s of its time.")
    say(
        f"At {tariff} ({card.name}, as of {card.date}) that is about {_bill(card, circuits, shots):,.2f} "
        f"{card.currency}."
    )
    say("The account that Qiskit has saved pays for that. Type yes to send them:")
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise RunError("Not confirmed: nothing was sent.")


@contextmanager
def _progress(circuits: int, before: int, price: float | None, currency: str = "") -> Iterator[Callable[[int], None]]:
    """Circuits done and left, the time left and the price so far: a bar on a terminal, else a line a tenth."""
    from rich.progress import BarColumn, Progress, TextColumn

    console = plain_console(stderr=True)
    done, shown = 0, 0
    first, started = 0, time.monotonic()

    def text() -> str:
        cost = "" if price is None else f", {done * price:,.2f} of {circuits * price:,.2f}{currency}"
        to_go = ""
        if done > first:
            seconds = (time.monotonic() - started) * (circuits - done) / (done - first)
            to_go = f", {seconds:,.0f} s to go"
        return f"{done:,} circuits done, {circuits - done:,} left{cost}{to_go}"

    bar = Progress(
        BarColumn(), TextColumn("{task.description}", markup=False), console=console, disable=not console.is_terminal
    )
    task = bar.add_task(text(), total=circuits)

    def observe(more: int) -> None:
        nonlocal done, shown, first, started
        done += more
        if first < before:
            # Results that were there already come first and at once: they say nothing of how long the others take.
            first, started = done, time.monotonic()
        bar.update(task, completed=done, description=text())
        if not console.is_terminal and (done * 10 // circuits > shown or done == circuits):
            shown = done * 10 // circuits
            say(f"  {text()}")

    with bar:
        yield observe
