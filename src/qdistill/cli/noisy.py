"""`qdistill evaluate BUNDLE --shots, --device, --curve`: replays with noise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qdistill.cli.output import say, tell, tell_json
from qdistill.cli.shared import NOT_COMPARED, OTHER_DATA, accuracy, home_of, say_other_data, spread
from qdistill.errors import ArgumentError

if TYPE_CHECKING:
    from jax import Array

    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.noisy import NoisyPoint
    from qdistill.quantum import DeviceModel, Execution

CURVE = "noise.png"
"""Where the figure of a curve goes, beside the bundle."""


def evaluate_noisy(
    loaded: DistilledDataset,
    given: Path,
    path: Path,
    *,
    shots: int | None,
    device: str | None,
    preparation: Literal["exact", "approximate", "ideal"],
    draws: int | None,
    seed: int,
    curve: bool,
    out: Path | None,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    """Replay with noise, once or for a curve, and tell what comes out.

    Args:
        loaded: the bundle.
        given: as the command line names it; the figure of a curve goes beside it.
        path: of the bundle's file.
        shots: for each measurement setting of each circuit; None for exact expectation values.
        device: the name of one, or its file.
        preparation: noise of the state preparation on the device.
        draws: independent replays; None for as many as are usual.
        seed: decides them.
        curve: draw the accuracy against the shots and the error rates.
        out: where to draw it.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.

    Returns:
        The exit code.
    """
    import jax

    from qdistill.evaluate.noisy import SHOTS, replay_noisy
    from qdistill.quantum import Execution

    model = None if device is None else _device(device, loaded)
    if model is not None:
        say_what_is_left_out(model, loaded)
    # Without a device a curve has all of its shots from the list.
    first = SHOTS[0] if curve and model is None else shots
    execution = Execution(model, first, preparation=preparation)
    key = jax.random.key(seed)
    if curve:
        out = home_of(given) / CURVE if out is None else out
        return _curve(loaded, path, out, execution, 3 if draws is None else draws, key, data_dir, as_json)
    repeats = (1 if shots is None else 10) if draws is None else draws
    result = replay_noisy(loaded, execution, draws=repeats, key=key, data_dir=data_dir)
    say_other_data(loaded, loaded.origin.load(data_dir), NOT_COMPARED)
    if as_json:
        plain = {"bundle": str(path), "dataset": loaded.dataset, "shots": shots, "device": device}
        tell_json({**plain, **dataclasses.asdict(result)})
        return 0
    tell(f"{path} on the test set of {loaded.dataset}, trained and tested {_where(shots, model)}")
    tell(f"  test accuracy      {spread(result)}")
    tell(f"  recorded           {accuracy(loaded.record.test_accuracy, loaded.record.n_test)}")
    return 0


def _curve(
    loaded: DistilledDataset,
    path: Path,
    out: Path,
    execution: Execution,
    draws: int,
    key: Array,
    data_dir: Path | None,
    as_json: bool,
) -> int:
    from qdistill.evaluate.noisy import noisy_curve
    from qdistill.evaluate.protocol import replay
    from qdistill.report.noise_figure import draw_noise

    def show(point: NoisyPoint) -> None:
        if not as_json:
            factor = "" if point.factor is None else f", {point.factor:g} x the error rates"
            tell(f"  {_shots(point.shots) + factor:<48} {spread(point.evaluation)}")

    where = _where(None, execution.device)
    exact = replay(loaded, data_dir=data_dir)
    if exact.same_data is False:
        say(f"{OTHER_DATA} {NOT_COMPARED}")
    if not as_json:
        tell(f"{path} on the test set of {loaded.dataset}, trained and tested {where}")
        tell(f"  {'without noise and shots':<48} {accuracy(exact.test_accuracy, exact.n_test)}")
    points = noisy_curve(loaded, execution, draws=draws, key=key, data_dir=data_dir, observer=show)
    title = f"{loaded.dataset}, trained and tested {where} ({draws} draws)"
    picture = draw_noise(points, exact.test_accuracy, title, out)
    if as_json:
        plain = [dataclasses.asdict(point) for point in points]
        tell_json({"bundle": str(path), "noiseless": exact.test_accuracy, "points": plain, "picture": str(picture)})
    else:
        tell(f"Drawn in {picture}")
    return 0


def _device(given: str, loaded: DistilledDataset) -> DeviceModel:
    """The device of a name, or of a file, for as many wires as the bundle's network has."""
    from qdistill.backends.devices import device
    from qdistill.quantum import wires_needed

    n_wires = wires_needed(loaded.structure())
    if not n_wires:
        raise ArgumentError("Argument `device` must be left out: the bundle is for a network without a quantum layer.")
    return device(given, n_wires)


def say_what_is_left_out(model: DeviceModel, loaded: DistilledDataset) -> None:
    """Tell the user where a device needs swaps that its model leaves out."""
    from qdistill.quantum import embedded, quantum_layers

    circuits = [embedded(layer.embedding, layer.circuit) for layer in quantum_layers(loaded.structure())]
    uncoupled = sum(map(model.n_uncoupled, circuits))
    if uncoupled:
        say(
            f"{uncoupled} gates of a circuit are on pairs of wires that {model.name} does not couple. They are "
            "executed as if it did, without swaps, so the device itself is worse."
        )


def _where(shots: int | None, model: DeviceModel | None) -> str:
    place = "without noise" if model is None else f"on {model.name}"
    return place if shots is None else f"{place}, {_shots(shots)}"


def _shots(shots: int | None) -> str:
    return "exact expectation values" if shots is None else f"{shots:,} shots a setting"
