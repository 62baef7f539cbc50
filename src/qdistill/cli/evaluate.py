"""`qdistill evaluate`: the replay of a bundle, as it is, on a noisy device, or from a number of shots."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, arg

from qdistill.cli.output import say, tell, tell_json
from qdistill.cli.shared import (
    NOT_COMPARED,
    OTHER_DATA,
    BundlePath,
    Cache,
    DataDir,
    accuracy,
    bundle_file,
    call,
    over_draws,
    rerun,
    say_other_data,
    spread,
    use_compilation_cache,
    with_noise,
)
from qdistill.errors import ArgumentError
from qdistill.fields import check_seed

if TYPE_CHECKING:
    from qdistill.distill.bundle import DistilledDataset
    from qdistill.evaluate.protocol import Evaluation

NOT_REPRODUCED = 3
"""The exit code of a replay that misses its record by more than its tolerance."""


def run(arguments: list[str]) -> int:
    """Parse and call."""
    return call(evaluate, arguments)


def evaluate(
    bundle: BundlePath,
    *,
    initialisations: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: its own alone)")] = None,
    shots: Annotated[int | None, arg(metavar="S", help_behavior_hint="(default: exact expectation values)")] = None,
    device: Annotated[str | None, arg(metavar="NAME|FILE.toml", help_behavior_hint="(default: none)")] = None,
    preparation: Literal["exact", "approximate", "ideal"] | None = None,
    draws: Annotated[
        int | None, arg(metavar="N", help_behavior_hint="(default: 10, of a curve 3, of landmarks 5)")
    ] = None,
    seed: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 0)")] = None,
    float64: Annotated[bool, FlagCreatePairsOff] = False,
    landmarks: Annotated[bool, FlagCreatePairsOff] = False,
    on: Annotated[
        tuple[str, ...], arg(metavar="NAME[:FIELD=VALUE,...]", help_behavior_hint="(default: its own network alone)")
    ] = (),
    steps: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 100; with --on only)")] = None,
    batch: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: all; with --on only)")] = None,
    curve: Annotated[bool, FlagCreatePairsOff] = False,
    out: Annotated[
        Path | None, arg(metavar="FILE.png", help_behavior_hint="(default: noise.png, with --curve)")
    ] = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, FlagCreatePairsOff, arg(name="json")] = False,
    compilation_cache: Cache = True,
) -> int:
    """Replay a bundle's training and measure the network on the test set.

    With --shots or --device, the whole replay is executed with noise: every expectation value of the training, of the
    shifted circuits that its gradients take on hardware, and of the test.

    The exit code is 3 where the replay gives another accuracy than was recorded, by more than rounding can.

    Args:
        bundle: a bundle file, the folder of a run, or a name of the zoo.
        initialisations: replay from so many random initial networks that the bundle was not distilled for; one for
            unknown initial weights is replayed from 20, or as many as its record is of.
        shots: shots for each measurement setting of each circuit.
        device: the device whose noise the circuits have: a fake backend such as fake_sherbrooke, or a TOML file.
        preparation: noise of the state preparation on the device; exact by default, approximate is faster.
        draws: independent replays, each with shots of its own.
        seed: decides the shots, the initial networks or the landmarks.
        float64: replay in double precision too, and say how many test inputs get another class there.
        landmarks: compare the support points of a kernel with as many random points, k-means centres and Nyström
            landmarks, and keep that beside a run for its report.
        on: train these networks on the examples, each from draws of its initial weights, in the bundle's steps and with
            Adam at a learning rate chosen on the validation part: names of architectures, or own, each with fields that
            differ, such as own:n_layers=2; and keep that beside a run for its report.
        steps: gradient steps with Adam.
        batch: examples of each of them, in random order.
        curve: draw the accuracy against the shots and, with a device, against a factor on its error rates.
        out: where to draw the curve.
        data_dir: where the dataset's files lie.
        as_json: print one JSON object and nothing else.
        compilation_cache: keep compiled programs in the user's cache folder.
    """
    noisy = shots is not None or device is not None or curve
    others = {"initialisations": initialisations is not None, "float64": float64, "shots": shots is not None}
    others |= {"device": device is not None, "curve": curve}
    _check_on(on, steps, batch, {"landmarks": landmarks, **others})
    for name, is_given in others.items():
        if landmarks and is_given:
            raise ArgumentError(f"Argument `{name}` must be left out with `landmarks`.")
    if float64 and (noisy or initialisations is not None):
        raise ArgumentError(
            "Argument `float64` must be left out with `shots`, `device`, `curve` and `initialisations`."
        )
    if initialisations is not None and noisy:
        raise ArgumentError("Argument `initialisations` must be left out with `shots`, `device` and `curve`.")
    for name, value in {"preparation": preparation, "draws": draws}.items():
        if value is not None and not noisy and not ((landmarks or on) and name == "draws"):
            raise ArgumentError(f"Argument `{name}` must be given together with `shots` or `device` only.")
    if seed is not None and not noisy and not landmarks and not on and initialisations is None:
        raise ArgumentError("Argument `seed` must be given together with `shots`, `device` or `initialisations` only.")
    drawn_by = check_seed(seed or 0)
    if preparation is not None and device is None:
        raise ArgumentError("Argument `preparation` must be given together with `device` only.")
    if curve and shots is not None and device is None:
        raise ArgumentError("Argument `shots` must be given with `curve` only where there is a `device`.")
    if out is not None and (not curve or out.suffix.lower() != ".png"):
        raise ArgumentError(f"Argument `out` must end in .png and be given with `curve`, but was {str(out)!r}.")
    if out is not None and not out.parent.is_dir():
        raise ArgumentError(f"Argument `out` must lie in a folder that exists, but was {str(out)!r}.")
    path = bundle_file(bundle)
    if compilation_cache:
        use_compilation_cache()
    from qdistill.distill.bundle import DistilledDataset

    loaded = DistilledDataset.load(path)
    if on:
        from qdistill.cli.transfer import evaluate_on
        from qdistill.evaluate.protocol import DRAWS
        from qdistill.evaluate.transfer import PlainTraining

        training = PlainTraining(steps=100 if steps is None else steps, batch=batch)
        count = DRAWS if draws is None else draws
        return evaluate_on(
            loaded, bundle, path, on, training, draws=count, seed=drawn_by, data_dir=data_dir, as_json=as_json
        )
    if loaded.drawn_anew is not None:
        for name, is_given in {"landmarks": landmarks, **others}.items():
            if is_given and name != "initialisations":
                raise ArgumentError(
                    f"Argument `{name}` must be left out for a bundle of unknown initial weights. For one draw, "
                    "make a bundle of it: `qdistill export BUNDLE --to bundle --seed N`."
                )
        return _exact(loaded, path, data_dir, as_json, draws=initialisations, seed=drawn_by)
    if initialisations is not None:
        return _unknown(loaded, path, initialisations, drawn_by, data_dir, as_json)
    if landmarks:
        from qdistill.cli.landmarks import evaluate_landmarks

        count = 5 if draws is None else draws
        return evaluate_landmarks(loaded, bundle, path, draws=count, seed=drawn_by, data_dir=data_dir, as_json=as_json)
    if float64:
        return _in_float64(loaded, path, data_dir, as_json)
    if not noisy:
        return _exact(loaded, path, data_dir, as_json)
    from qdistill.cli.noisy import evaluate_noisy

    return evaluate_noisy(
        loaded,
        bundle,
        path,
        shots=shots,
        device=device,
        preparation=preparation or "exact",
        draws=draws,
        seed=drawn_by,
        curve=curve,
        out=out,
        data_dir=data_dir,
        as_json=as_json,
    )


def _check_on(on: tuple[str, ...], steps: int | None, batch: int | None, others: dict[str, bool]) -> None:
    """Make sure that what is for other networks is given with them, and nothing else is."""
    for name, value in {"steps": steps, "batch": batch}.items():
        if value is not None and not on:
            raise ArgumentError(f"Argument `{name}` must be given together with `on` only, but was {value}.")
    for name, is_given in others.items():
        if on and is_given:
            raise ArgumentError(f"Argument `{name}` must be left out with `on`.")


def _exact(
    loaded: DistilledDataset,
    path: Path,
    data_dir: Path | None,
    as_json: bool,
    *,
    draws: int | None = None,
    seed: int | None = None,
) -> int:
    from qdistill.evaluate.protocol import replay

    result = replay(loaded, data_dir=data_dir, draws=draws, seed=seed)
    if as_json:
        plain = {"bundle": str(path), "dataset": loaded.dataset, "reproduced": result.reproduced}
        tell_json({**plain, **_plain(result)})
    else:
        tell(f"{path} on the test set of {loaded.dataset}")
        recorded = loaded.record
        tell(f"  test accuracy      {accuracy(result.test_accuracy, result.n_test)}{over_draws(result.draws)}")
        if result.interval is not None:
            low, high = result.interval
            tell(f"  95 % interval      {low:.2%} to {high:.2%}, of the mean over draws")
        tell(
            f"  recorded           {accuracy(result.recorded_test_accuracy, recorded.n_test)}"
            f"{over_draws(recorded.test_draws)}"
        )
    return _compared(result)


def _plain(result: Evaluation) -> dict[str, Any]:
    """An evaluation as plain data, with what is of draws only where there are some."""
    plain = dataclasses.asdict(result)
    of_draws = {name: plain.pop(name) for name in ("draws", "same_draws")}
    if not result.draws:
        return plain
    return {**plain, **of_draws, "spread": result.spread, "worst": result.worst, "interval": result.interval}


def _compared(result: Evaluation) -> int:
    """Say, beside the result, whether the record was met; the exit code."""
    if result.same_data is False:
        say(f"{OTHER_DATA} {NOT_COMPARED}")
    if result.reproduced is not False:
        return 0
    say(
        f"The replay does not give the recorded accuracy: {result.test_accuracy:.2%} instead of "
        f"{result.recorded_test_accuracy:.2%}, where up to {result.tolerance:.2%} to either side could be rounding."
    )
    return NOT_REPRODUCED


def _in_float64(loaded: DistilledDataset, path: Path, data_dir: Path | None, as_json: bool) -> int:
    from qdistill.data import Labelled
    from qdistill.evaluate.protocol import Evaluation, tolerance_of
    from qdistill.evaluate.rounding import rounding

    raw = loaded.origin.load(data_dir)
    test = Labelled(loaded.fitted(raw).test_inputs, raw.test_labels)
    (found,) = rounding(loaded, test, draws=0)
    recorded, checked = loaded.record, None if loaded.rounding is None else loaded.rounding.test
    same = loaded.made_from(raw)
    result = Evaluation(found.accuracy, recorded.test_accuracy, found.n, same, tolerance_of(loaded))
    if as_json:
        plain = {"bundle": str(path), "dataset": loaded.dataset, "reproduced": result.reproduced}
        then = {"float64": dataclasses.asdict(found.float64)}
        before = None if checked is None else dataclasses.asdict(checked.float64)
        tell_json({**plain, **_plain(result), **then, "recorded_float64": before})
    else:
        tell(f"{path} on the test set of {loaded.dataset}")
        tell(f"  test accuracy      {accuracy(found.accuracy, found.n)}")
        tell(f"  recorded           {accuracy(recorded.test_accuracy, recorded.n_test)}")
        tell(f"  in float64         {rerun(found.float64, found.n)}")
        tell(f"  recorded           {'not measured' if checked is None else rerun(checked.float64, checked.n)}")
        if checked is not None:
            tell(f"  with noise         {with_noise(checked)} (recorded)")
    return _compared(result)


def _unknown(loaded: DistilledDataset, path: Path, count: int, seed: int, data_dir: Path | None, as_json: bool) -> int:
    import jax

    from qdistill.evaluate.protocol import replay_unknown

    result = replay_unknown(loaded, initialisations=count, key=jax.random.key(seed), data_dir=data_dir)
    say_other_data(loaded, loaded.origin.load(data_dir), NOT_COMPARED)
    if as_json:
        plain = {"bundle": str(path), "dataset": loaded.dataset, "initialisations": count, "seed": seed}
        tell_json({**plain, **dataclasses.asdict(result)})
        return 0
    tell(f"{path} on the test set of {loaded.dataset}, from initial weights that it was not distilled for")
    tell(f"  test accuracy      {spread(result)}")
    tell(f"  from its own       {accuracy(loaded.record.test_accuracy, loaded.record.n_test)}")
    return 0
