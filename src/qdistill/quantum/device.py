"""A quantum computer as plain data: the errors and durations of its gates, its relaxation times, its readout.

The numbers are those that a device reports of itself. `channels` makes them into maps, `transfer` applies those to a
circuit, and `backends.devices` reads them from Qiskit's backends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError, shown
from qdistill.fields import check_fields, convert, from_table
from qdistill.files import read_toml, toml, write_text
from qdistill.quantum.bounds import MOST_WIRES, check_wires
from qdistill.quantum.circuit import Circuit

ONE_QUBIT_LIMIT, TWO_QUBIT_LIMIT = 0.5, 0.75
"""The average gate errors (d - 1) / d of channels that forget everything."""


@dataclass(frozen=True)
class Pair:
    """A two-qubit gate of its own quality.

    Args:
        wires: the two, in either order.
        error: average gate infidelity, relaxation included, from 0 to 0.75.
        time: duration in seconds.

    Raises:
        ArgumentError: impossible values.
    """

    wires: tuple[int, int]
    error: float
    time: float

    def __post_init__(self) -> None:
        """Check the values."""
        check_fields(self)
        if len(set(self.wires)) != 2 or min(self.wires) < 0:
            raise ArgumentError(f"Argument `wires` must be two different wires, but was {self.wires}.")
        _check_range("error", (self.error,), 0.0, TWO_QUBIT_LIMIT)
        _check_range("time", (self.time,), 0.0, math.inf)


@dataclass(frozen=True)
class DeviceModel:
    """What a device says of its wires and gates; each tuple has one entry a wire.

    Gates on every pair of wires are taken as the device's own. Where `pairs` are given, they are the pairs that the
    device couples; a gate on another pair would need SWAPs, which are not added here: it gets `two_qubit_error` and
    `two_qubit_time`, and `n_uncoupled` counts how many gates of a circuit that concerns. Wires that wait while others
    have gates do not relax, as in Qiskit's noise models.

    Args:
        name: what to call it.
        one_qubit_error: average gate infidelity of a rotation, relaxation included, from 0 to 0.5.
        one_qubit_time: duration of a rotation in seconds.
        t1: relaxation time in seconds; `math.inf` for none.
        t2: coherence time in seconds, at most twice `t1`.
        readout: probabilities ``(read 1 where it is 0, read 0 where it is 1)``.
        two_qubit_error: average gate infidelity, from 0 to 0.75, of the pairs that are not listed.
        two_qubit_time: their duration in seconds.
        pairs: pairs of wires with values of their own.

    Raises:
        ArgumentError: tuples of different lengths, impossible values, or a pair that is not there or there twice.
    """

    name: str
    one_qubit_error: tuple[float, ...]
    one_qubit_time: tuple[float, ...]
    t1: tuple[float, ...]
    t2: tuple[float, ...]
    readout: tuple[tuple[float, float], ...]
    two_qubit_error: float
    two_qubit_time: float
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        check_fields(self, infinite=("t1", "t2"))
        n = self.n_wires
        for name in ("one_qubit_error", "one_qubit_time", "t1", "t2", "readout"):
            if len(getattr(self, name)) != n or not n:
                raise ArgumentError(
                    f"Argument `{name}` must have an entry for each of the {n} wires, but had "
                    f"{len(getattr(self, name))}."
                )
        _check_range("one_qubit_error", self.one_qubit_error, 0.0, ONE_QUBIT_LIMIT)
        _check_range("two_qubit_error", (self.two_qubit_error,), 0.0, TWO_QUBIT_LIMIT)
        for name in ("one_qubit_time", "t1", "t2"):
            _check_range(name, getattr(self, name), 0.0, math.inf)
        _check_range("two_qubit_time", (self.two_qubit_time,), 0.0, math.inf)
        _check_range("readout", [share for wire in self.readout for share in wire], 0.0, 1.0)
        for wire, (t1, t2) in enumerate(zip(self.t1, self.t2, strict=True)):
            if not 0 < t2 <= 2 * t1:
                raise ArgumentError(
                    f"Argument `t2` must be above 0 and at most twice `t1`, but on wire {wire} was {t2} with a `t1` of "
                    f"{t1}."
                )
        known = [frozenset(pair.wires) for pair in self.pairs]
        if len(set(known)) < len(known) or any(max(pair) >= n for pair in known):
            raise ArgumentError(
                f"Argument `pairs` must list each pair of the wires 0 to {n - 1} once at most, but was "
                f"{[pair.wires for pair in self.pairs]}."
            )

    @property
    def n_wires(self) -> int:
        """Number of qubits."""
        return len(self.t1)

    @classmethod
    def uniform(
        cls,
        n_wires: int,
        *,
        name: str = "uniform",
        one_qubit_error: float = 0.0,
        two_qubit_error: float = 0.0,
        one_qubit_time: float = 0.0,
        two_qubit_time: float = 0.0,
        t1: float = math.inf,
        t2: float = math.inf,
        readout: tuple[float, float] = (0.0, 0.0),
    ) -> DeviceModel:
        """A device whose wires are all alike; without further arguments it makes no errors."""
        check_wires(n_wires)
        return cls(
            name=name,
            one_qubit_error=(one_qubit_error,) * n_wires,
            one_qubit_time=(one_qubit_time,) * n_wires,
            t1=(t1,) * n_wires,
            t2=(t2,) * n_wires,
            readout=(readout,) * n_wires,
            two_qubit_error=two_qubit_error,
            two_qubit_time=two_qubit_time,
        )

    def two_qubit(self, wires: Sequence[int]) -> tuple[float, float]:
        """Error and duration of a gate on two wires."""
        for pair in self.pairs:
            if set(pair.wires) == set(wires):
                return pair.error, pair.time
        return self.two_qubit_error, self.two_qubit_time

    def n_uncoupled(self, circuit: Circuit) -> int:
        """How many two-qubit gates of a circuit are on pairs that the device does not couple; 0 without `pairs`."""
        coupled = {frozenset(pair.wires) for pair in self.pairs}
        used = [frozenset(operation.wires) for operation in circuit.operations if len(operation.wires) == 2]
        return sum(pair not in coupled for pair in used) if coupled else 0

    def scaled(self, factor: float) -> DeviceModel:
        """The device with `factor` times its error rates: gate errors, 1/T1, 1/T2 and readout errors.

        Rates that would go beyond what is possible stay there: a gate that forgets everything, a coin as readout.

        Raises:
            ArgumentError: a negative or infinite factor.
        """
        if not 0 <= factor < math.inf:
            raise ArgumentError(f"Argument `factor` must be finite and at least 0, but was {factor}.")

        def slower(times: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(time / factor if factor else math.inf for time in times)

        def grown(value: float, limit: float) -> float:
            return max(value, min(value * factor, limit)) if factor >= 1 else value * factor

        return replace(
            self,
            name=f"{factor:g} x {self.name}",
            one_qubit_error=tuple(grown(error, ONE_QUBIT_LIMIT) for error in self.one_qubit_error),
            two_qubit_error=grown(self.two_qubit_error, TWO_QUBIT_LIMIT),
            pairs=tuple(replace(pair, error=grown(pair.error, TWO_QUBIT_LIMIT)) for pair in self.pairs),
            t1=slower(self.t1),
            t2=slower(self.t2),
            readout=tuple((grown(first, 0.5), grown(second, 0.5)) for first, second in self.readout),
        )

    def to_toml(self) -> str:
        """The device as TOML, which `from_toml` reads back."""
        lines = [f"{name} = {toml(value)}" for name, value in asdict(self).items() if name != "pairs"]
        for pair in self.pairs:
            lines += ["", "[[pairs]]", *(f"{name} = {toml(value)}" for name, value in asdict(pair).items())]
        return "\n".join(lines) + "\n"

    def save(self, path: Path | str) -> None:
        """Write `to_toml` into a file.

        Raises:
            RunError: the file cannot be written.
        """
        write_text(Path(path), self.to_toml())

    @classmethod
    def from_toml(cls, path: Path | str) -> DeviceModel:
        """Read a device from a TOML file.

        The file has the fields of this class. A field with an entry a wire may be a single value for all wires, if
        `n_wires` says how many there are. `name` is the file's name where it is left out.

        Raises:
            ArgumentError: the file is missing or no TOML, a field is missing or unknown, or a value is impossible.
        """
        path = Path(path)
        try:
            plain = read_toml(path)
        except (OSError, ValueError) as error:
            raise ArgumentError(f"Cannot read the device {path}: {error}.") from error
        try:
            return _from_table({"name": path.stem, **plain})
        except ArgumentError as error:
            raise ArgumentError(f"Cannot read the device {path}: {error}") from error


def _check_range(name: str, values: Sequence[float], lowest: float, highest: float) -> None:
    for value in values:
        if not lowest <= value <= highest:
            raise ArgumentError(f"Argument `{name}` must be from {lowest:g} to {highest:g}, but was {value!r}.")


def _from_table(table: dict[str, Any]) -> DeviceModel:
    """The device of a file's fields, of which one value may stand for all wires."""
    n_wires = table.pop("n_wires", None)
    for name in ("one_qubit_error", "one_qubit_time", "t1", "t2"):
        if name in table and not isinstance(table[name], list):
            table[name] = _for_all_wires(name, table[name], n_wires)
    readout = table.get("readout")
    if isinstance(readout, list) and not any(isinstance(wire, list) for wire in readout):
        table["readout"] = _for_all_wires("readout", readout, n_wires)
    pairs = table.get("pairs")
    if isinstance(pairs, list):
        table["pairs"] = [from_table(Pair, pair, f"pairs[{place}]") for place, pair in enumerate(pairs)]
    device: DeviceModel = from_table(DeviceModel, table, "")
    if n_wires not in (None, device.n_wires):
        raise ArgumentError(f"Argument `n_wires` must be {device.n_wires}, as `t1` has, but was {shown(n_wires)}.")
    return device


def _for_all_wires(name: str, value: Any, n_wires: Any) -> list[Any]:
    """One value for each wire, where it stands for all of them."""
    count = convert(n_wires, int | None, "n_wires")
    if count is None or not 1 <= count <= MOST_WIRES:
        raise ArgumentError(
            f"Argument `n_wires` must be from 1 to {MOST_WIRES} where `{name}` is one value for all wires, but was "
            f"{shown(n_wires)}."
        )
    return [value] * count
