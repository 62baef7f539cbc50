"""Recipes: that they survive being written down, and that what is wrong in one is named."""

from __future__ import annotations

import dataclasses
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdistill.data import DATASETS, source
from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError
from qdistill.experiments.defaults import default_recipe
from qdistill.experiments.recipe import Device, Recipe
from qdistill.models import DataReuploading, DressedCircuit, LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import ANSATZ_NAMES, Circuit, Operation, weight


def some(kind: type, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The dataclass with each of these fields either drawn or left at its default."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: kind(**values))


def positive(limit: float = 1e6) -> st.SearchStrategy[float]:
    return st.floats(0, limit, exclude_min=True)


initialisers = st.sampled_from(["xavier_normal", "kaiming_uniform"])
architectures = some(LeNetArchitecture, width=st.integers(1, 999), initialiser=initialisers) | some(
    QuantumLeNetArchitecture,
    observable=st.sampled_from(["pauli_z", "hermitian", "fixed_hermitian"]),
    skip=st.sampled_from(["pad", "projection"]),
    n_qubits=st.integers(1, 12),
    n_layers=st.integers(1, 99),
    embedding=st.sampled_from(["amplitude", "angle"]),
    ansatz=st.sampled_from(ANSATZ_NAMES),
    branch=st.sampled_from(["quantum", "frozen", "removed", "dense"]),
    initialiser=initialisers,
    angle_range=st.floats(0, 100),
    coefficient_scale=st.floats(0, 100),
)
architectures |= st.builds(QuantumLeNetArchitecture, observable_wires=st.integers(1, 4))
OWN = Circuit(2, (Operation("RX", (1,), (weight(0),)), Operation("Unitary", (0,), matrix=((0j, 1j), (1j, 0j)))))
architectures |= st.just(QuantumLeNetArchitecture(n_qubits=2, n_layers=1, ansatz=OWN))
TEN_CLASSES = ["cifar10", "digits", "fashion-mnist", "mnist"]
# The type checks of a recipe's tuples draw random numbers, which no strategy may: so it is made in the test.
recipes = st.builds(
    dict,
    dataset=st.sampled_from(TEN_CLASSES),
    model=architectures,
    compression=some(
        Compression,
        per_class=st.integers(1, 50),
        labels=st.sampled_from(["learned", "fixed"]),
        start=st.sampled_from(["noise", "real"]),
        step_size=positive(),
    ),
    inner=some(
        InnerLoop,
        # Divisors of the ten classes, so that any recipe can give each step its own inputs.
        steps=st.sampled_from([1, 2, 5, 10]),
        epochs=st.integers(1, 100),
        own_examples=st.booleans(),
        optimiser=st.sampled_from(["gradient_descent", "momentum", "adam"]),
        step_sizes=st.sampled_from(["shared", "tensor"]),
    ),
    outer=some(
        OuterLoop,
        iterations=st.integers(1, 10**6),
        batch=st.integers(1, 10**4),
        optimiser=st.sampled_from(["adam", "adamw", "sgd", "rmsprop", "lion"]),
        learning_rate=positive(),
        schedule=st.sampled_from(["constant", "cosine", "halving"]),
        warm_up=st.floats(0, 1, exclude_max=True),
        clip=st.just(0.0) | st.floats(1, 100),
        average=st.floats(0, 1, exclude_max=True),
        mirror=st.booleans(),
        validate_every=st.integers(1, 10**6),
        max_rejected=st.integers(1, 100),
    ),
    n_validation=st.integers(1, 10**5),
    transforms=st.sampled_from([(), ("standardise",), ("standardise", "whiten"), ("pca:10", "rescale:0:pi")]),
    seed=st.integers(0, 2**32 - 1),
)


@given(fields=recipes)
def test_a_recipe_survives_being_written_down(fields: dict[str, Any]) -> None:
    recipe = Recipe(**fields)
    text = json.dumps(recipe.to_json(), allow_nan=False)
    again = Recipe.from_json(json.loads(text))
    assert again == recipe
    assert hash(again) == hash(recipe)
    assert json.dumps(again.to_json()) == text


def test_the_written_form_names_the_network() -> None:
    plain = Recipe("digits", model=LeNetArchitecture(width=50)).to_json()
    assert plain["model"] == {"name": "LeNetArchitecture", "fields": {"width": 50, "initialiser": "xavier_normal"}}
    assert plain["inner"] == dataclasses.asdict(InnerLoop())
    parts = {"model", "compression", "inner", "outer", "device"}
    assert set(plain) == {"dataset", *parts, "n_validation", "transforms", "seed"}


def test_a_number_of_examples_is_written_where_it_is_given() -> None:
    assert "examples" not in Recipe("digits").to_json()["compression"]
    recipe = Recipe("digits", compression=Compression(examples=7))
    assert recipe.to_json()["compression"]["examples"] == 7
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(ArgumentError, match=r"`compression.labels` must be 'learned' .* 7 for 10"):
        Recipe("digits", compression=Compression(examples=7, labels="fixed"))
    with pytest.raises(ArgumentError, match="`steps` must divide the 7 synthetic examples"):
        Recipe("digits", compression=Compression(examples=7), inner=InnerLoop(steps=2, own_examples=True))


def test_transforms_are_known_before_any_data() -> None:
    assert Recipe("digits", transforms=("none",)).transforms == ()
    assert Recipe("digits", transforms=("rescale:0:3.141592653589793",)).transforms == ("rescale:0:pi",)
    assert Recipe("digits", transforms=("pca:10", "standardise")).input_shape == (10,)
    with pytest.raises(ArgumentError, match="`n_components` must be at most 784, the number of features"):
        Recipe("digits", transforms=("pca:785",))
    with pytest.raises(ArgumentError, match=r"`mirror` must be false .* have the shape \(4,\)"):
        Recipe("iris", outer=OuterLoop(mirror=True))


@pytest.mark.parametrize("name", ["transforms", "device", "outer.warm_up", "model.fields.f2_activation"])
def test_a_recorded_recipe_says_everything(name: str) -> None:
    """A default may be another by the time that a record is read, so none is put in."""
    plain = Recipe("digits").to_json()
    *parents, last = name.split(".")
    owner = plain
    for parent in parents:
        owner = owner[parent]
    del owner[last]
    shown = name.replace("model.fields", "model")
    with pytest.raises(ArgumentError, match=f"Argument `{shown}` must be given, but is missing"):
        Recipe.from_json(plain)


def test_a_recipe_for_a_device_survives_being_written_down() -> None:
    recipe = Recipe("digits", device=Device("fake_manila", 100, "exact"))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    execution = recipe.device.execution(3)
    assert execution.device is not None
    assert execution.device.n_wires == 3
    assert execution.estimator == "gaussian"


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shots": 0}, "`shots` must be at least 1, but was 0"),
        ({"preparation": "ideal"}, "`preparation` must be given together with a device's `name` only"),
        ({"name": "fake_manila", "preparation": "none"}, "`preparation` must be one of"),
    ],
)
def test_devices_reject_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Device(**fields)


@pytest.mark.parametrize("model", [LeNetArchitecture(), QuantumLeNetArchitecture(branch="dense")])
def test_a_device_needs_a_quantum_layer(model: Any) -> None:
    with pytest.raises(ArgumentError, match=r"`device` must be left out for a network without .* but was 10 shots"):
        Recipe("digits", model=model, device=Device(shots=10))


@pytest.mark.parametrize(
    ("model", "n_wires"),
    [
        (QuantumLeNetArchitecture(n_qubits=5), 5),
        (QuantumLeNetArchitecture(n_qubits=2, quanvolution_layers=1), 4),
        (QuantumLeNetArchitecture(branch="removed", quanvolution_layers=1), 4),
        (LeNetArchitecture(), 0),
    ],
)
def test_wires_that_a_device_needs(model: Any, n_wires: int) -> None:
    assert Recipe("digits", model=model).n_wires == n_wires


@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_every_dataset_has_a_default(dataset: str) -> None:
    recipe, shape = default_recipe(dataset), source(dataset).input_shape
    assert recipe.dataset == dataset
    for_circuit = len(shape) == 1 or dataset in ("mnist-3v5", "bars-and-stripes")
    assert type(recipe.model) is (DataReuploading if for_circuit else QuantumLeNetArchitecture)
    # Left and right are told apart by digits and shoes, not by photographs.
    assert recipe.outer.mirror == ("whiten" in recipe.transforms) == (dataset == "cifar10")
    assert Recipe.from_json(recipe.to_json()) == recipe
    # A network for these inputs and classes, which a laptop simulates in no time.
    assert 1 <= recipe.n_wires <= 6


def re_uploading(n_qubits: int) -> DataReuploading:
    return DataReuploading(n_qubits=n_qubits, entangler="ring", readout="expectation", class_weight=3.0)


@pytest.mark.parametrize(
    ("shape", "n_classes", "model", "read"),
    [
        ((1,), 2, re_uploading(4), (1,)),
        ((16,), 6, re_uploading(6), (16,)),
        ((17,), 2, re_uploading(4), (10,)),
        ((784,), 10, DressedCircuit(), (10,)),
        ((4, 4, 1), 2, re_uploading(6), (4, 4, 1)),
        ((8, 8, 1), 2, QuantumLeNetArchitecture(), (8, 8, 1)),
        ((50, 3), 7, DressedCircuit(), (10,)),
    ],
)
def test_what_inputs_of_a_shape_are_distilled_for(
    shape: tuple[int, ...], n_classes: int, model: Any, read: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(map(str, range(n_classes)))
    own = SimpleNamespace(name="own", class_names=names, input_shape=shape, load=lambda _: None)
    monkeypatch.setitem(DATASETS.data, "own", own)

    recipe = default_recipe("own")

    assert (recipe.model, recipe.input_shape) == (model, read)
    assert recipe.n_validation == 5000  # no one says how many inputs there are
    assert 1 <= recipe.n_wires <= 6


def test_an_unknown_dataset_gets_a_suggestion() -> None:
    for make in (default_recipe, Recipe):
        with pytest.raises(ArgumentError, match="Did you mean 'mnist'"):
            make("minst")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": -1}, r"`seed` must be from 0 to 4294967295, but was -1\."),
        ({"n_validation": 0}, r"`n_validation` must be at least 1, but was 0\."),
        ({"inner": InnerLoop(steps=3, own_examples=True)}, "`steps` must divide the 10 synthetic examples"),
    ],
)
def test_recipes_reject_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Recipe("digits", **fields)


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A written recipe with one field set to something else."""
    plain = Recipe("digits").to_json()
    inside = plain
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    return plain


DAMAGED: list[tuple[Any, str]] = [
    (changed(("colour",), "red"), "colour"),
    (changed(("inner", "momentum"), 0.9), "momentum"),
    (changed(("outer", "epochs"), 3), "epochs"),
    (changed(("compression", "ipc"), 1), "ipc"),
    (changed(("model", "fields", "depth"), 4), "depth"),
    (changed(("model", "name"), "QuantumLenetArchitecture"), "Did you mean 'QuantumLeNetArchitecture'"),
    (changed(("model", "name"), ["LeNetArchitecture"]), "`model.name` must be a string"),
    (changed(("model",), "LeNet"), "`model` must be a table of"),
    (changed(("inner",), None), "`inner` must be a table"),
    (changed(("inner", "steps"), "ten"), "`inner.steps` must be an integer, but was 'ten'"),
    (changed(("inner", "steps"), 0), "`inner.steps` must be at least 1"),
    (changed(("outer", "clip"), math.nan), "`outer.clip` must be finite"),
    (changed(("seed",), None), "`seed` must be an integer, but was None"),
    (changed(("dataset",), "letters"), "`dataset` must be one of"),
    (changed(("dataset",), {}), "`dataset` must be a string"),
    ({"dataset": "digits"}, "model"),
    ({}, "model"),
    ([], "recipe"),
    ([1, 2], "recipe"),
    ("digits", "recipe"),
    (None, "recipe"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("plain", "message"), DAMAGED, ids=range(len(DAMAGED)))
def test_what_is_wrong_in_a_written_recipe_is_named(plain: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Recipe.from_json(plain)
