"""Random damage to everything that is read: it is refused by name, or it means what it says.

Ten seconds from a fixed seed; `pytest tests/test_fuzz.py --fuzz-seconds 3600 --fuzz-seed 7` goes on elsewhere for an
hour. A failure names the seed and the number of the case, from which the same case comes again.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import QDistillError
from qdistill.evaluate.rates import read_rates
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.recipe import Recipe
from qdistill.experiments.recipe_file import read_recipe
from qdistill.files import shipped
from qdistill.quantum import AmplitudeEmbedding, Circuit, DeviceModel, Hermitian, PauliZ, QuantumLayer, each_wire
from qdistill.quantum.ansatz import StronglyEntangling

pytestmark = pytest.mark.usefixtures("unchecked")

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**7, 10**30, -(2**63), 2**63, 0.5, -0.0, 1e-300, 1e308, 10.0, 10.5),
    *("", "0", "false", "no", "1e4", "mnist", "hermitian", "\ud800", "\x1b[31m", "a" * 5000, "$\\frac$", "é"),
    *([], [[]], [1, 2], ["a"], {}, {"a": 1}, [None]),
)
"""What stands in the place of a value: each JSON type, the ends of number ranges, and texts that mean something."""


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> Callable[[str], Iterator[random.Random]]:
    """Gives generators of random numbers, six at least, until the subject's share of the time is over."""
    seed, seconds = request.config.getoption("--fuzz-seed"), request.config.getoption("--fuzz-seconds")

    def generate(subject: str) -> Iterator[random.Random]:
        until, number = time.monotonic() + seconds / N_SUBJECTS, 0
        while number < 6 or time.monotonic() < until:
            print(f"case {number} of seed {seed}", end="\r")  # shown where a case fails
            yield random.Random(f"{subject} {seed} {number}")
            number += 1

    return generate


def places(plain: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value within a JSON document, containers included."""
    found = [path] if path else []
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def damaged(plain: Any, rng: random.Random) -> Any:
    """A copy with one value replaced, left out, repeated or renamed."""
    copy = json.loads(json.dumps(plain))
    *parents, last = rng.choice(places(copy))
    owner = copy
    for key in parents:
        owner = owner[key]
    kind = rng.choice(("replace", "replace", "replace", "remove", "rename", "nudge"))
    if kind == "remove":
        del owner[last]
    elif kind == "rename" and isinstance(owner, dict):
        owner[rng.choice(("x", str(last).upper(), f"{last} ", ""))] = owner.pop(last)
    elif kind == "nudge" and isinstance(owner[last], int | float) and not isinstance(owner[last], bool):
        owner[last] = rng.choice(
            (owner[last] + 1, -owner[last], owner[last] * 1000, float(owner[last]), str(owner[last]))
        )
    else:
        owner[last] = rng.choice(ODD_VALUES)
    return copy


def same(one: Any, other: Any) -> bool:
    """Whether two JSON documents are equal, with the type of every value but for whole numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def test_recipes(cases: Callable[[str], Iterator[random.Random]]) -> None:
    plain = [default_recipe(name).to_json() for name in ("mnist", "cifar10", "digits")]
    for rng in cases("recipes"):
        given = damaged(rng.choice(plain), rng)
        try:
            recipe = Recipe.from_json(given)
        except QDistillError:
            continue
        # What is taken has the meaning that was written: nothing became something else on the way.
        assert same(recipe.to_json(), given), given


def test_recipe_files(cases: Callable[[str], Iterator[random.Random]], tmp_path: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(shipped("recipes").glob("*/*.toml"))]
    values = ("true", "false", "0", "-1", "10.5", '"false"', "[]", "{}", "1e4", "nan", "inf", "2024-01-01", '"x"')
    path = tmp_path / "recipe.toml"
    for rng in cases("recipe files"):
        lines = rng.choice(texts).splitlines()
        at = rng.randrange(len(lines))
        name, equals, _ = lines[at].partition("=")
        lines[at] = f"{name}= {rng.choice(values)}" if equals else rng.choice((lines[at], "", "[", "[inner]"))
        path.write_bytes("\n".join(lines).encode() if rng.random() < 0.9 else rng.randbytes(40))
        try:
            recipe = read_recipe(path)
        except QDistillError:
            continue
        assert Recipe.from_json(recipe.to_json()) == recipe


@pytest.fixture(scope="module")
def bundle_bytes() -> bytes:
    return (shipped("zoo") / "mnist-10-qlenet-one-step.safetensors").read_bytes()


def opened(content: bytes) -> tuple[dict[str, Any], Any, bytes]:
    """The container's entries, the header in it, and the arrays."""
    start = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:start])
    return entries, json.loads(entries["__metadata__"]["header"]), content[start:]


def closed(entries: dict[str, Any], header: Any, arrays: bytes) -> bytes:
    """A file of these; what JSON cannot hold is written as Python does."""
    metadata = entries["__metadata__"] | {"header": json.dumps(header)}
    text = json.dumps(entries | {"__metadata__": metadata}).encode()
    return len(text).to_bytes(8, "little") + text + arrays


def test_bundle_headers(cases: Callable[[str], Iterator[random.Random]], bundle_bytes: bytes, tmp_path: Path) -> None:
    entries, header, arrays = opened(bundle_bytes)
    path = tmp_path / "bundle.safetensors"
    for rng in cases("headers"):
        changed = damaged(header, rng)
        path.write_bytes(closed(entries, changed, arrays))
        try:
            bundle = DistilledDataset.load(path)
        except QDistillError:
            continue
        bundle.save(path)
        _, kept, _ = opened(path.read_bytes())
        assert same(kept, changed)


def test_bundle_bytes(cases: Callable[[str], Iterator[random.Random]], bundle_bytes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bundle.safetensors"
    path.write_bytes(bundle_bytes)
    whole = DistilledDataset.load(path)
    for rng in cases("bytes"):
        content = bytearray(bundle_bytes)
        for _ in range(rng.choice((1, 1, 1, 8))):
            content[rng.randrange(len(content) if rng.random() < 0.5 else 4000)] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            bundle = DistilledDataset.load(path)
        except QDistillError:
            continue
        # Only what says where it came from may differ, never a number that a training reads.
        for name, weight in whole.initial_weights.items():
            np.testing.assert_array_equal(bundle.initial_weights[name], weight)
        for name in ("inputs", "labels", "step_sizes", "schedule"):
            np.testing.assert_array_equal(getattr(bundle.data, name), getattr(whole.data, name))


def test_device_files_and_rate_cards(cases: Callable[[str], Iterator[random.Random]], tmp_path: Path) -> None:
    device = "n_wires = 2\none_qubit_error = 0.001\none_qubit_time = 1e-8\nt1 = [1e-4, 2e-4]\nt2 = 1e-4\n"
    device += "readout = [0.01, 0.02]\ntwo_qubit_error = 0.01\ntwo_qubit_time = 1e-7\n"
    card = (
        '[[card]]\nname = "x"\ncurrency = "EUR"\ndate = "2025-01-01"\nsource = "here"\nper_shot = 0.1\nper_task = 1.0\n'
    )
    values = ("true", "-1", "1e9", "1e400", "nan", '"0.1"', "[]", "[0.1]", "[[1]]", "{}", "1", "9" * 400, "10000000000")
    path = tmp_path / "file.toml"
    lengths: list[int] = []
    for rng in cases("devices"):
        read, text = rng.choice(((DeviceModel.from_toml, device), (read_rates, card)))
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        name, equals, _ = lines[at].partition("=")
        lines[at] = f"{name}= {rng.choice(values)}" if equals else rng.choice(("", "[x]", "x = 1"))
        path.write_text("\n".join(lines), encoding="utf-8")
        try:
            read(path)
        except QDistillError as error:
            lengths.append(len(str(error)))
    assert max(lengths) < 2000, "an error is read by a person"


def jax_array(numbers: np.ndarray) -> Any:
    """The numbers as JAX has them; it knows no foreign byte order."""
    return jnp.asarray(numbers.astype(numbers.dtype.newbyteorder("=")))


REAL_TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", ">f4", ">i2"),
)
COMPLEX_TYPES = ("complex64", "complex128")


def test_numbers(cases: Callable[[str], Iterator[random.Random]]) -> None:
    ansatz = StronglyEntangling(2, 2)
    circuit: Circuit = ansatz.circuit()
    wires = each_wire(2)
    observables = (PauliZ(wires), Hermitian(jnp.array([[0.3, 1, 0, 0], [0, 0, 0.5, 2]]), wires))
    for rng in cases("numbers"):
        numbers = np.random.default_rng(rng.getrandbits(32))
        kind = rng.choice((*REAL_TYPES, *COMPLEX_TYPES))
        dtype = jnp.bfloat16 if kind == "bfloat16" else np.dtype(kind)
        features = (numbers.uniform(0, 100, 4)).astype(dtype)
        angles = numbers.integers(0, 2, ansatz.weight_shape).astype(dtype)
        if rng.random() < 0.3:
            features = features[::-1]
        observable = rng.choice(observables)
        try:
            layer = QuantumLayer(AmplitudeEmbedding(2), circuit, rng.choice((np.array, jax_array))(angles), observable)
            values = layer(rng.choice((np.array, jax_array, list))(features))
        except QDistillError:
            values = None
        assert (values is None) == (kind in COMPLEX_TYPES), kind
        if values is None:
            continue
        exact = QuantumLayer(AmplitudeEmbedding(2), circuit, jnp.asarray(angles.astype(np.float32)), observable)(
            jnp.asarray(features.astype(np.float32))
        )
        np.testing.assert_allclose(values, exact, atol=2e-5, err_msg=kind)
        assert all(math.isfinite(value) for value in np.asarray(values, float))


N_SUBJECTS = 6
"""Among which the time is shared out."""
