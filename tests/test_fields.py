"""Every field of every dataclass that a user can fill, with values of every type that JSON and TOML have."""

import dataclasses
import json
import math
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.errors import ArgumentError
from qdistill.evaluate.baselines import FullTraining
from qdistill.evaluate.rates import RateCard
from qdistill.experiments.recipe import Device, Recipe
from qdistill.experiments.recipe_file import recipe_of
from qdistill.fields import check_fields, check_seed, from_table, parse, unsupported
from qdistill.models import ARCHITECTURES, LeNetArchitecture, QuantumLeNetArchitecture
from qdistill.quantum import Circuit, DeviceModel, Execution, Operation, weight
from qdistill.quantum.device import Pair

pytestmark = pytest.mark.usefixtures("unchecked")


@dataclasses.dataclass(frozen=True)
class Everything:
    """A network of a user's own, with a field of every type that one may have, and no check of its own."""

    flag: bool = False
    count: int = 1
    factor: float = 1.0
    name: str = "x"
    kind: Literal["a", "b"] = "a"
    level: Literal[1, 2] = 1
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, float] = (1, 2.0)
    nested: tuple[tuple[float, float], ...] = ((1.0, 2.0),)
    table: dict[str, float] = dataclasses.field(default_factory=dict)
    names: list[str] = dataclasses.field(default_factory=list)
    maybe: float | None = None
    either: Literal["a"] | int | None = "a"
    circuit: Circuit | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        check_fields(self)

    def build(self) -> None:
        """Not called here."""


WHOLE: list[Any] = [
    Compression(),
    InnerLoop(),
    OuterLoop(),
    Device(),
    FullTraining(),
    LeNetArchitecture(),
    QuantumLeNetArchitecture(),
    RateCard("x", "EUR", "2025", "here", per_shot=1.0),
    DeviceModel.uniform(2),
    Pair((0, 1), 0.1, 1e-7),
    Execution(shots=3),
    Recipe("digits"),
    Everything(),
]
FIELDS = [(whole, field.name) for whole in WHOLE for field in dataclasses.fields(whole)]

_NUMBERS = st.sampled_from([0, 1, -1, 3, 2**63, -(2**64), 10**400, 0.0, 10.5, 1e4, -2.0, 1e300, math.nan, math.inf])
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.sampled_from(["", "a", "true", "no", "1", "1.5", "exact", "\ud800"])
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)


def fits(value: Any, hint: Any, infinite: bool) -> bool:
    """Whether a value has one meaning for an annotation: said once more, without the library that the package asks."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, arm, infinite) for arm in arguments)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin is tuple and isinstance(value, list):
        if arguments[-1] is ...:
            return all(fits(part, arguments[0], infinite) for part in value)
        pairs = zip(value, arguments, strict=False)
        return len(value) == len(arguments) and all(fits(part, arm, infinite) for part, arm in pairs)
    if origin is list:
        return isinstance(value, list) and all(fits(part, arguments[0], infinite) for part in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(part, arguments[1], infinite) for part in value.values())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float:
        # Written out, for a comparison of 10^400 with a float is exact.
        return is_number and (abs(value) <= 1.7976931348623157e308 or (infinite and isinstance(value, float)))
    if hint is int:
        return is_number and abs(value) < 2**63 and float(value).is_integer()
    if hint is str:
        return isinstance(value, str) and "\ud800" not in value
    return {bool: isinstance(value, bool), types.NoneType: value is None}.get(hint, False)


@given(of=st.sampled_from(FIELDS), value=_VALUES)
@example(of=(WHOLE[11], "transforms"), value="false")
@example(of=(WHOLE[11], "seed"), value=True)
@example(of=(WHOLE[11], "seed"), value=1.5)
@example(of=(WHOLE[11], "outer"), value=[])
@example(of=(WHOLE[2], "mirror"), value="no")
@example(of=(WHOLE[2], "iterations"), value=10.5)
@example(of=(WHOLE[2], "learning_rate"), value=True)
def test_a_value_of_another_type_is_refused_by_the_name_of_its_field(of: tuple[Any, str], value: Any) -> None:
    whole, name = of
    hint = typing.get_type_hints(type(whole))[name]
    infinite = name in ("t1", "t2")
    if not fits(value, hint, infinite):
        with pytest.raises(ArgumentError, match=f"`{name}"):
            dataclasses.replace(whole, **{name: value})
        return
    try:
        changed = dataclasses.replace(whole, **{name: value})
    except ArgumentError:
        return  # out of its range, or it does not go with the other fields
    kept = getattr(changed, name)
    assert json.loads(json.dumps(kept)) == value
    assert type(kept) is not float or isinstance(value, int | float)


@given(of=st.sampled_from([f for f in FIELDS if not isinstance(f[0], Recipe)]), value=_VALUES)
def test_a_file_and_a_program_are_checked_alike(of: tuple[Any, str], value: Any) -> None:
    whole, name = of

    def outcome(make: Any) -> tuple[Any, str]:
        try:
            return make(), ""
        except ArgumentError as error:
            return None, str(error).replace("`part.", "`")

    by_program = outcome(lambda: dataclasses.replace(whole, **{name: value}))
    by_file = outcome(lambda: from_table(type(whole), {name: value}, "part", default=whole))
    assert repr(by_program[0]) == repr(by_file[0])
    assert (by_program[1] == "") == (by_file[1] == "")


def as_toml(value: Any) -> str:
    """A value of one field as TOML, whose strings, numbers and lists are those of JSON."""
    return repr(value) if isinstance(value, float) else json.dumps(value)


RIGHT: list[tuple[str, str, Any]] = [
    ("outer", "iterations", 1e4),
    ("outer", "learning_rate", 1),
    ("outer", "mirror", True),
    ("inner", "optimiser", "adam"),
    ("compression", "step_size", 1e-3),
    ("device", "shots", 100),
    ("model", "n_layers", 2.0),
    ("model", "angle_range", 3),
]


@pytest.mark.parametrize(("table", "name", "value"), RIGHT)
def test_what_has_one_meaning_comes_back_from_toml_and_json(table: str, name: str, value: Any) -> None:
    text = f'dataset = "digits"\n[{table}]\n{name} = {as_toml(value)}\n'
    recipe = recipe_of(tomllib.loads(text), Path("my.toml"))
    kept = getattr(getattr(recipe, table), name)
    assert kept == value
    assert type(kept) is {"iterations": int, "learning_rate": float, "n_layers": int, "angle_range": float}.get(
        name, type(value)
    )
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('outer = {mirror = "false"}', r"`outer.mirror` must be true or false, but was 'false'\."),
        ('transforms = "pca:2"', r"`transforms` must be a list, but was 'pca:2'\."),
        ("seed = true", r"`seed` must be an integer, but was True\."),
        ("seed = 4294967296", r"`seed` must be from 0 to 4294967295, but was 4294967296\."),
        ("outer = []", r"`outer` must be a table of fields, but was \[\]\."),
        ("outer.iterations = 10.5", r"`outer.iterations` must be an integer, but was 10\.5\."),
        ("outer.iterations = 0", r"`outer.iterations` must be at least 1, but was 0\."),
        ("outer.iteration = 5", "`outer` has no field 'iteration'. Did you mean 'iterations'?"),
        ('outer.optimiser = "adamm"', "`outer.optimiser` must be one of .*Did you mean 'adam'?"),
        ("outer.learning_rate = nan", r"`outer.learning_rate` must be finite, but was nan\."),
        (f"inner.steps = {10**400}", r"`inner.steps` must be below 2\^63, but was 1000.*\(401 characters\)\."),
        ("model.n_qubits = '6'", r"`model.n_qubits` must be an integer, but was '6'\."),
        (
            "model.ansatz = {}",
            r"`model.ansatz` must be a circuit, but .* is not an object of n_wires, operations: \{\}\.",
        ),
        ('model.architecture = "lenet"\nmodel.width = true', r"`model.width` must be an integer, but was True\."),
        ("model.architecture = 3", r"`model.architecture` must be a string, but was 3\."),
        ("dataset = 3", "`dataset` must be a string, but was 3"),
        ("datasets = 'digits'", "`Recipe` has no field 'datasets'. Did you mean 'dataset'?"),
    ],
)
def test_what_is_wrong_in_a_recipe_file_is_named_with_its_table(text: str, message: str) -> None:
    head = "" if text.startswith("dataset =") else 'dataset = "digits"\n'
    with pytest.raises(ArgumentError, match=f"In the recipe my.toml: .*{message}"):
        recipe_of(tomllib.loads(head + text), Path("my.toml"))


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("flag", np.bool_(True), True),
        ("count", np.int64(3), 3),
        ("count", np.float32(3.0), 3),
        ("count", np.array(3), 3),
        ("factor", np.float16(0.5), 0.5),
        ("factor", jnp.float32(0.5), 0.5),
        ("factor", np.uint8(2), 2.0),
        ("maybe", np.float64(0.5), 0.5),
        ("sizes", np.arange(3), (0, 1, 2)),
        ("sizes", [1.0, np.int8(2)], (1, 2)),
        ("nested", np.eye(2), ((1.0, 0.0), (0.0, 1.0))),
        ("table", {"a": np.int32(1)}, {"a": 1.0}),
        ("pair", [1.0, -0.0], (1, -0.0)),
    ],
)
def test_numpy_and_jax_have_the_numbers_of_python(name: str, value: Any, kept: Any) -> None:
    found = getattr(Everything(**{name: value}), name)
    assert repr(found) == repr(kept)


@pytest.mark.parametrize("value", [np.complex64(1), np.array([3]), 3 + 0j, b"3", "3", np.str_("3")])
def test_no_number_is_made_of_what_is_none(value: Any) -> None:
    with pytest.raises(ArgumentError, match="`count` must be an integer"):
        Everything(count=value)


def test_circuits_stay_what_they_are_and_subclasses_pass() -> None:
    circuit = Circuit(1, (Operation("RX", (0,), (weight(0),)),))
    assert Everything(circuit=circuit).circuit is circuit

    @dataclasses.dataclass(frozen=True)
    class Slower(InnerLoop):
        pass

    assert type(Recipe("digits", inner=Slower()).inner) is Slower


def test_a_class_is_no_network() -> None:
    with pytest.raises(ArgumentError, match="`model` must be a LeNetArchitecture, but was the class itself"):
        Recipe("digits", model=LeNetArchitecture)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63, 10**30, True, "1", 1.5, None])
def test_seeds_that_draw_the_same_as_others_are_refused(seed: Any) -> None:
    with pytest.raises(ArgumentError, match="`seed` must be"):
        check_seed(seed)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.uint32(7), 7.0])
def test_seeds_are_integers(seed: Any) -> None:
    assert check_seed(seed) == seed
    assert type(check_seed(seed)) is int


def own(**annotations: Any) -> type:
    """A network with such fields."""
    return dataclasses.make_dataclass(
        "Own", list(annotations.items()), frozen=True, namespace={"build": lambda self: None}
    )


@pytest.mark.parametrize(
    "hint",
    [Any, object, complex, bytes, Path, np.ndarray, jnp.ndarray, set[int], dict[int, int], tuple[Any, ...], type, tuple,
     InnerLoop, "Missing", tuple[int, ...] | tuple[str, ...], tuple[Circuit, ...], typing.Callable[[int], int]],
)  # fmt: skip
def test_a_field_that_cannot_be_checked_or_kept_is_refused_where_it_is_registered(hint: Any) -> None:
    with pytest.raises(ArgumentError, match=r"Own cannot be registered: its (field `odd`|annotations)"):
        ARCHITECTURES["Own"] = own(width=int, odd=hint)
    assert "Own" not in ARCHITECTURES


def test_networks_are_registered_by_their_own_names_and_are_dataclasses() -> None:
    assert unsupported(Everything, own=(Circuit,)) is None
    before = list(ARCHITECTURES)
    with pytest.raises(ArgumentError, match="under its class name"):
        ARCHITECTURES["Other"] = own(width=int)
    for kind in (dict, own(width=int)(1), dataclasses.make_dataclass("Own", [("width", int)])):
        with pytest.raises(ArgumentError, match="must be a frozen dataclass with a `build` method"):
            ARCHITECTURES["Own"] = kind  # type: ignore[assignment]
    assert list(ARCHITECTURES) == before


def test_files_hold_tables_where_programs_hold_dataclasses() -> None:
    assert parse([{"wires": [0, 1], "error": 0, "time": 0}], tuple[Pair, ...], "pairs") == (Pair((0, 1), 0.0, 0.0),)
    with pytest.raises(ArgumentError, match=r"`pairs\[0\].time` must be given, but is missing"):
        parse([{"wires": [0, 1], "error": 0}], tuple[Pair, ...], "pairs")
