"""OpenQASM text as a `Circuit`, read by Qiskit."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qdistill.backends.extras import require
from qdistill.backends.qiskit_gates import circuit_of
from qdistill.backends.qiskit_parameters import Variables, names_of
from qdistill.errors import ArgumentError, CircuitError
from qdistill.quantum.circuit import Circuit


def from_openqasm(text: str, *, features: Iterable[str] = ()) -> Circuit:
    """Read OpenQASM 3 or 2 text as a circuit; ``q[w]``, or the w-th qubit declared, becomes wire w.

    The ``input`` declarations of OpenQASM 3 are the parameters: those in `features` are features, in that order, and
    all others are weights in the order of their declarations. Gates and angles are those of `from_qiskit`, whose reader
    is used; measurements at the end are left out.

    Args:
        text: the program.
        features: names of inputs. A name stands for an array too: ``"x"`` for ``x_0``, ``x_1`` and so on, as
            `to_openqasm` writes one, and for ``_x_0_``, ``_x_1_``, as Qiskit does. The number is the place in the
            array, so that an element without a declaration is a feature that no angle reads.

    Raises:
        MissingExtraError: Qiskit or its OpenQASM 3 reader is not installed.
        CircuitError: the text cannot be read, or holds a gate, an angle or a measurement that a circuit cannot have.
        ArgumentError: a text that is none, or a name in `features` that is not declared.
    """
    return _circuit(*_read(text), names_of(features))


def from_named_openqasm(text: str, names: Sequence[str]) -> Circuit:
    """The same, where the features are known by their name, one of `names`; without it there are none.

    Raises:
        MissingExtraError, CircuitError: see `from_openqasm`.
        ArgumentError: inputs have two of the names, or elements of an array with far more places than inputs.
    """
    circuit, declared = _read(text)
    found = [name for name in names if name in declared or _elements(name, declared)]
    if len(found) > 1:
        raise ArgumentError(
            f"Its inputs must have one of the names {', '.join(names)} for the features, but have "
            f"{' and '.join(found)}."
        )
    return _circuit(circuit, declared, found)


def _read(text: str) -> tuple[Any, list[str]]:
    """Qiskit's circuit and the names of its inputs."""
    if not isinstance(text, str):
        raise ArgumentError(f"Argument `text` must be a text, but was {type(text).__name__}.")
    require("qiskit", "qiskit")
    return (_version_2 if _version(text) == 2 else _version_3)(text)


def _circuit(circuit: Any, declared: list[str], wanted: list[str]) -> Circuit:
    groups = {name: [name] for name in declared}
    for name in wanted:
        if name not in groups and (elements := _elements(name, declared)):
            groups = {key: value for key, value in groups.items() if key not in elements} | {name: elements}
    return circuit_of(circuit, Variables.of(groups, wanted), reverse=False)


def _elements(name: str, declared: list[str]) -> list[str]:
    """The inputs that are elements of an array, each at its place; what is not declared has a name of no input."""
    found = {}
    for each in declared:
        match = re.fullmatch(rf"{re.escape(name)}_(\d+)|_{re.escape(name)}_(\d+)_", each)
        if match is not None:
            found[int(match[1] or match[2])] = each
    if found and max(found) >= 2 * len(found) + 1000:
        raise ArgumentError(
            f"Argument `features` must name arrays, but the elements of {name!r} go up to {max(found)}."
        )
    return [found.get(place, f"{name}[{place}]") for place in range(max(found, default=-1) + 1)]


def _version(text: str) -> int:
    """The version that a program states; 3 where it states none."""
    stated = re.match(r"\s*OPENQASM\s+(\d+)", _without_comments(text))
    version = int(stated[1]) if stated else 3
    if version not in (2, 3):
        raise CircuitError(
            f"Argument `text` must be an OpenQASM program of version 2 or 3, but is of version {version}."
        )
    return version


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def _version_2(text: str) -> tuple[Any, list[str]]:
    """The circuit; this version has no inputs."""
    qasm = require("qiskit.qasm2", "qiskit")
    with _refused("2"):
        circuit = qasm.loads(
            text,
            custom_instructions=qasm.LEGACY_CUSTOM_INSTRUCTIONS,
            custom_classical=qasm.LEGACY_CUSTOM_CLASSICAL,
        )
    return circuit, []


def _version_3(text: str) -> tuple[Any, list[str]]:
    """The circuit and the names of its inputs, in their order."""
    qasm = require("qiskit.qasm3", "qiskit")
    parser = require("openqasm3.parser", "qiskit")
    require("qiskit_qasm3_import", "qiskit")
    with _refused("3"):
        if not _without_comments(text).strip():
            raise ValueError("it is empty")
        statements = parser.parse(text).statements
        circuit = qasm.loads(text)
    return circuit, [s.identifier.name for s in statements if type(s).__name__ == "IODeclaration"]


@contextlib.contextmanager
def _refused(version: str) -> Iterator[None]:
    """Say what a reader found, and where."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):  # where the parser of version 3 prints some of what it finds
            yield
    except Exception as error:  # the readers have many kinds
        said = getattr(error, "message", None) or str(error) or printed.getvalue().strip() or _unexpected(error)
        place = re.match(r"(?:<input>:|line |L)?(\d+)(?:,|:C?)(\d+):? (.*)", said, flags=re.DOTALL)
        where = f"line {place[1]}, column {place[2]}: {place[3]}" if place else said
        raise CircuitError(
            f"Argument `text` must be an OpenQASM {version} program that Qiskit reads, but: {where}"
        ) from error


def _unexpected(error: Exception) -> str:
    """The token at which a parser gave up, which is the reason of its reason."""
    reason = error.__cause__.args[0] if error.__cause__ and error.__cause__.args else None
    token = getattr(reason, "offendingToken", None)
    return "it is none" if token is None else f"line {token.line}:{token.column} unexpected {token.text!r}"
