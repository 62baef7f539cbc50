"""Bundles with a byte a number: the levels, the file, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import load_file, save

from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.bundle_file import digest
from qdistill.distill.eight_bit import on_levels, packed, quantised, restored, unpacked
from qdistill.distill.record import Record
from qdistill.errors import BundleError
from qdistill.models import QuantumLeNetArchitecture, named_weights

from .numpy_replay import Replay, read_bundle
from .samples import random_bundle

# Levels that are not below the resolution of the largest value.
NUMBERS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=4, max_side=6),
    elements=st.integers(-4000, 4000).map(lambda n: float(np.float32(n / 977))),
)


@given(array=NUMBERS, by_image=st.booleans())
def test_values_go_to_the_nearest_of_256_levels(array: np.ndarray, by_image: bool) -> None:
    axes = tuple(range(int(by_image), array.ndim))
    codes, low, step = quantised(array, axes)
    values = restored(codes, low, step)
    assert codes.dtype == np.uint8
    assert values.dtype == np.float32
    span = array.max(axis=axes, keepdims=True) - array.min(axis=axes, keepdims=True)
    # Half a level, and the step's own rounding to 12 bits over 255 levels.
    assert (np.abs(values - array) <= span / 255 * 0.54 + 1e-6).all()
    once = on_levels(array, axes)
    np.testing.assert_array_equal(on_levels(once, axes), once)


@given(array=NUMBERS, by_image=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_levels_that_begin_elsewhere_are_as_near(array: np.ndarray, by_image: bool, seed: int) -> None:
    axes = tuple(range(int(by_image), array.ndim))
    values = on_levels(array, axes, np.random.default_rng(seed))
    assert values.dtype == np.float32
    span = array.max(axis=axes, keepdims=True) - array.min(axis=axes, keepdims=True)
    # Levels up to 0.8/255 wider, and rounded again where the step's own rounding moves them.
    assert (np.abs(values - array) <= span / 255 * 0.56 + 1e-6).all()
    np.testing.assert_array_equal(on_levels(values, axes), values)


def test_another_seed_is_another_rounding() -> None:
    array = np.random.default_rng(0).normal(size=(2, 200)).astype(np.float32)
    seen = [on_levels(array, (1,), np.random.default_rng(seed)) for seed in range(3)]
    errors = [np.sqrt(np.mean((values - array) ** 2)) for values in (*seen, on_levels(array, (1,)))]
    step = np.ptp(array, axis=1).max() / 255
    assert max(errors) < 1.1 * step / 12**0.5
    assert all((a != b).mean() > 0.9 for a, b in itertools.pairwise(seen))


def test_what_is_empty_stays() -> None:
    # As the support points of a kernel are before its training.
    empty = np.zeros((0, 4), np.float32)
    for rng in (None, np.random.default_rng(0)):
        assert on_levels(empty, (0, 1), rng).shape == (0, 4)
    assert unpacked(packed({"a": empty}, ["a"]), ["a"])["a"] is empty


def test_equal_values_stay() -> None:
    array = np.full((2, 3), np.float32(0.1))
    np.testing.assert_array_equal(on_levels(array, (0, 1)), array)
    np.testing.assert_array_equal(on_levels(array, (0, 1), np.random.default_rng(0)), array)


@pytest.fixture
def small() -> DistilledDataset:
    return random_bundle(QuantumLeNetArchitecture(n_qubits=2, n_layers=1), input_shape=(28, 28, 1)).in_eight_bits()


def test_the_file_comes_back_in_a_third_of_the_size(small: DistilledDataset, tmp_path: Path) -> None:
    small = dataclasses.replace(small, record=Record(0.5, 10))
    small.save(tmp_path / "small")
    again = DistilledDataset.load(tmp_path / "small")
    assert again.eight_bit
    assert again.record == small.record
    np.testing.assert_array_equal(again.data.inputs, small.data.inputs)
    for name, weight in small.initial_weights.items():
        np.testing.assert_array_equal(again.initial_weights[name], weight, err_msg=name)
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "small").read_bytes()
    dataclasses.replace(small, eight_bit=False).save(tmp_path / "large")
    assert (tmp_path / "small").stat().st_size < (tmp_path / "large").stat().st_size / 3


def load_metadata(path: Path) -> dict[str, str]:
    content = path.read_bytes()
    metadata: dict[str, str] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return metadata


def test_the_document_reads_it(small: DistilledDataset, tmp_path: Path) -> None:
    small.save(tmp_path / "small")
    _, tensors = read_bundle(tmp_path / "small")
    np.testing.assert_array_equal(tensors["inputs"], small.data.inputs)
    replay = Replay(tmp_path / "small").train()
    for name, weight in named_weights(small.train()).items():
        np.testing.assert_allclose(replay.weights[name], weight, atol=1e-4, err_msg=name)


def test_its_record_is_its_own(small: DistilledDataset) -> None:
    plain = random_bundle(record=Record(0.5, 10, 0.6, 20))
    assert plain.in_eight_bits().record == Record()
    assert small.initial_model() is not None


def test_values_off_their_levels_are_not_written(small: DistilledDataset, tmp_path: Path) -> None:
    # The largest value keeps the levels where they are.
    x = small.data.inputs[0].reshape(-1)
    place = int(np.argsort(x)[len(x) // 2])
    moved = small.data.inputs.reshape(len(small.data.inputs), -1).at[0, place].add(1e-3)
    off = eqx.tree_at(lambda b: b.data.inputs, small, moved.reshape(small.data.inputs.shape))
    with pytest.raises(BundleError, match="`inputs` has other values than its 256 levels"):
        off.save(tmp_path / "off")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs/step": None}, "foreign: .*'inputs/low'"),
        ({"inputs/low": np.zeros((3, 1, 1), np.float32)}, r"`inputs/low` must be .* of the shape \(3, 1, 1, 1\)"),
        ({"inputs/step": np.zeros((3, 1, 1, 1), np.int32)}, "`inputs/step` must be of the type float32"),
        ({"inputs/step": np.full((3, 1, 1, 1), np.inf, np.float32)}, "`inputs` holds values that are not finite"),
        ({"weights/f3.bias": np.zeros(3, np.float32)}, "foreign: .*'weights/f3.bias/low'"),
        ({"labels": np.zeros((3, 3), np.uint8)}, "`labels` must be of the type float32"),
    ],
)
def test_files_whose_levels_do_not_fit(
    changes: dict[str, Any], message: str, small: DistilledDataset, tmp_path: Path
) -> None:
    small.save(tmp_path / "good")
    tensors = {**load_file(tmp_path / "good"), **changes}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    metadata = load_metadata(tmp_path / "good")
    metadata["digest"] = digest(metadata["header"], kept)
    (tmp_path / "bad").write_bytes(save(kept, metadata=metadata))
    with pytest.raises(BundleError, match=message):
        DistilledDataset.load(tmp_path / "bad")
