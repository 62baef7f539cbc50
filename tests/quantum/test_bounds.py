"""What is too large is refused with its size before it is made, and what is only counted may be large."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import pytest

from qdistill import machine
from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import depth, training_work
from qdistill.models import LeNetArchitecture, QuantumLeNetArchitecture, structure
from qdistill.quantum import (
    AmplitudeEmbedding,
    AngleEmbedding,
    BasicEntangling,
    Circuit,
    DeviceModel,
    Execution,
    NoEmbedding,
    Operation,
    PauliZ,
    QuantumLayer,
    StronglyEntangling,
    check_training_memory,
    constant,
    embedded,
    neighbours,
    on_device,
    preparation_circuit,
    unitary,
)
from qdistill.quantum.bounds import MOST_OPERATIONS, MOST_WIRES
from qdistill.quantum.preparation import preparation_depths, preparation_gates


def layer(n_wires: int, n_layers: int = 1, batch: int = 1) -> QuantumLayer:
    ansatz = StronglyEntangling(n_wires, n_layers)
    weights = jnp.zeros(ansatz.weight_shape)
    return QuantumLayer(AngleEmbedding(n_wires), ansatz.circuit(), weights, PauliZ(((0,),)), batch=batch)


def network(**fields: Any) -> Any:
    return structure(QuantumLeNetArchitecture(**fields), (28, 28, 1), 10)


TOO_LARGE: dict[str, tuple[Callable[[], Any], str]] = {
    "layers": (lambda: StronglyEntangling(6, 10**7), "has 120,000,000"),
    "layers of basic entanglers": (lambda: BasicEntangling(6, 10**18), "has about 2"),
    "wires of an ansatz": (lambda: StronglyEntangling(10**7, 1), "`n_wires` must be at most 10,000"),
    "wires of a circuit": (lambda: Circuit(10**9), "`n_wires` must be at most 10,000"),
    "operations of a circuit": (
        lambda: Circuit.from_json({"n_wires": 1, "operations": [{}] * (MOST_OPERATIONS + 1)}),
        "at most 262,144 operations, but this one has 262,145",
    ),
    "wires of an embedding": (lambda: AmplitudeEmbedding(10**9), "`n_wires` must be at most 10,000"),
    "wires of no embedding": (lambda: NoEmbedding(10**9, 1), "`n_wires` must be at most 10,000"),
    "wires of angles": (lambda: AngleEmbedding(10**9), "`n_wires` must be at most 10,000"),
    "wires of an observable": (lambda: neighbours(10**9, 1), "`n_wires` must be at most 10,000"),
    "wires of a device": (lambda: DeviceModel.uniform(10**9), "`n_wires` must be at most 10,000"),
    "preparation": (lambda: preparation_circuit(18), "the amplitudes of 18 wires has 524,285"),
    "preparation of many wires": (lambda: preparation_circuit(9_000), "has about 2"),
    "amplitudes": (lambda: AmplitudeEmbedding(100).state(jnp.ones(3)), "simulation of 100 wires takes at least 2"),
    "state": (lambda: layer(40)(jnp.ones(3)), "simulation of 40 wires takes at least 20,480.0 GiB, but"),
    "state of thousands of wires": (lambda: layer(500)(jnp.ones(3)), "simulation of 500 wires takes at least 2"),
    "batch": (lambda: layer(20, batch=10**9)(jnp.ones(3)), "20 wires for 1,000,000,000 vectors at once takes at"),
    "unitary": (lambda: unitary(StronglyEntangling(25, 1).circuit(), jnp.zeros(75)), "A matrix of 25 wires takes"),
    "noise": (
        lambda: on_device(layer(22), Execution(DeviceModel.uniform(22)))(jnp.ones(3)),
        "A matrix of 22 wires takes at least",
    ),
    "gradient": (lambda: check_training_memory(layer(20, 8), 10**6), "The gradient of a simulation of 20 wires for"),
    "network's layers": (lambda: network(n_layers=10**7), "has 120,000,000"),
    "network's quanvolution": (lambda: network(quanvolution_layers=10**7), "has 80,000,000"),
    "network's qubits": (lambda: network(n_qubits=10**7), "`n_qubits` must be at most 10,000"),
    "network's features": (lambda: network(n_qubits=40), "takes at least 491,520.0 GiB"),
    "classical network": (
        lambda: structure(LeNetArchitecture(width=10**12), (28, 28, 1), 10),
        "takes at least .* GiB, but this process can use",
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_is_refused_before_it_is_made(name: str) -> None:
    make, message = TOO_LARGE[name]
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ArgumentError, match=message):
            make()
        # A dense layer of the same size would take gigabytes, and a loop over it minutes.
        assert tracemalloc.get_traced_memory()[1] < 2**28
        assert time.process_time() - start < 20
    finally:
        tracemalloc.stop()


def test_the_bound_is_the_machines_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = layer(24)
    monkeypatch.setattr(machine, "machine_memory", lambda: 2**28)
    with pytest.raises(ArgumentError, match=r"takes at least 0\.3 GiB, but this process can use 0\.2 GiB\. Use fewer"):
        exact(jnp.ones(3))
    monkeypatch.setattr(machine, "machine_memory", lambda: 2**34)
    exact.check_memory()
    with pytest.raises(ArgumentError, match="The gradient of a simulation"):
        check_training_memory(exact, 100)


def test_circuits_of_many_wires_are_data_like_others() -> None:
    wires = Circuit(MOST_WIRES, (Operation("CNOT", (0, MOST_WIRES - 1)), Operation("RX", (5,), (constant(0.1),))))
    assert Circuit.from_json(wires.to_json()) == wires


@pytest.mark.parametrize("n_wires", range(1, 9))
def test_the_preparation_is_counted_without_being_made(n_wires: int) -> None:
    prepared = preparation_circuit(n_wires)
    lengths = [len(operation.wires) for operation in prepared.operations]
    assert preparation_gates(n_wires) == (lengths.count(1), lengths.count(2))
    for after in (StronglyEntangling(n_wires, 2).circuit(), BasicEntangling(n_wires, 1).circuit()):
        assert depth(after, preparation_depths(n_wires)) == depth(embedded(AmplitudeEmbedding(n_wires), after))


def test_a_bill_of_24_qubits_is_only_counted() -> None:
    model = network(n_qubits=24, n_layers=1)
    tracemalloc.start()
    work = training_work(model, (28, 28, 1), 10, shots=1)
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
    # Values, two for each of 3 x 24 angles of the ansatz and of 2^24 - 1 of the preparation; in X, Y and Z.
    assert work.circuits == 10 * 3 * (1 + 2 * 72 + 2 * (2**24 - 1))
    assert work.two_qubit_gates == 2**24 - 2 + 24
