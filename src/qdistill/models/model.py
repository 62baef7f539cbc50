"""What every network here is, and what can be done with any of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args, get_origin, get_type_hints, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import Array, Float

from qdistill.errors import ArgumentError, CircuitError
from qdistill.numbers import Numbers, real
from qdistill.quantum import Circuit, for_batch, with_key


@runtime_checkable
class Model(Protocol):
    """A network: an `eqx.Module` that takes one input."""

    def __call__(self, x: Float[Array, "*shape"], /) -> Float[Array, " classes"]:
        """The logits of one input."""
        ...


@runtime_checkable
class ClosedForm(Protocol):
    """A network whose training is one step of Newton's method: the minimum of its square error, by linear equations."""

    def __call__(self, x: Float[Array, "*shape"], /) -> Float[Array, " classes"]:
        """The logits of one input."""
        ...

    def fit(
        self, inputs: Float[Array, "n *shape"], labels: Float[Array, "n classes"], *, step_size: Any, key: Array | None
    ) -> Model:
        """The network that is trained on these examples; the structure is that of this one, the shapes may differ.

        Args:
            inputs: of n examples.
            labels: theirs, of any sign and scale.
            step_size: the share of the way to the minimum.
            key: random key, consumed, where there are shots; None elsewhere.
        """
        ...

    def check_fit(self, inputs: Float[Array, "n *shape"]) -> None:
        """Make sure that the equations have one solution.

        Raises:
            ArgumentError: they do not, and why.
        """
        ...


@runtime_checkable
class HasLastFeatures(Protocol):
    """A network that can tell what its last trained linear map reads."""

    def last_features(self, x: Float[Array, "*shape"], /) -> Float[Array, " features"]:
        """What the last map reads of one input."""
        ...


@runtime_checkable
class Architecture(Protocol):
    """What a recipe or a bundle says of a network: enough to build it, nothing of its weights."""

    def build(self, input_shape: tuple[int, ...], n_classes: int, *, key: Array) -> Model:
        """Draw a network for inputs of that shape: (features,) of a vector, (height, width, channels) of an image.

        Raises:
            ArgumentError: the network does not read inputs of that shape.
        """
        ...


@runtime_checkable
class KnowsShapes(Protocol):
    """An architecture that can tell, before it builds anything, how large that would be."""

    def known_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of weights that its fields alone decide, by name; at once, whatever numbers the fields are."""
        ...


@runtime_checkable
class GivesFidelities(Protocol):
    """An architecture that can tell whether its logits are fidelities with a state for each class, from 0 to 1."""

    @property
    def gives_fidelities(self) -> bool:
        """Whether they are, with these fields."""
        ...


def is_solved(architecture: Any) -> bool:
    """Whether the networks of an architecture, or of a class of them, are a `ClosedForm`: its `is_solved` says so."""
    return getattr(architecture, "is_solved", False) is True


def fields_to_json(architecture: Any) -> dict[str, Any]:
    """The fields of an architecture as plain data, circuits among them as `Circuit.to_json` writes them."""
    values = {field.name: getattr(architecture, field.name) for field in dataclasses.fields(architecture)}
    return {name: value.to_json() if isinstance(value, Circuit) else value for name, value in values.items()}


def fields_from_json(kind: type, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an architecture's fields from what `fields_to_json` wrote, not yet checked but for circuits.

    Args:
        kind: the architecture, a dataclass.
        fields: objects in fields that may be a `Circuit` are read as one.

    Raises:
        CircuitError: such an object is no circuit.
    """
    hints = get_type_hints(kind)

    def value(name: str, plain: Any) -> Any:
        hint = hints.get(name)
        if isinstance(plain, dict) and circuit_choices(kind, name) is not None:
            try:
                return Circuit.from_json(plain)
            except CircuitError as error:
                raise CircuitError(str(error).replace("`plain`", f"`{name}`", 1)) from error
        # JSON knows no tuples.
        return tuple(plain) if isinstance(plain, list) and tuple in (hint, get_origin(hint)) else plain

    return {name: value(name, plain) for name, plain in fields.items()}


def circuit_choices(kind: type, name: str) -> tuple[Any, ...] | None:
    """What a field may be beside a circuit: its literal choices, and None; None where it is never a circuit.

    Args:
        kind: the architecture, a dataclass.
        name: of the field, which need not exist.
    """
    hint = get_type_hints(kind).get(name)
    arms = (hint, *get_args(hint))
    if Circuit not in arms:
        return None
    choices = [choice for arm in arms if get_origin(arm) is Literal for choice in get_args(arm)]
    return (*choices, *([None] if type(None) in arms else []))


def names_a_file(kind: type, name: str, value: Any) -> bool:
    """Whether a field that may be a circuit is given the name of a file with one.

    Where the field may be any text too, the names of files end in ``.json``, ``.qasm`` or ``.py``.

    Args:
        kind: the architecture, a dataclass.
        name: of the field.
        value: what a recipe file or the command line has for it.
    """
    choices = circuit_choices(kind, name)
    if choices is None or not isinstance(value, str) or value in choices:
        return False
    return str not in get_args(get_type_hints(kind)[name]) or value.lower().endswith((".json", ".qasm", ".py"))


def predict(model: Model, inputs: Numbers, *, key: Array | None = None) -> Float[Array, "n classes"]:
    """The logits of many inputs; quantum layers choose their form for that many.

    Args:
        model: the network.
        inputs: normalised, real, (n, ...); n may be 0.
        key: random key, consumed, for layers that take shots: each input has shots of its own. Or a key for each input.

    Raises:
        ArgumentError: no real numbers, or what the network raises.
    """
    inputs = real("inputs", inputs)
    if not inputs.ndim:
        raise ArgumentError(f"Argument `inputs` must be a sequence of inputs, but had shape {inputs.shape}.")
    model = for_batch(model, max(1, len(inputs)))
    if key is None:
        return jax.vmap(model)(inputs)
    keys = key if key.ndim else jax.random.split(key, len(inputs))
    return jax.vmap(lambda x, key: with_key(model, key)(x))(inputs, keys)


def last_features(model: Model, inputs: Float[Array, "n *shape"]) -> Float[Array, "n features"]:
    """What a network's last trained linear map reads of many inputs; its logits where it does not say.

    Args:
        model: the network.
        inputs: normalised, (n, ...).
    """
    model = for_batch(model, max(1, len(inputs)))
    return jax.vmap(model.last_features if isinstance(model, HasLastFeatures) else model)(inputs)


def structure(architecture: Architecture, input_shape: tuple[int, ...], n_classes: int) -> Model:
    """The network with shapes in the place of its arrays: nothing is drawn, which would take seconds."""
    model: Model = eqx.filter_eval_shape(architecture.build, input_shape, n_classes, key=jax.random.key(0))
    return model


def named_weights(model: Model) -> dict[str, Array]:
    """Every floating-point array of a network by its name, such as ``"features.c1.kernel"``, in a fixed order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(model, eqx.is_inexact_array))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def with_weights(model: Model, weights: dict[str, Array]) -> Model:
    """The same network with other weights.

    Args:
        model: gives the structure.
        weights: by the names of `named_weights`, all of them; real.

    Raises:
        ArgumentError: names or shapes do not fit the network, or no real numbers.
    """
    weights = {name: real(name, values) for name, values in weights.items()}
    own = named_weights(model)
    if set(own) != set(weights):
        missing, foreign = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
        raise ArgumentError(
            f"Argument `weights` must name the network's weights, but {missing} were missing and {foreign} "
            "were not of this network."
        )
    for name, leaf in own.items():
        if weights[name].shape != leaf.shape:
            raise ArgumentError(
                f"Argument `weights` must have shape {leaf.shape} for {name!r}, but was {weights[name].shape}."
            )
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    treedef = jax.tree.structure(arrays)
    replaced: Model = eqx.combine(jax.tree.unflatten(treedef, [weights[name] for name in own]), static)
    return replaced
