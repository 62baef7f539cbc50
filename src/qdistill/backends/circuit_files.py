"""Circuits in files of data: JSON as `Circuit.to_json` writes it, and OpenQASM."""

from __future__ import annotations

from pathlib import Path

from qdistill.backends.from_openqasm import from_named_openqasm
from qdistill.errors import ArgumentError
from qdistill.files import parse_json, read_text
from qdistill.quantum.circuit import Circuit

FEATURES = ("features", "x", "inputs")
"""The names of OpenQASM's inputs that are features; all others are weights. The first is what this package writes."""


def read_circuit(path: Path, name: str = "circuit") -> Circuit:
    """Read a circuit from a file of data.

    Args:
        path: OpenQASM where its name ends in ``.qasm``, and otherwise JSON. Of OpenQASM's inputs those called features,
            x or inputs, or elements of an array of that name such as ``x_0``, are features, and all others are weights.
        name: of the argument, for errors.

    Raises:
        ArgumentError: it cannot be read, or holds no circuit.
        MissingExtraError: of OpenQASM, where Qiskit or its reader is not installed.
    """
    try:
        text = read_text(path)
    except OSError as error:
        raise ArgumentError(
            f"Argument `{name}` must be a file with a circuit, but {path} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:
        raise _holds_none(name, path, error) from error
    try:
        return (
            from_named_openqasm(text, FEATURES)
            if path.suffix.lower() == ".qasm"
            else Circuit.from_json(parse_json(text))
        )
    except ValueError as error:
        raise _holds_none(name, path, error) from error


def _holds_none(name: str, path: Path, error: ValueError) -> ArgumentError:
    return ArgumentError(f"Argument `{name}` must be a file with a circuit, but {path} holds none: {error}")
