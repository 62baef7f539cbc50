"""`qdistill diagnose`: how large gradients are at the start of training, against qubits and layers."""

from __future__ import annotations

import dataclasses
import inspect
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from qdistill.cli.diagnosis_folder import DIAGNOSIS, batch_of, check_free, folder_of, versions
from qdistill.cli.output import plain_console, tell, to_standard_output
from qdistill.cli.shared import DataDir, call
from qdistill.errors import ArgumentError
from qdistill.fields import check_seed
from qdistill.files import write_json

if TYPE_CHECKING:
    from qdistill.evaluate.gradients import Point

_What = Annotated[Path | None, Positional, arg(metavar="BUNDLE|RECIPE.toml", help_behavior_hint="(default: none)")]
_Out = Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: runs/diagnosis-1, -2, ...)")]
_Inputs = Annotated[int | None, arg(help_behavior_hint="(default: 8, of a landscape 1,000)")]
_Networks = Annotated[tuple[str, ...], arg(metavar="NETWORK...", help_behavior_hint="(default: none)")]
_SHOWN = {"pauli_z": "Pauli-Z", "hermitian": "Hermitian, trained or fixed"}


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(diagnose, arguments)


def diagnose(
    what: _What = None,
    *,
    dataset: str = "digits",
    draws: int = 48,
    inputs: _Inputs = None,
    qubits: tuple[int, ...] = (4, 6, 8, 10),
    layers: tuple[int, ...] = (1, 2, 4, 8, 16),
    angle_range: float = 2 * math.pi,
    coefficient_scale: float = 1.0,
    landscape: _Networks = (),
    drawn: Literal["all", "quantum"] = "all",
    pairs: int = 10,
    steps: int = 100,
    seed: int = 0,
    out: _Out = None,
    data_dir: DataDir = None,
) -> int:
    """Measure how the loss's gradients at the start of training fall with the number of qubits and of layers.

    The variance over random initial weights, of the gradient with respect to the circuit's angles and to the features
    that enter it, with and without the residual connection: the barren-plateau diagnostic. Of a bundle or a recipe it
    is the variance of the gradient by each of the weights of its own network, whose size is not varied.

    With --landscape it is the loss between trainings from different initial weights instead: how high the barrier
    between their ends is, on the bundle's examples and on real inputs.

    Args:
        what: a bundle, a run folder, a name of the zoo or a recipe file RECIPE.toml, whose network, loss and dataset
            are taken; by default the quantum LeNet in many sizes.
        dataset: where the batch of real inputs comes from; transformed as its default recipe does.
        draws: random initial weights for each size.
        inputs: size of the batch; or how many real inputs the landscape's loss is measured on.
        qubits: numbers of qubits.
        layers: numbers of ansatz layers.
        angle_range: the circuit's angles are drawn from [0, angle_range) radians.
        coefficient_scale: standard deviation of the Hermitian's coefficients.
        landscape: networks to train on the bundle's examples and on real inputs, as `evaluate --on` takes them: own, or
            own:skip=none.
        drawn: in what the trainings of a landscape differ: all initial weights, or those of the quantum layers.
        pairs: of trainings, whose barriers are measured.
        steps: of each of these trainings, with Adam.
        seed: decides the draws, and which inputs are in the batch.
        out: folder for diagnosis.json and diagnosis.png, or landscape.json and landscape.png.
        data_dir: where the dataset's files lie.
    """
    sizes: dict[str, Any] = {"dataset": dataset, "qubits": qubits, "layers": layers}
    sizes |= {"angle_range": angle_range, "coefficient_scale": coefficient_scale}
    if landscape:
        _check_left_out(sizes | {"draws": draws}, "there is a landscape")
        return _landscape(what, landscape, drawn, pairs, steps, inputs, seed, out, data_dir)
    _check_left_out({"drawn": drawn, "pairs": pairs, "steps": steps}, "there is no landscape")
    inputs = 8 if inputs is None else inputs
    if what is not None:
        from qdistill.cli.diagnose_network import diagnose_network

        _check_left_out(sizes, "a bundle or a recipe is given")
        return diagnose_network(what, draws=draws, inputs=inputs, seed=seed, out=out, data_dir=data_dir)

    import jax

    from qdistill.data import source
    from qdistill.evaluate import gradients
    from qdistill.experiments.defaults import default_recipe
    from qdistill.models import QuantumLeNetArchitecture
    from qdistill.report.diagnosis import DIAGNOSIS_PICTURE, draw_diagnosis

    if out is not None:
        check_free(out)
    check_seed(seed)
    raw = source(dataset).load(data_dir)
    transforms = default_recipe(dataset).transforms
    measuring = gradients.diagnose(
        *batch_of(raw, transforms, inputs, seed),
        len(raw.class_names),
        architecture=QuantumLeNetArchitecture(angle_range=angle_range, coefficient_scale=coefficient_scale),
        qubits=qubits,
        layers=layers,
        draws=draws,
        key=jax.random.key(seed),
    )
    settings = {
        "dataset": dataset,
        "transforms": list(transforms),
        "draws": draws,
        "inputs": inputs,
        "qubits": qubits,
        "layers": layers,
        "angle_range": angle_range,
        "coefficient_scale": coefficient_scale,
        "seed": seed,
    }
    title = f"Gradients at the start of training: {dataset}, {inputs} inputs, {draws} draws"
    with folder_of(out) as folder:
        started = time.monotonic()
        points = _watched(measuring, len(qubits) * len(layers))
        decays = gradients.decays(points)
        plain = {
            "settings": settings,
            "same_at_start": {name: same for name, same in gradients.OBSERVABLES.items() if name != same},
            "points": gradients.as_plain(points),
            "decay_per_qubit": decays,
            "versions": versions(),
            "seconds": round(time.monotonic() - started, 1),
        }
        write_json(folder / DIAGNOSIS, plain)
        picture = draw_diagnosis(points, title, folder / DIAGNOSIS_PICTURE)
        _print_table(points, decays)
        tell(f"Written: {folder / DIAGNOSIS}, {picture}")
    return 0


def _check_left_out(given: Mapping[str, Any], where: str) -> None:
    """Refuse options that say nothing there, unless they are as by default."""
    for name, value in given.items():
        if value != inspect.signature(diagnose).parameters[name].default:
            raise ArgumentError(f"Argument `{name}` must be left out where {where}, but was {value}.")


def _landscape(
    what: Path | None,
    networks: Sequence[str],
    drawn: Literal["all", "quantum"],
    pairs: int,
    steps: int,
    inputs: int | None,
    seed: int,
    out: Path | None,
    data_dir: Path | None,
) -> int:
    from qdistill.cli.landscape import LANDSCAPE, diagnose_landscape
    from qdistill.evaluate.landscape import Sampling
    from qdistill.evaluate.transfer import PlainTraining

    if what is None or what.suffix.lower() == ".toml":
        raise ArgumentError(f"Argument `what` must be a bundle where there is a landscape, but was {what}.")
    if out is not None:
        check_free(out, LANDSCAPE)
    sampling = Sampling(drawn=drawn, pairs=pairs)
    if inputs is not None:
        sampling = dataclasses.replace(sampling, inputs=inputs)
    plain = PlainTraining(steps=steps)
    return diagnose_landscape(
        what, networks, sampling=sampling, plain=plain, seed=check_seed(seed), out=out, data_dir=data_dir
    )


def _watched(measuring: Any, total: int) -> list[Point]:
    """The points, while a bar on standard error tells how far it is."""
    from rich.progress import track

    points: list[Point] = []
    console = plain_console(stderr=True)
    for some in track(measuring, "Measuring", total=total, console=console, disable=not console.is_terminal):
        points += some
        if not console.is_terminal:
            first = some[0]
            console.print(f"{len(points) // len(some)}/{total}: {first.n_qubits} qubits, {first.n_layers} layers")
    return points


def _print_table(points: Sequence[Point], decays: Sequence[dict[str, Any]]) -> None:
    """For every depth: the variances of the smallest and the largest circuit, and the factor that a qubit brings."""
    from rich.table import Table

    few, many = min(point.n_qubits for point in points), max(point.n_qubits for point in points)
    tell("Variances over the draws: of the gradient by one of the circuit's weights, and by one of its features.")
    by_case = {(p.observable, p.skip, p.n_layers, p.n_qubits): p for p in points}
    for observable, skip in dict.fromkeys((row["observable"], row["skip"]) for row in decays):
        table = Table(title=f"{_SHOWN[observable]}, {skip}", title_justify="left", box=None, pad_edge=False)
        table.add_column("layers", justify="right")
        for place in ("weights", "features"):
            for n in dict.fromkeys((few, many)):
                table.add_column(f"{place}\n{n} qubits", justify="right")
            table.add_column("\nper qubit", justify="right", style="bold")
        table.add_column("all features\nper qubit", justify="right")
        for row in decays:
            if (row["observable"], row["skip"]) != (observable, skip):
                continue
            cells = [str(row["n_layers"])]
            for place in ("weights", "features"):
                for n in dict.fromkeys((few, many)):
                    cells.append(f"{getattr(by_case[observable, skip, row['n_layers'], n], place).mean:.2e}")
                cells.append(_factor(row[place]))
            table.add_row(*cells, _factor(row["features_total"]))
        with to_standard_output():
            plain_console().print(table)
    tell("A factor below 1 is what is left of the variance with one more qubit, by least squares on its logarithm.")


def _factor(value: float | None) -> str:
    return "-" if value is None else f"x {value:.2f}"
