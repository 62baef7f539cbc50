"""Bundles in memory and as files: what comes back, what is refused, and that no file is ever half written."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from qdistill.data import FittedChain, RawDataset
from qdistill.data.fitted import Whitened
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.bundle_file import digest
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record, RoundingCheck
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import ArgumentError, BundleError
from qdistill.models import ARCHITECTURES, LeNet, LeNetArchitecture, QuantumLeNetArchitecture, named_weights
from qdistill.quantum import Circuit, Operation, feature, weight
from qdistill.report.figures import draw_images
from qdistill.report.gallery import picture_groups

from .numpy_replay import read_bundle
from .samples import random_bundle

Header, Tensors = dict[str, Any], dict[str, np.ndarray]

ARCHITECTURE_CASES = [
    LeNetArchitecture(width=4),
    LeNetArchitecture(width=7, initialiser="kaiming_uniform"),
    QuantumLeNetArchitecture(n_qubits=2, n_layers=1),
    QuantumLeNetArchitecture(n_qubits=3, n_layers=2, observable="pauli_z", skip="none", angle_range=0.1),
    QuantumLeNetArchitecture(n_qubits=2, n_layers=2, skip="projection", branch="dense"),
    QuantumLeNetArchitecture(n_qubits=4, n_layers=1, embedding="angle", ansatz="basic_entangling"),
    QuantumLeNetArchitecture(n_qubits=2, n_layers=1, branch="removed"),
    QuantumLeNetArchitecture(n_qubits=2, n_layers=1, observable_wires=2),
    QuantumLeNetArchitecture(n_qubits=1, n_layers=1, branch="frozen", observable="fixed_hermitian"),
    QuantumLeNetArchitecture(
        n_qubits=2,
        n_layers=1,
        embedding="none",
        ansatz=Circuit(
            2,
            (
                Operation("RX", (1,), (0.3 - 0.1 * feature(1) + weight(0) * feature(0),)),
                Operation("Unitary", (0,), matrix=((0.6j, 0.8 + 0j), (0.8 + 0j, 0.6j))),
                Operation("CRZ", (1, 0), (weight(0),)),
            ),
        ),
    ),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def assert_equal_bundles(one: DistilledDataset, other: DistilledDataset) -> None:
    for field in dataclasses.fields(DistilledDataset):
        ours, theirs = getattr(one, field.name), getattr(other, field.name)
        assert jax.tree.structure(ours) == jax.tree.structure(theirs), field.name
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert np.array_equal(a, b), field.name
    assert list(one.initial_weights) == list(other.initial_weights)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "bundle.safetensors"
    random_bundle().save(path)
    return path


# What comes back.


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_back_the_bundle(data: st.DataObject, tmp_path: Path) -> None:
    integers = lambda least, most: data.draw(st.integers(least, most))  # noqa: E731
    inner = InnerLoop(
        steps=(steps := integers(1, 3)),
        epochs=integers(1, 2),
        own_examples=data.draw(st.booleans()),
        optimiser=data.draw(st.sampled_from(["gradient_descent", "momentum", "adam"])),
        step_sizes=data.draw(st.sampled_from(["shared", "tensor"])),
    )
    bundle = random_bundle(
        data.draw(st.sampled_from(ARCHITECTURE_CASES)),
        inner,
        input_shape=(data.draw(st.sampled_from([1, 5, 28, 32, 36])), data.draw(st.sampled_from([8, 40])), 3),
        n_classes=integers(2, 4),
        per_class=steps * integers(1, 2),
        seed=integers(0, 1000),
        recipe=data.draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
        provenance=data.draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3)),
        dataset=data.draw(st.text(st.characters(exclude_categories=["Cs"]))),
        rounding=data.draw(st.sampled_from([None, RoundingCheck(), random_bundle().rounding])),
        data_digest=data.draw(
            st.none() | st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
        ),
        record=Record(*data.draw(st.sampled_from([(None, None, None, 7), (1.0, 1, 1 / 3, 3), (0.1, 9)]))),
    )
    bundle.save(tmp_path / "bundle")
    loaded = DistilledDataset.load(tmp_path / "bundle")
    assert_equal_bundles(loaded, bundle)
    loaded.save(str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == (tmp_path / "bundle").read_bytes()


def test_one_bundle_gives_the_same_bytes_whatever_the_order_of_its_dicts(tmp_path: Path) -> None:
    bundle = random_bundle()
    backwards = dataclasses.replace(
        bundle,
        initial_weights=dict(reversed(bundle.initial_weights.items())),
        recipe=dict(reversed(bundle.recipe.items())),
    )
    for number, each in enumerate((bundle, bundle, backwards, bundle, backwards, bundle)):
        each.save(tmp_path / str(number))
    assert len({(tmp_path / str(number)).read_bytes() for number in range(6)}) == 1


def test_the_loaded_bundle_trains_to_the_same_bits(good: Path) -> None:
    bundle = random_bundle()
    trained = [named_weights(b.train()) for b in (bundle, bundle, DistilledDataset.load(good))]
    for name, initial in bundle.initial_weights.items():
        assert not np.array_equal(trained[0][name], initial), "it has not been trained"
        assert np.array_equal(trained[0][name], trained[1][name])
        assert np.array_equal(trained[0][name], trained[2][name])


def test_a_given_network_is_trained_from_where_it_is(good: Path) -> None:
    bundle = DistilledDataset.load(good)
    other = bundle.architecture.build(bundle.input_shape, bundle.n_classes, key=jax.random.key(3))  # type: ignore[union-attr]
    from_other, from_own = named_weights(bundle.train(other)), named_weights(bundle.train())
    assert not np.allclose(from_other["f3.weight"], from_own["f3.weight"])
    again = named_weights(bundle.train(bundle.initial_model(other)))
    assert all(np.array_equal(again[name], weight) for name, weight in from_own.items())


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    known = random_bundle()
    bundle = dataclasses.replace(known, architecture=None)
    scalar = dataclasses.replace(bundle, initial_weights={"temperature": jnp.ones(()), "a": jnp.ones((2, 1))})
    scalar.save(tmp_path / "scalar")
    assert_equal_bundles(DistilledDataset.load(tmp_path / "scalar"), scalar)
    bundle.save(tmp_path / "bundle")
    loaded = DistilledDataset.load(tmp_path / "bundle")
    assert_equal_bundles(loaded, bundle)
    network = known.initial_model()
    with pytest.raises(BundleError, match="give the network as `structure`, to `replay`"):
        loaded.train()
    assert isinstance(loaded.initial_model(network), LeNet)
    with pytest.raises(BundleError, match=r"do not fit the network.*must have shape"):
        loaded.initial_model(random_bundle(LeNetArchitecture(width=5)).initial_model())


def test_the_weights_of_a_network_of_ones_own_keep_their_order_through_jax(tmp_path: Path) -> None:
    weights = {"z": jnp.ones((2, 2)), "a": jnp.zeros(3)}
    own = dataclasses.replace(random_bundle(), architecture=None, initial_weights=weights)
    changed = eqx.tree_at(lambda b: b.data.inputs, own, own.data.inputs + 1)
    assert list(changed.initial_weights) == ["a", "z"], "JAX sorts, so there is something to keep"
    changed.save(tmp_path / "bundle")
    assert DistilledDataset.load(tmp_path / "bundle").weight_names == ("z", "a") == own.weight_names


def test_an_architecture_has_to_be_registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True)
    class Own(LeNetArchitecture):
        pass

    bundle = dataclasses.replace(random_bundle(), architecture=Own(width=4))
    with pytest.raises(BundleError, match=r"Own is not one of.*Register it"):
        bundle.save(tmp_path / "bundle")
    monkeypatch.setitem(ARCHITECTURES, "Own", Own)
    bundle.save(tmp_path / "bundle")
    assert DistilledDataset.load(tmp_path / "bundle").architecture == Own(width=4)
    monkeypatch.delitem(ARCHITECTURES, "Own")
    with pytest.raises(BundleError, match=r"`architecture.name` must be one of.*but was 'Own'.*registered"):
        DistilledDataset.load(tmp_path / "bundle")


def test_a_step_size_for_each_weight_is_for_that_network_only() -> None:
    bundle = random_bundle(inner=InnerLoop(steps=2, step_sizes="tensor"))
    other = random_bundle(QuantumLeNetArchitecture(n_qubits=2, n_layers=1)).initial_model()
    with pytest.raises(BundleError, match="a step size for each weight of its own network"):
        bundle.train(other)


def raw_data(shape: tuple[int, int, int], class_names: Sequence[str]) -> RawDataset:
    inputs, labels = np.zeros((1, *shape), np.uint8), np.zeros(1, np.int32)
    return RawDataset("other", tuple(class_names), inputs, labels, inputs, labels, 255.0)


def test_it_says_for_which_images_it_is() -> None:
    bundle = random_bundle(input_shape=(28, 20, 1))
    assert (bundle.input_shape, bundle.n_classes) == ((28, 20, 1), 3)
    bundle.fitted(raw_data((28, 20, 1), bundle.class_names))
    for shape, n_classes in (((32, 32, 3), 3), ((28, 20, 1), 10)):
        with pytest.raises(BundleError, match=r"shape \(28, 20, 1\) in 3 classes") as caught:
            bundle.fitted(raw_data(shape, [str(k) for k in range(n_classes)]))
        assert f"{shape} in {n_classes} classes" in str(caught.value)


OTHER_NAMES = st.lists(st.sampled_from(["0", "1", "2", "zero", "1 "]), min_size=3, max_size=3, unique=True)


@given(names=st.permutations([str(k) for k in range(3)]) | OTHER_NAMES)
def test_classes_in_another_order_are_another_problem(names: list[str]) -> None:
    bundle = random_bundle()
    raw = raw_data(bundle.input_shape, names)
    if tuple(names) == bundle.class_names:
        bundle.fitted(raw)
        return
    with pytest.raises(
        BundleError, match="another order" if set(names) == set(bundle.class_names) else "other names"
    ) as e:
        bundle.fitted(raw)
    assert "0, 1, 2" in str(e.value)
    assert ", ".join(names) in str(e.value)


def test_it_knows_the_data_that_it_was_made_from() -> None:
    raw = raw_data((8, 8, 1), [str(k) for k in range(3)])
    assert random_bundle().made_from(raw) is None
    assert random_bundle(data_digest=raw.digest).made_from(raw)
    assert random_bundle(data_digest="sha256:" + "0" * 64).made_from(raw) is False


def test_inputs_as_pixels_are_clipped() -> None:
    bundle = random_bundle(input_shape=(8, 8, 3))
    pixels = bundle.images_as_pixels()
    transform = bundle.transform
    raw = np.asarray(bundle.data.inputs) * np.asarray(transform.steps[0].std) + np.asarray(transform.steps[0].mean)
    assert raw.min() < 0
    np.testing.assert_allclose(pixels, np.clip(raw, 0, 1), atol=1e-6)


def test_a_bundle_passes_through_jit() -> None:
    bundle = random_bundle()
    assert eqx.filter_jit(lambda b: b.data.inputs.sum())(bundle) == pytest.approx(bundle.data.inputs.sum())


@pytest.mark.parametrize(
    "fields", [{"test_accuracy": 93.75, "n_test": 10}, {"validation_accuracy": 0.5}, {"n_test": 0}]
)
def test_a_record_is_of_fractions_with_their_numbers(fields: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="must be"):
        Record(**fields)


# What is never half written.


@contextmanager
def small_disk() -> Iterator[None]:
    """No file can grow beyond a few bytes: the write itself fails, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def failing(name: str, error: BaseException) -> Iterator[None]:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, fail)
        yield


FULL = OSError(errno.ENOSPC, "No space left on device")
FAILURES: dict[str, Callable[[], Any]] = {
    "write": small_disk,
    "fsync": lambda: failing("os.fsync", FULL),
    "replace": lambda: failing("os.replace", FULL),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("old", [b"what was there before", None])
def test_a_failed_save_changes_nothing(failure: str, old: bytes | None, tmp_path: Path) -> None:
    path, bundle = tmp_path / "bundle.safetensors", random_bundle()
    if old is not None:
        path.write_bytes(old)
    with FAILURES[failure](), pytest.raises(BundleError, match=f"Cannot write .*{path.name}"):
        bundle.save(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if old is None else [old])
    bundle.save(path)
    assert DistilledDataset.load(path).dataset == bundle.dataset
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_save_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bundle.safetensors"
    path.write_bytes(b"old")
    with failing("os.fsync", KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        random_bundle().save(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_a_saved_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    random_bundle().save(tmp_path / "bundle")
    assert os.stat(tmp_path / "bundle").st_mode == os.stat(tmp_path / "usual").st_mode


@pytest.mark.parametrize("name", ["", "missing/bundle", "file/bundle"])
def test_save_where_no_file_can_be(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="Cannot write"):
        random_bundle().save(tmp_path / name)


REFUSED: dict[str, tuple[Callable[[DistilledDataset], DistilledDataset], str]] = {
    "inputs that are not finite": (
        lambda b: eqx.tree_at(lambda b: b.data.inputs, b, b.data.inputs.at[0].set(jnp.nan)),
        "`inputs` holds values that are not finite",
    ),
    "weights that are not finite": (
        lambda b: eqx.tree_at(lambda b: b.initial_weights["f3.bias"], b, jnp.full(3, jnp.inf)),
        "`weights/f3.bias` holds values that are not finite",
    ),
    "weights of another network": (
        lambda b: dataclasses.replace(b, architecture=LeNetArchitecture(width=5)),
        r"`weights/\S+` must have the shape",
    ),
    "a class too many": (
        lambda b: dataclasses.replace(b, class_names=(*b.class_names, "another")),
        "3 and there are 4 class names",
    ),
    "another number of steps": (
        lambda b: dataclasses.replace(b, inner=InnerLoop(steps=3)),
        "`step_sizes` must have the shape",
    ),
    "double precision": (
        lambda b: eqx.tree_at(lambda b: b.data.labels, b, b.data.labels.astype(jnp.float16)),
        "`labels` must be of the type float32, but is float16",
    ),
    "an input number out of range": (
        lambda b: eqx.tree_at(lambda b: b.data.schedule, b, b.data.schedule + 1),
        "`schedule` must be integers from 0 to 2",
    ),
    "no weights": (
        lambda b: dataclasses.replace(b, architecture=None, initial_weights={}),
        "there are no initial weights",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_written_that_could_not_be_read(case: str, tmp_path: Path) -> None:
    change, message = REFUSED[case]
    with pytest.raises(BundleError, match=rf"Cannot write the bundle \S+: .*{message}"):
        change(random_bundle()).save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


NOT_JSON = st.one_of(
    st.sampled_from([float("nan"), float("inf"), np.int64(3), 1j, b"x", {1, 2}, 10**40, -(10**400), "\ud800"]),
    st.sampled_from([{None: 1}, {"\udfff": 1}, {("a",): 1}]),
    st.dictionaries(st.integers(), st.none(), min_size=1, max_size=2),
)


@given(
    value=st.recursive(NOT_JSON, lambda inner: st.lists(inner, min_size=1, max_size=2) | st.tuples(st.none(), inner)),
    field=st.sampled_from(["recipe", "provenance"]),
)
def test_what_no_file_can_hold_is_known_at_once(value: Any, field: str) -> None:
    with pytest.raises(ArgumentError, match=f"`{field}` must be plain JSON, but {field}"):
        random_bundle(**{field: {"outer": value}})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_names": (1, 2, 3)}, r"`class_names` must be strings, one a class, but was \(1, 2, 3\)"),
        ({"class_names": ("a", "b", "a")}, "`class_names` must be different, but 'a' is there twice"),
        ({"class_names": ("a", "b", "\ud800")}, "`class_names` must be strings"),
        ({"class_names": np.array(["a", "b", "c"])}, "`class_names` must be strings"),
        ({"class_names": "abc"}, "`class_names` must be strings"),
        ({"dataset": 3}, "`dataset` must be a string, but was 3"),
        ({"data_digest": "sha256:1"}, "`data_digest` must be 'sha256:' and 64"),
        ({"data_digest": 3}, "`data_digest` must be"),
        ({"recipe": []}, r"`recipe` must be a dict, but was \[\]"),
    ],
)
def test_fields_without_meaning_are_known_at_once(fields: dict[str, Any], message: str, unchecked: None) -> None:
    with pytest.raises(ArgumentError, match=message):
        random_bundle(**fields)


# What is refused.


def refusal(path: Path) -> str:
    """The error for a file, which always names it."""
    with pytest.raises(BundleError) as caught:
        DistilledDataset.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def forge(path: Path, header: Header | str, tensors: Tensors, **metadata: str) -> Path:
    """A file whose digest is right, where tensors of their types have one, whatever else is in it."""
    text = header if isinstance(header, str) else json.dumps(header)
    known = all(tensor.dtype in (np.float32, np.int32, np.uint8) for tensor in tensors.values())
    of_both = digest(text, tensors) if known else ""
    plain = {"format": "qdistill-bundle", "format_version": "5", "header": text, "digest": of_both}
    path.write_bytes(save(tensors, metadata=plain | metadata))
    return path


def header_end(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize("place", ["0", "1", "7", "8", "9", "100", "end - 1", "end", "end + 1", "-1000", "-1"])
def test_a_truncated_file(place: str, good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    length = eval(place, {"end": header_end(content)})
    (tmp_path / "cut").write_bytes(content[:length])
    assert "damaged, cut short or no safetensors file" in refusal(tmp_path / "cut")


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"PK\x03\x04" + b"0" * 100,
        b"{}",
        b"\xff" * 64,
        b"\x02\0\0\0\0\0\0\0{}trailing",
    ],
)
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_bytes(content)
    assert "no safetensors file" in refusal(tmp_path / "foreign")


def test_additional_bytes(good: Path, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(good.read_bytes() + b"\0")
    assert "damaged" in refusal(tmp_path / "long")


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing")
    assert "folder" in refusal(tmp_path)


def test_safetensors_of_another_project(tmp_path: Path) -> None:
    for metadata in (None, {}, {"format": "pt"}, {"format": "qdistill-checkpoint"}):
        (tmp_path / "foreign").write_bytes(save({"inputs": np.zeros((2, 2), np.float32)}, metadata=metadata))
        assert "not a bundle of qdistill" in refusal(tmp_path / "foreign")


def test_a_filter_comes_back(tmp_path: Path) -> None:
    plain = random_bundle(input_shape=(8, 9, 2))
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 2, 2)), jnp.float32)
    whitened = dataclasses.replace(plain, transform=FittedChain(255.0, (*plain.transform.steps, Whitened(kernel))))
    for bundle in (plain, whitened, whitened.in_eight_bits()):
        bundle.save(tmp_path / "file")
        assert_equal_bundles(DistilledDataset.load(tmp_path / "file"), bundle)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_any_number_of_examples_comes_back(n: int, tmp_path: Path) -> None:
    bundle = random_bundle(n_classes=3)
    rng = np.random.default_rng(n)
    data = TrainingSet(
        jnp.asarray(rng.normal(size=(n, *bundle.input_shape)), jnp.float32),
        jnp.asarray(rng.normal(size=(n, 3)), jnp.float32),
        bundle.data.step_sizes,
        bundle.inner.schedule(n),
    )
    for whole in (few := dataclasses.replace(bundle, data=data), few.in_eight_bits()):
        whole.save(tmp_path / "file")
        assert_equal_bundles(DistilledDataset.load(tmp_path / "file"), whole)
    groups = picture_groups(few)
    assert (len(groups["groups"][0]["images"]), groups["columns"]) == (n, min(n, 3))
    assert draw_images(few, tmp_path / "few.png").stat().st_size > 0


def test_every_field_of_an_architecture_is_written(tmp_path: Path) -> None:
    architecture = QuantumLeNetArchitecture(n_qubits=2, n_layers=1)
    random_bundle(architecture).save(tmp_path / "file")
    header, _ = read_bundle(tmp_path / "file")
    assert header["architecture"]["fields"] == dataclasses.asdict(architecture)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        *((version, f"version {version}, and this qdistill reads 5 only.$") for version in "1234"),
        ("6", "version 6.*newer"),
        ("10", "newer"),
        *((version, "which is none") for version in ("0", "one", "", "5 ", "\u0665", "9" * 5000)),
    ],
)
def test_other_versions(version: str, message: str, good: Path, tmp_path: Path) -> None:
    forge(tmp_path / "other", *read_bundle(good), format_version=version)
    with pytest.raises(BundleError, match=message):
        DistilledDataset.load(tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "not JSON") for text in ("", "{", '{"scale": NaN}', "[" * 100_000, "1e999", "9" * 400)),
        *((text, "not JSON") for text in (r'"\ud800"', r'{"\udfff": 1}', r'[["a\udc00b"]]')),
        ('{"record": 1, "record": 2}', "not JSON .*'record' twice"),
        ('{"recipe": [{"a": {"b": 1, "b": 1}}]}', "not JSON .*'b' twice"),
        *((text, "must be a table") for text in ("[]", "null", "3")),
    ],
)
def test_a_header_that_is_none(text: str, message: str, good: Path, tmp_path: Path) -> None:
    _, tensors = read_bundle(good)
    assert re.search(message, refusal(forge(tmp_path / "bad", text, tensors)))


def test_a_key_twice_beside_the_header(good: Path, tmp_path: Path) -> None:
    content = good.read_bytes()
    end = header_end(content)
    front = content[8:end].rstrip()
    for twice in (b'"format":"other","format":', b'"digest":"","digest":'):
        key = twice.split(b",")[1]
        assert front.count(key) == 1
        changed = front.replace(key, twice)
        changed += b" " * (-len(changed) % 8)
        (tmp_path / "bad").write_bytes(len(changed).to_bytes(8, "little") + changed + content[end:])
        assert "twice" in refusal(tmp_path / "bad")


def test_a_header_of_absurd_size_is_not_read(good: Path, tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.write((1 << 40).to_bytes(8, "little") + b"{")
        file.truncate(1 << 40)  # takes no space
    assert "of 1,099,511,627,776 bytes" in refusal(tmp_path / "huge")
    with pytest.raises(BundleError, match=r"Cannot write .* its header is of"):
        random_bundle(provenance={"notes": "x" * (1 << 24)}).save(tmp_path / "large")


def test_other_metadata(good: Path, tmp_path: Path) -> None:
    header, tensors = read_bundle(good)
    assert "its metadata must be" in refusal(forge(tmp_path / "bad", header, tensors, comment="x"))
    assert "it is damaged, or was changed" in refusal(forge(tmp_path / "bad", header, tensors, digest="sha256:0"))


@given(data=st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_is_an_error(data: st.DataObject, good: Path, tmp_path: Path) -> None:
    content = bytearray(good.read_bytes())
    place = data.draw(st.integers(0, header_end(content) - 1) | st.integers(0, len(content) - 1))
    before = content[place]
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "changed").write_bytes(content)
    try:
        bundle = DistilledDataset.load(tmp_path / "changed")
    except BundleError:
        return
    # One white space for another changes nothing.
    assert bytes([before, content[place]]).isspace()
    assert_equal_bundles(bundle, DistilledDataset.load(good))


def change_tensor(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[Header, Tensors], None]:
    def apply(header: Header, tensors: Tensors) -> None:
        tensors[name] = np.ascontiguousarray(change(tensors[name].copy()))

    return apply


def change_header(*keys: str, to: Any) -> Callable[[Header, Tensors], None]:
    def apply(header: Header, tensors: Tensors) -> None:
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = to(header[keys[-1]]) if callable(to) else to

    return apply


def drop(*keys: str) -> Callable[[Header, Tensors], None]:
    def apply(header: Header, tensors: Tensors) -> None:
        for key in keys[:-1]:
            header = header[key]
        del header[keys[-1]]

    return apply


def with_entry(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[-1] = value
        return array

    return change


def swap_names(header: Header, tensors: Tensors) -> None:
    header["weight_names"].reverse()


def with_filter(*shape: int) -> Callable[[Header, Tensors], None]:
    def change(header: Header, tensors: Tensors) -> None:
        header["transforms"].append({"name": "whiten"})
        tensors["transforms/1/kernel"] = np.ones(shape, np.float32)

    return change


def with_range(low: float, high: float, width: float = 1.0) -> Callable[[Header, Tensors], None]:
    def change(header: Header, tensors: Tensors) -> None:
        header["transforms"].append({"name": "rescale", "low": low, "high": high})
        tensors["transforms/1/minimum"] = np.zeros(1, np.float32)
        tensors["transforms/1/maximum"] = np.full(1, width, np.float32)

    return change


CONTRADICTIONS: dict[str, tuple[Callable[[Header, Tensors], None], str]] = {
    # Numbers.
    "NaN in the inputs": (change_tensor("inputs", with_entry(np.nan)), "`inputs` holds values that are not finite"),
    "infinite label": (change_tensor("labels", with_entry(-np.inf)), "`labels` holds"),
    "NaN in a weight": (change_tensor("weights/f3.bias", with_entry(np.nan)), "`weights/f3.bias` holds"),
    "negative step size": (change_tensor("step_sizes", with_entry(-0.1)), "`step_sizes` must not be negative"),
    "standard deviation of 0": (change_tensor("transforms/0/std", with_entry(0)), "`transforms/0/std` must be above 0"),
    "an even filter": (
        with_filter(4, 4, 1, 1),
        "`transforms/1/kernel` must have an odd number of rows .* but has 4 rows",
    ),
    "a filter wider than the inputs": (
        with_filter(17, 17, 1, 1),
        "a margin within the 8x8 images, but has 17 rows",
    ),
    "a filter for colour": (
        with_filter(3, 3, 1, 3),
        r"`transforms/1/kernel` must have the shape \(3, 3, 1, 1\), but has \(3, 3, 1, 3\)",
    ),
    "input number too high": (change_tensor("schedule", with_entry(3)), "integers from 0 to 2"),
    "input number below 0": (change_tensor("schedule", with_entry(-1)), "integers from 0 to 2"),
    "input left out": (change_tensor("schedule", with_entry(0)), "must list all inputs"),
    # Shapes and types.
    "double precision": (change_tensor("inputs", lambda a: a.astype(np.float64)), "has the type F64"),
    "integer inputs": (
        change_tensor("inputs", lambda a: a.astype(np.int32)),
        "`inputs` must be of the type float32, but is int32",
    ),
    "float schedule": (
        change_tensor("schedule", lambda a: a.astype(np.float32)),
        "`schedule` must be of the type int32, but is float32",
    ),
    "flat inputs": (
        change_tensor("inputs", lambda a: a.reshape(3, -1)),
        "`transforms/0/mean` must be of the last axes",
    ),
    "bare numbers": (change_tensor("inputs", lambda a: a[:, 0, 0, 0]), r"`inputs` must have the shape \(n, \.\.\.\)"),
    "no inputs": (change_tensor("inputs", lambda a: a[:0]), "`inputs` must have the shape"),
    "fewer inputs than labels": (change_tensor("inputs", lambda a: a[:2]), "axis 'n' must be of size 2"),
    "labels of fewer classes": (change_tensor("labels", lambda a: a[:, :2]), "2 and there are 3 class names"),
    "statistics of colour": (change_tensor("transforms/0/mean", lambda a: np.tile(a, 3)), "of the last axes of inputs"),
    "an unknown transform": (
        lambda h, t: h["transforms"].append({"name": "crop"}),
        r"`transforms\[1\].name` must be one",
    ),
    "a range without its end": (
        lambda h, t: h["transforms"].append({"name": "rescale", "low": 0}),
        r"`transforms\[1\]` must have the fields",
    ),
    "a range that falls": (with_range(1.0, 0.0), "`transforms/1/high` must be above `low`, 1.0, but was 0.0"),
    "a range of nothing": (with_range(0.0, 1.0, width=0.0), "`transforms/1/maximum` must be above `minimum`"),
    "step size left out": (change_tensor("step_sizes", lambda a: a[:1]), "axis 'steps' must be of size 1"),
    "step sizes by tensor": (change_tensor("step_sizes", lambda a: np.tile(a, (1, 2))), "as the inner loop says"),
    "other shape of a weight": (change_tensor("weights/f3.bias", lambda a: a[:2]), r"the shape \(3,\), but has \(2,\)"),
    "inputs too small": (change_tensor("inputs", lambda a: np.repeat(a, 5, axis=1)[:, :39]), "cannot be built"),
    # Names.
    "tensor missing": (lambda h, t: t.pop("labels"), r"missing: \['labels'\]"),
    "tensor too many": (lambda h, t: t.update(extra=np.zeros(1, np.float32)), r"foreign: \['extra'\]"),
    "weight missing": (lambda h, t: t.pop("weights/f3.bias"), r"missing: \['weights/f3.bias'\]"),
    "weight named twice": (change_header("weight_names", to=lambda names: [*names, names[0]]), "tensors that its"),
    "weights in another order": (swap_names, "in the network's order"),
    "names that are no strings": (change_header("weight_names", to=[1]), "`weight_names.0.` must be a string"),
    "class names as a string": (change_header("data", "class_names", to="abc"), "`data.class_names` must be a list"),
    "class names that are numbers": (
        change_header("data", "class_names", to=[1, 2, 3]),
        "`data.class_names.0.` must be a string",
    ),
    "a class name twice": (change_header("data", "class_names", to=["a", "a", "b"]), "'a' is there twice"),
    "a digest that is none": (change_header("data", "digest", to="md5:0"), "`data_digest` must be"),
    # The header.
    "field missing": (drop("record"), r"missing: \['record'\]"),
    "field left out for being at its default": (
        drop("architecture", "fields", "initialiser"),
        "`architecture.initialiser` must be given, but is missing",
    ),
    "step sizes left out": (drop("inner", "step_sizes"), r"missing: \['step_sizes'\]"),
    "field too many": (lambda h, t: h.update(comment="x"), "foreign"),
    "unknown architecture": (
        change_header("architecture", "name", to="AlexNet"),
        "`architecture.name` must be one of .* 'AlexNet'",
    ),
    "architecture without a name": (
        change_header("architecture", "name", to=[]),
        "`architecture.name` must be a string",
    ),
    "architecture as a string": (change_header("architecture", to="LeNet"), "`architecture` must be a table"),
    "other field value": (
        change_header("architecture", "fields", "initialiser", to="zeros"),
        "one of kaiming_uniform, xavier_normal, but was 'zeros'",
    ),
    "field of another type": (
        change_header("architecture", "fields", "width", to="4"),
        "`architecture.width` must be an integer, but was '4'",
    ),
    "other width": (change_header("architecture", "fields", "width", to=5), r"must have the shape \(3, 5\)"),
    "negative width": (change_header("architecture", "fields", "width", to=-5), "width"),
    "huge width": (change_header("architecture", "fields", "width", to=10**18), "cannot be built"),
    "unknown field": (change_header("architecture", "fields", to={"depth": 5}), "has no field 'depth'"),
    "unknown optimiser": (
        change_header("inner", "optimiser", to="lion"),
        "`inner.optimiser` must be .*, but was 'lion'",
    ),
    "no steps": (change_header("inner", "steps", to=0), "`steps` must be at least 1"),
    "more steps than memory": (change_header("inner", "steps", to=10**15), "as the inner loop says"),
    "steps as a boolean": (change_header("inner", "steps", to=True), "`inner.steps` must be an integer, but was True"),
    "other steps": (change_header("inner", "steps", to=3), "as the inner loop says"),
    "own inputs as a string": (
        change_header("inner", "own_examples", to="no"),
        "`inner.own_examples` must be true or false, but was 'no'",
    ),
    "scale as a string": (change_header("data", "scale", to="255"), "`data.scale` must be a number, but was '255'"),
    "scale of 0": (change_header("data", "scale", to=0), "`scale` must be finite and above 0"),
    "huge scale": (change_header("data", "scale", to=10**40), "not JSON .an integer has 41 digits"),
    "dataset as a number": (change_header("data", "name", to=3), "`data.name` must be a string"),
    "recipe as a list": (change_header("recipe", to=[]), "`recipe` must be a table"),
    "percent": (change_header("record", "test_accuracy", to=93.75), "must be a fraction"),
    "rounding as a number": (change_header("rounding", to=1), "`rounding` must be"),
    "more changed than there are": (
        change_header("rounding", "test", "float64", "changed", to=10**9),
        "must be at most the 10000 inputs",
    ),
    "a changed number as a string": (
        change_header("rounding", "test", "perturbed", to=[{"accuracy": 0.5, "changed": "1"}]),
        "`rounding.test.perturbed.0..changed` must be an integer",
    ),
    "no draws, said": (lambda h, _: h["record"].update(test_draws=[]), "`record.test_draws` must be left out where"),
    "nothing drawn anew, said": (lambda h, _: h.update(drawn_anew=None), "`header.drawn_anew` must be left out where"),
    "accuracy without its number": (change_header("record", "n_test", to=None), "`n_test` must be given"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_file_that_contradicts_itself(case: str, good: Path, tmp_path: Path) -> None:
    change, message = CONTRADICTIONS[case]
    header, tensors = read_bundle(good)
    change(header, tensors)
    forge(tmp_path / "bad", header, tensors)
    with pytest.raises(BundleError, match=message):
        DistilledDataset.load(tmp_path / "bad")
    refusal(tmp_path / "bad")


def test_other_types_of_tensors(good: Path, tmp_path: Path) -> None:
    header, tensors = read_bundle(good)
    for dtype in (np.float16, np.int64, np.bool_, np.uint8):
        changed = tensors | {"schedule": np.zeros_like(tensors["schedule"], dtype)}
        assert re.search("`schedule` (has|must be of) the type", refusal(forge(tmp_path / "bad", header, changed)))


SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "layers": ({}, {"n_layers": 10**7}),
    "layers of 60 bits": ({}, {"n_layers": 10**18}),
    "qubits": ({}, {"n_qubits": 10**7}),
    "qubits of 60 bits": ({}, {"n_qubits": 10**18}),
    "qubits, angle embedding": ({"embedding": "angle", "skip": "none"}, {"n_qubits": 10**7}),
    "layers of basic entanglers": ({"ansatz": "basic_entangling"}, {"n_layers": 10**7}),
    "qubits of a removed branch": ({"branch": "removed"}, {"n_qubits": 10**7}),
    "qubits of a frozen branch": ({"branch": "frozen"}, {"n_qubits": 30}),
    "qubits of a dense branch": ({"branch": "dense"}, {"n_qubits": 10**7}),
    "quanvolution layers": ({"quanvolution_layers": 1}, {"quanvolution_layers": 10**7}),
}


@pytest.mark.parametrize("case", SIZES)
def test_shapes_are_compared_before_a_circuit_is_built(case: str, tmp_path: Path) -> None:
    fields, changes = SIZES[case]
    random_bundle(QuantumLeNetArchitecture(**({"n_qubits": 2, "n_layers": 1} | fields))).save(tmp_path / "good")
    header, tensors = read_bundle(tmp_path / "good")
    header["architecture"]["fields"] |= changes
    started = time.process_time()
    # Or no circuit may be as large as that.
    assert re.search("must have the shape|at most", refusal(forge(tmp_path / "bad", header, tensors)))
    assert time.process_time() - started < 1


@pytest.mark.parametrize("branch", ["removed", "dense"])
def test_no_circuit_is_built_that_the_network_does_not_have(branch: Any) -> None:
    started = time.process_time()
    architecture = QuantumLeNetArchitecture(branch=branch, n_qubits=2, n_layers=60_000)
    eqx.filter_eval_shape(architecture.build, (8, 8, 1), 3, key=jax.random.key(0))
    assert time.process_time() - started < 1
