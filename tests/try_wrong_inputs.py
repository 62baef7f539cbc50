"""Ten inputs of each of eleven kinds that once gave a wrong answer without a word, and what each gives now.

    python tests/try_wrong_inputs.py [KIND ...]

Every line is an input and its outcome: ``value`` where it has one meaning, held against float64 NumPy or against the
same thing written otherwise; ``refused`` with the first words of the error; and ``said`` where something goes on and
says what is unusual. The last line counts what was silently wrong, which is the exit code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import decimal
import io
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import qdistill
from qdistill.cli import main
from qdistill.data import Images, source
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import QDistillError
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.recipe_file import read_recipe
from qdistill.models import LeNetArchitecture
from qdistill.quantum import AmplitudeEmbedding, Circuit, Operation, PauliZ, QuantumLayer, each_wire, feature, weight

Outcome = tuple[str, str]
HERE = Path(tempfile.mkdtemp())


def tried(call: Callable[[], Any], right: Callable[[Any], bool], said: str = "") -> Outcome:
    """What a call gives: a right value, an error that names what was wrong, or silence about a wrong one."""
    try:
        value = call()
    except QDistillError as error:
        return "refused", " ".join(str(error).split())[:150]
    except Exception as error:
        return "WRONG", f"{type(error).__name__}: {error}"[:150]
    text = f"{value}".replace("\n", " ")[:80]
    return (said or "value", text) if right(value) else ("WRONG", text)


def never(_: Any) -> bool:
    """For what must be refused: no value is right."""
    return False


def command(*words: str | Path) -> tuple[int, str]:
    """The exit code of a command and what it said, on both streams."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(word) for word in words])
    return code, " ".join(said.getvalue().split())


def refused_command(*words: str | Path, wanted: str = "error:") -> Outcome:
    """The outcome of a command that has to end with an error."""
    code, text = command(*words)
    at = text.find(wanted)
    return (
        ("refused", text[at : at + 150]) if code and at >= 0 and "this is a bug" not in text else ("WRONG", text[:150])
    )


# 1. Numbers of any type


def numbers() -> Iterator[tuple[str, Outcome]]:
    """A Pauli-Z on |x> / |x| is (x0^2 - x1^2) / (x0^2 + x1^2)."""
    layer = QuantumLayer(AmplitudeEmbedding(1), Circuit(1), jnp.zeros(0), PauliZ(((0,),)))

    def z(numbers: Any) -> float:
        x = np.asarray(numbers, float)
        return float((x[0] ** 2 - x[1] ** 2) / (x**2).sum())

    def near(wanted: float) -> Callable[[Any], bool]:
        return lambda value: bool(np.allclose(value, wanted, atol=1e-3))

    for values, kind in (
        ([127, -127], "int8"), ([250, 3], "uint8"), ([40000, 50000], "uint16"), ([2**31 - 1, 2**30], "int64"),
        ([300.0, 200.0], "float16"), ([1e-3, 2e-3], "float32"), ([True, False], "bool"), ([3e4, 1e4], ">f8"),
    ):  # fmt: skip
        given = np.array(values, kind)
        yield f"features {kind} {values}", tried(lambda given=given: layer(given), near(z(values)))
    yield "features complex128 [1j, 0]", tried(lambda: layer(np.array([1j, 0])), never)
    yield (
        "features Decimal",
        tried(lambda: layer([decimal.Decimal("0.3"), decimal.Decimal("0.4")]), near(z([0.3, 0.4]))),
    )


# 2. Angles as functions


def angles() -> Iterator[tuple[str, Outcome]]:
    """An angle is read from how it is computed; polynomials are taken and anything else is refused."""
    import pennylane as qml

    def circuit(function: Callable[[Any], Any]) -> Any:
        return qdistill.from_pennylane(lambda w: qml.RX(function(w), wires=0), 1, weight_shape=(3,))

    def gives(function: Callable[[Any], Any]) -> Callable[[Any], bool]:
        w = np.array([0.3, -1.2, 2.5])
        return lambda made: bool(np.isclose(made.operations[0].angles[0].value(w, ()), function(w)))

    for text, function in (
        ("sign(w0) * w1", lambda w: jnp.sign(w[0]) * w[1]),
        ("round(w0)", lambda w: jnp.round(w[0])),
        ("minimum(w0, 5)", lambda w: jnp.minimum(w[0], 5.0)),
        ("sqrt(w2**2)", lambda w: jnp.sqrt(w[2] ** 2)),
        ("w[argmax(w)]", lambda w: w[jnp.argmax(w)]),
        ("sort(w)[0]", lambda w: jnp.sort(w)[0]),
        ("floor(w0 / 100)", lambda w: jnp.floor(w[0] / 100)),
    ):
        yield text, tried(lambda f=function: circuit(f), never)
    for text, function in (
        ("w @ (1, 2, 3)", lambda w: w @ jnp.array([1.0, 2.0, 3.0])),
        ("w0 * w1 - w2**2", lambda w: w[0] * w[1] - w[2] ** 2),
        ("mean(cumsum(w))", lambda w: jnp.mean(jnp.cumsum(w))),
    ):
        yield text, tried(lambda f=function: circuit(f), gives(lambda w, f=function: float(f(jnp.asarray(w)))))


# 3. Batches


def batches() -> Iterator[tuple[str, Outcome]]:
    """A batch gives what its rows give one by one, or one vector is asked for."""
    import pennylane as qml

    reading = Circuit(2, (Operation("RY", (0,), (feature(1),)), Operation("RX", (1,), (weight(0),))))
    layer = QuantumLayer(AmplitudeEmbedding(2), reading, jnp.array([0.4]), PauliZ(each_wire(2)))
    for shape in ((4, 4), (3, 4), (1, 4), (2, 4), (4,), (2, 2, 4), (4, 3), (5,), (4, 1), ()):
        features = np.random.default_rng(0).uniform(0.1, 1, shape).astype(np.float32)

        def exported(features: Any = features) -> Any:
            made = qdistill.to_pennylane(layer)
            qnode = qml.QNode(made.function, qml.device("default.qubit", wires=2))
            return np.stack(qnode(features, **made.weights), axis=-1)

        def right(values: Any, features: Any = features) -> bool:
            one_by_one = np.stack([np.asarray(layer(row)) for row in np.atleast_2d(features)])
            return bool(np.allclose(values.reshape(one_by_one.shape), one_by_one, atol=1e-5))

        yield f"features {shape}", tried(exported, right)


# 4. A bundle and other data


def other_data() -> Iterator[tuple[str, Outcome]]:
    """The bundle of a tiny run on digits meets variants of what it was made from."""
    folder = tiny_run()
    bundle, raw = DistilledDataset.load(folder / "bundle.safetensors"), source("digits").load()
    recorded = bundle.record.test_accuracy

    def arrays(train: Any, test: Any, *, names: Any = raw.class_names, labels: Any = None, scale: Any = None) -> Any:
        test_labels = raw.test_labels if labels is None else labels
        return Images(train, raw.train_labels, test, test_labels, class_names=names, name="digits", scale=scale)

    def same(result: Any) -> bool:
        return bool(result.test_accuracy == recorded)

    def tells(result: Any) -> bool:
        return not result.same_data

    train, test = raw.train_inputs, raw.test_inputs
    changed = test.copy()
    changed[0, 0, 0, 0] += 9
    cases: tuple[tuple[str, Callable[[], Any], Callable[[Any], bool], str], ...] = (
        ("inputs / 255 in float32", lambda: arrays(train / np.float32(255), test / np.float32(255)), same, ""),
        ("inputs / 255 in float64", lambda: arrays(train / 255, test / 255), same, ""),
        ("uint16 with scale=255", lambda: arrays(train.astype("u2"), test.astype("u2"), scale=255), same, ""),
        ("training part / 255, test part not", lambda: arrays(train / 255, test.astype(float)), never, ""),
        ("test part / 255, training part not", lambda: arrays(train.astype(float), test / 255), never, ""),
        ("class names reversed", lambda: arrays(train, test, names=raw.class_names[::-1]), never, ""),
        ("class names as words", lambda: arrays(train, test, names=tuple("abcdefghij")), never, ""),
        ("one pixel changed", lambda: arrays(train, changed), tells, "said"),
        ("test inputs inverted", lambda: arrays(train, 255 - test), tells, "said"),
        (
            "labels of the test part shifted",
            lambda: arrays(train, test, labels=(raw.test_labels + 1) % 10),
            tells,
            "said",
        ),
    )
    for text, made, right, said in cases:
        yield text, tried(lambda made=made: qdistill.replay(bundle, dataset=made()), right, said)


# 5. Channels first


def channels_first() -> Iterator[tuple[str, Outcome]]:
    """Both orders of axes; what is refused names the transposition."""
    for shape, good in (
        ((20, 3, 28, 28), False), ((20, 1, 32, 32), False), ((20, 3, 32, 16), False), ((20, 3, 64, 64), False),
        ((20, 1, 28, 28), False), ((20, 3, 8, 8), False), ((20, 28, 28, 1), True), ((20, 32, 32, 3), True),
        ((20, 28, 28), True), ((20, 16, 16, 4), True),
    ):  # fmt: skip
        inputs, labels = np.zeros(shape, np.uint8), np.arange(20) % 10
        inputs[::2] = 9
        right = (
            (lambda made, shape=shape: made.input_shape == (shape if len(shape) == 4 else (*shape, 1))[1:])
            if good
            else never
        )
        yield f"inputs {shape}", tried(lambda i=inputs, n=labels: Images(i, n, i, n), right)


# 6. Recipe values


def recipe_values() -> Iterator[tuple[str, Outcome]]:
    """Files of two lines."""
    for table, line in (
        ("", 'n_validation = "500"'), ("", "seed = -3"), ("", "seed = [1]"), ("inner", 'own_examples = "no"'),
        ("inner", "steps = 2.5"), ("inner", "steps = true"), ("outer", "average = false"), ("outer", 'clip = "2"'),
        ("compression", "step_size = inf"), ("model", 'n_qubits = "six"'),
    ):  # fmt: skip
        path = HERE / "recipe.toml"
        path.write_text('dataset = "mnist"\n' + (f"[{table}]\n" if table else "") + line + "\n", encoding="utf-8")
        yield f"{table or 'recipe'}: {line}", tried(lambda path=path: read_recipe(path), never)


# 7. Resuming


def tiny_run() -> Path:
    """A run of a few iterations, made once."""
    folder = HERE / "tiny"
    if not folder.exists():
        default = default_recipe("digits")
        recipe = dataclasses.replace(
            default,
            model=LeNetArchitecture(),
            outer=dataclasses.replace(default.outer, iterations=4, validate_every=2, batch=16),
        )
        qdistill.run(recipe, folder)
    return folder


def resuming() -> Iterator[tuple[str, Outcome]]:
    """A stopped run whose recipe was edited by hand."""
    for part, name, value in (
        ("", "seed", 5), ("outer", "learning_rate", 0.5), ("outer", "iterations", 9), ("outer", "batch", 8),
        ("outer", "average", 0.5), ("inner", "steps", 5), ("inner", "optimiser", "adam"),
        ("compression", "labels", "fixed"), ("", "n_validation", 150), ("", "transforms", ()),
    ):  # fmt: skip
        folder = HERE / f"resume-{part}-{name}"
        shutil.copytree(tiny_run(), folder)
        for file in ("bundle.safetensors", "scores.json"):
            (folder / file).unlink()
        plain = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        (plain[part] if part else plain)[name] = value
        (folder / "recipe.json").write_text(json.dumps(plain), encoding="utf-8")
        yield f"{part or 'recipe'}.{name} = {value!r}", refused_command("distill", "--resume", folder)


# 8. Two writers


def _hold(folder: Path, ready: Any, done: Any) -> None:
    from qdistill.folders import holding

    with holding(folder):
        ready.set()
        done.wait(120)


def two_writers() -> Iterator[tuple[str, Outcome]]:
    """Another process holds the folder while a command wants to write into it."""
    run = HERE / "held"
    shutil.copytree(tiny_run(), run)
    (run / "scores.json").unlink()
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(run, ready, done))
    holder.start()
    ready.wait(60)
    file = HERE / "two.toml"
    file.write_text('dataset = "digits"\n', encoding="utf-8")
    try:
        for words in (
            ("distill", "--resume", run), ("distill", "digits", "--out", run), ("distill", file, "--out", run),
            ("distill", "digits", "--seed", "1", "--out", run), ("distill", "digits", "--seeds", "0:2", "--out", run),
            ("execute", "mnist-10-qlenet-one-image", "--backend", "exact", "--out", run),
            ("compress", run, run / "bundle.safetensors"), ("diagnose", "--out", run),
            ("paper", "table1", "--from-zoo", "--out", run),
            ("distill", "--resume", run, "--outer.iterations", "9"),
        ):  # fmt: skip
            yield (
                " ".join(Path(word).name if isinstance(word, Path) else word for word in words),
                refused_command(*words),
            )
    finally:
        done.set()
        holder.join(60)


# 9. Keys twice


def keys_twice() -> Iterator[tuple[str, Outcome]]:
    """The second of two keys must not win: in each object of a bundle's header, and in the container's."""
    content = (tiny_run() / "bundle.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    container = content[8:start].decode()
    entries = json.loads(container)
    header = entries["__metadata__"]["header"]
    path = HERE / "forged.safetensors"
    for key in ("record", "dataset", "class_names", "recipe", "architecture", "steps", "seed", "test_accuracy"):
        at = header.index(f'"{key}":')
        forged = json.loads(container)
        forged["__metadata__"]["header"] = header[:at] + f'"{key}": null, ' + header[at:]
        write_container(path, json.dumps(forged), content[start:])
        yield f"header: {key}", tried(lambda: DistilledDataset.load(path), never)
    for key in ("inputs", "labels"):
        at = container.index(f'"{key}":')
        write_container(path, container[:at] + f'"{key}":{json.dumps(entries[key])},' + container[at:], content[start:])
        yield f"container: {key}", tried(lambda: DistilledDataset.load(path), never)


def write_container(path: Path, text: str, arrays: bytes) -> None:
    """A safetensors file of a text and arrays."""
    path.write_bytes(len(text.encode()).to_bytes(8, "little") + text.encode() + arrays)


# 10. What is not finite


def not_finite() -> Iterator[tuple[str, Outcome]]:
    """Bundles whose training ends in NaN, made in memory, and files with a flipped bit."""
    bundle = DistilledDataset.load(tiny_run() / "bundle.safetensors")
    name = next(iter(bundle.initial_weights))

    def with_(field: str, change: Callable[[Any], Any]) -> DistilledDataset:
        data = bundle.data
        changed = {n: getattr(data, n) for n in ("inputs", "labels", "step_sizes", "schedule")}
        return dataclasses.replace(bundle, data=type(data)(**{**changed, field: change(changed[field])}))

    for text, made in (
        ("a step size of 1e30", lambda: with_("step_sizes", lambda a: a.at[0, 0].set(1e30))),
        ("all step sizes 1e9", lambda: with_("step_sizes", lambda a: a * 0 + 1e9)),
        ("a pixel of 1e38", lambda: with_("inputs", lambda a: a.at[0, 5, 5, 0].set(1e38))),
        ("a pixel NaN", lambda: with_("inputs", lambda a: a.at[0, 5, 5, 0].set(jnp.nan))),
        ("a label of infinity", lambda: with_("labels", lambda a: a.at[0, 0].set(jnp.inf))),
        (
            "weights of 1e38",
            lambda: dataclasses.replace(
                bundle, initial_weights={**bundle.initial_weights, name: bundle.initial_weights[name] + 1e38}
            ),
        ),
    ):
        yield text, tried(lambda made=made: qdistill.replay(made()), never)
    content = (tiny_run() / "bundle.safetensors").read_bytes()
    for place in (-3, -1001, -5003, -20003):  # the exponent's byte of a little-endian float32
        forged = bytearray(content)
        forged[place] ^= 0x40
        path = HERE / "flipped.safetensors"
        path.write_bytes(forged)
        yield f"bit 6 of byte {place} flipped", refused_command("evaluate", path)


# 11. Class names


def class_names() -> Iterator[tuple[str, Outcome]]:
    """All known before a run: when the dataset is made."""
    inputs, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    inputs[::2] = 9
    for names in (
        (1.5, 2.5), (None, "b"), (b"a", b"b"), (True, False), ("a", "a"), ("a", ""), ("a", "\ud800"), "ab",
        ("a",), {"a", "b"},
    ):  # fmt: skip
        yield (
            f"class_names = {names!r}",
            tried(lambda n=names: Images(inputs, labels, inputs, labels, class_names=n), never),
        )


KINDS: dict[str, Callable[[], Iterator[tuple[str, Outcome]]]] = {
    "1 numbers": numbers,
    "2 angles": angles,
    "3 batches": batches,
    "4 other data": other_data,
    "5 channels first": channels_first,
    "6 recipe values": recipe_values,
    "7 resuming": resuming,
    "8 two writers": two_writers,
    "9 keys twice": keys_twice,
    "10 not finite": not_finite,
    "11 class names": class_names,
}


def run(asked: list[str]) -> int:
    """Try all kinds, or those whose names begin like one that is asked for."""
    wrong = total = 0
    for kind, cases in KINDS.items():
        if asked and not any(kind.startswith(start) for start in asked):
            continue
        print(f"\n{kind}: {(cases.__doc__ or '').splitlines()[0]}")
        for text, (how, what) in cases():
            total += 1
            wrong += how == "WRONG"
            print(f"  {text:<40} {how:<8} {what}", flush=True)
    print(f"\n{total} inputs, {wrong} silently wrong")
    return wrong


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        sys.exit(run(sys.argv[1:]))
    finally:
        shutil.rmtree(HERE, ignore_errors=True)
