"""Device models from what Qiskit backends report of themselves; the fake ones of qiskit-ibm-runtime work offline."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from qdistill.backends.extras import require
from qdistill.errors import ArgumentError
from qdistill.quantum.channels import relaxation as transfer
from qdistill.quantum.device import ONE_QUBIT_LIMIT, TWO_QUBIT_LIMIT, DeviceModel, Pair

_TWO_QUBIT_GATES = ("cx", "ecr", "cz")


def device(name: str, n_wires: int) -> DeviceModel:
    """The best wires of a device by its name, such as ``"fake_sherbrooke"``, or a device in a file.

    Args:
        name: see `fake_backend`, or a file that ends in ``.toml``, for `DeviceModel.from_toml`.
        n_wires: how many wires are wanted.

    Raises:
        ArgumentError: unknown device, or one with fewer wires, or a bad file.
        MissingExtraError: qiskit-ibm-runtime is not installed.

    Example:
        >>> device("fake_sherbrooke", 6).n_wires  # doctest: +SKIP
        6
    """
    if name.endswith(".toml"):
        model = DeviceModel.from_toml(name)
        if model.n_wires < n_wires:
            raise ArgumentError(
                f"Argument `device` must have at least {n_wires} wires, but {name} has {model.n_wires}."
            )
        return model
    return from_qiskit_backend(fake_backend(name, "device"), n_wires)


def fake_backend(name: str, argument: str, prefix: str = "") -> Any:
    """One of the simulated devices of qiskit-ibm-runtime: real devices, with the calibration of one day.

    Args:
        name: as of the device or of the class, ``"fake_sherbrooke"`` or ``"FakeSherbrooke"``.
        argument: what an error calls it.
        prefix: what the user wrote before the name.

    Raises:
        ArgumentError: there is none of that name.
        MissingExtraError: qiskit-ibm-runtime is not installed.
    """
    provider = require("qiskit_ibm_runtime.fake_provider", "qiskit")
    classes = {
        _snake(kind): getattr(provider, kind)
        for kind in dir(provider)
        if kind.startswith("Fake") and not kind.startswith("FakeProvider")
    }
    if _snake(name) not in classes:
        raise ArgumentError.unknown(argument, prefix + name, [prefix + known for known in classes])
    return classes[_snake(name)]()


def _snake(kind: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.removesuffix("V2")).lower()


def from_qiskit_backend(backend: Any, n_wires: int) -> DeviceModel:
    """The best connected wires of a Qiskit backend, with the properties that it reports.

    From every coupled pair a set of wires grows by the qubit that costs least, which is the infidelity of its best
    coupling to the set (the reported error, or that of the relaxation alone where it is larger) plus its mean readout
    error; of all the sets the one with the lowest sum wins. Its qubits become the wires in the order in which they
    joined. A rotation is two of the device's `sx` gates between rotations about Z,
    which take no time, so it has twice the error and the duration of one. T2 is cut to twice T1, as in Qiskit.

    Args:
        backend: a `BackendV2`.
        n_wires: how many wires are wanted.

    Raises:
        ArgumentError: the backend has fewer connected wires, or does not report what is needed.
    """
    target = backend.target
    if not 1 <= n_wires <= target.num_qubits:
        raise ArgumentError(
            f"Argument `n_wires` must be from 1 to {target.num_qubits}, the wires of {backend.name}, but was {n_wires}."
        )
    gate = next((name for name in _TWO_QUBIT_GATES if name in target.operation_names), None)
    if gate is None or "sx" not in target.operation_names:
        raise ArgumentError(
            f"Argument `backend` must have the gates sx and one of {', '.join(_TWO_QUBIT_GATES)}, but {backend.name} "
            f"has {', '.join(sorted(target.operation_names))}."
        )
    reported = {frozenset(wires): record for wires, record in target[gate].items() if record}
    # A broken coupling is reported with the error 1.
    couplings = {
        pair: (float(record.error), float(record.duration))
        for pair, record in reported.items()
        if record.error < TWO_QUBIT_LIMIT
    }
    relaxation = [_relaxation_times(record) for record in target.qubit_properties]
    readout = _readout(backend)
    costs = {
        pair: max(error, _relaxation_error(time, [relaxation[qubit] for qubit in pair]))
        for pair, (error, time) in couplings.items()
    }
    qubits = _best_set(costs, [statistics.mean(shares) for shares in readout], n_wires, backend.name)
    place = {qubit: wire for wire, qubit in enumerate(qubits)}
    inside = {pair: values for pair, values in couplings.items() if pair <= set(qubits)}
    first_second = {pair: tuple(sorted(place[qubit] for qubit in pair)) for pair in inside}
    pairs = [Pair((first_second[pair][0], first_second[pair][1]), *values) for pair, values in inside.items()]
    rotations = [target["sx"][(qubit,)] for qubit in qubits]
    return DeviceModel(
        name=backend.name,
        one_qubit_error=tuple(min(2 * record.error, ONE_QUBIT_LIMIT) for record in rotations),
        one_qubit_time=tuple(2 * record.duration for record in rotations),
        t1=tuple(relaxation[qubit][0] for qubit in qubits),
        t2=tuple(relaxation[qubit][1] for qubit in qubits),
        readout=tuple(readout[qubit] for qubit in qubits),
        two_qubit_error=statistics.mean([pair.error for pair in pairs]) if pairs else 0.0,
        two_qubit_time=statistics.mean([pair.time for pair in pairs]) if pairs else 0.0,
        pairs=tuple(sorted(pairs, key=lambda pair: pair.wires)),
    )


def _relaxation_times(properties: Any) -> tuple[float, float]:
    """T1 and T2 of a qubit; infinite where they are not reported."""
    t1, t2 = (math.inf if time is None else float(time) for time in (properties.t1, properties.t2))
    return t1, min(t2, 2 * t1)


def _relaxation_error(time: float, qubits: Sequence[tuple[float, float]]) -> float:
    """The average infidelity of doing nothing for a time."""
    trace = math.prod(float(np.trace(transfer(time, t1, t2))) for t1, t2 in qubits)
    size: int = 2 ** len(qubits)
    return 1 - (trace / size + 1) / (size + 1)


def _readout(backend: Any) -> list[tuple[float, float]]:
    """The two confusion probabilities of each qubit; their mean for both where only that is reported."""
    target = backend.target
    properties = backend.properties() if hasattr(backend, "properties") else None
    shares = []
    for qubit in range(target.num_qubits):
        mean = float(target["measure"][(qubit,)].error)
        both = (mean, mean)
        if properties is not None:
            reported = properties.qubit_property(qubit)
            if "prob_meas1_prep0" in reported:
                both = (float(reported["prob_meas1_prep0"][0]), float(reported["prob_meas0_prep1"][0]))
        shares.append(both)
    return shares


def _best_set(couplings: dict[frozenset[int], float], readout: list[float], n_wires: int, name: str) -> list[int]:
    if n_wires == 1:
        return [min(range(len(readout)), key=lambda qubit: readout[qubit])]
    neighbours: dict[int, dict[int, float]] = {}
    for (first, second), error in ((tuple(pair), error) for pair, error in couplings.items()):
        neighbours.setdefault(first, {})[second] = error
        neighbours.setdefault(second, {})[first] = error
    best: tuple[float, list[int]] | None = None
    for start in couplings:
        members = sorted(start)
        cost = couplings[start] + sum(readout[qubit] for qubit in members)
        while len(members) < n_wires:
            costs: dict[int, float] = {}
            for member in members:
                for qubit, error in neighbours[member].items():
                    if qubit not in members:
                        costs[qubit] = min(costs.get(qubit, math.inf), error + readout[qubit])
            if not costs:
                break
            chosen = min(costs, key=lambda qubit: costs[qubit])
            members.append(chosen)
            cost += costs[chosen]
        if len(members) == n_wires and (best is None or cost < best[0]):
            best = (cost, members)
    if best is None:
        raise ArgumentError(f"Argument `n_wires` must fit the connected wires of {name}, but was {n_wires}.")
    return best[1]
