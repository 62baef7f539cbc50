"""One quantum layer, written for several simulators, behind one interface.

The layer: features as amplitudes, divided by ``sqrt(sum(x^2) + 1e-12)``; strongly entangling layers, each a Rot on
every wire and a ring of CNOTs; on every wire w the Hermitian ``a I + b X + c Y + d Z`` with trainable real
coefficients. Each simulator is given the form in which it was measured to be fastest: one general gate for a Rot
where it takes one (up to a global phase, which no expectation value sees), amplitudes that are normalised by hand.

What is computed, for ``total = sum(sin(outputs))``:

    value       the outputs, (batch, wires)
    gradient    of total, with respect to angles, coefficients and features
    hvp         the derivative of that gradient along the angles and coefficients themselves

A simulator is imported only when one of its functions is called.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    import jax
    import torch

Kind = Literal["value", "gradient", "hvp"]
Outcome = dict[str, Any]
"""Arrays by name: `outputs` of a value; else `angles`, `coefficients` and `features`, or those that there are."""

NORM_FLOOR = 1e-12


class NotOfferedError(Exception):
    """A simulator cannot compute this at all."""


@dataclass(frozen=True)
class Problem:
    """A layer's weights and a batch of inputs.

    Args:
        angles: (layers, wires, 3), radians.
        coefficients: (wires, 4), of I, X, Y and Z.
        features: (batch, 2^wires), not negative, as a network's are after a ReLU. (The gradients of images of
            both signs largely cancel, and the rounding of some peers in float32 then shows.)
    """

    angles: np.ndarray
    coefficients: np.ndarray
    features: np.ndarray

    @classmethod
    def draw(cls, n_wires: int, batch: int, n_layers: int = 4) -> Problem:
        """Always the same numbers for the same sizes."""
        random = np.random.default_rng(0)
        return cls(
            random.uniform(0, 2 * np.pi, (n_layers, n_wires, 3)).astype(np.float32),
            random.normal(size=(n_wires, 4)).astype(np.float32),
            np.maximum(random.normal(size=(batch, 2**n_wires)), 0).astype(np.float32),
        )


@dataclass(frozen=True)
class Prepared:
    """Something ready to be timed.

    Args:
        run: computes once and returns when it is done.
        compile_seconds: what tracing and compiling took.
        temporary_bytes: the most memory that it needs besides arguments and results.
        note: what a reader of its numbers must know.
        rounding: how far its outcome may be from the exact one, relative to an array's largest entry, where that is
            more than can be expected in float32.
    """

    run: Callable[[], Outcome]
    compile_seconds: float | None = None
    temporary_bytes: int | None = None
    note: str = ""
    rounding: float = 0.0


class Implementation(Protocol):
    """One way to compute the layer."""

    def prepare(self, problem: Problem, kind: Kind) -> Prepared:
        """Trace and compile, without running anything of the problem's size.

        Raises:
            NotOfferedError: this kind cannot be computed.
            ImportError: the simulator is not installed.
        """
        ...


Parameters = tuple["jax.Array", "jax.Array"]
Outputs = Callable[[Parameters, "jax.Array"], "jax.Array"]
"""((angles, coefficients), features) -> (batch, wires), in JAX."""


@dataclass(frozen=True)
class InJax:
    """Any layer whose outputs are a JAX function, differentiated by JAX and compiled as one program.

    Args:
        build: makes the function for a problem's sizes.
        describe: the note for a problem's sizes.
    """

    build: Callable[[], Outputs]
    describe: Callable[[Problem], str] = lambda problem: ""

    def prepare(self, problem: Problem, kind: Kind) -> Prepared:
        """Trace and compile."""
        program = differentiate(self.build(), kind)
        parameters = (problem.angles, problem.coefficients)
        return compile_program(program, parameters, problem.features, note=self.describe(problem))


def differentiate(outputs: Outputs, kind: Kind) -> Callable[[Parameters, jax.Array], Outcome]:
    """The program for a kind of outcome."""
    import jax
    import jax.numpy as jnp

    def total(parameters: Parameters, features: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(outputs(parameters, features)))

    def value(parameters: Parameters, features: jax.Array) -> Outcome:
        return {"outputs": outputs(parameters, features)}

    def gradient(parameters: Parameters, features: jax.Array) -> Outcome:
        return _named(jax.grad(total, (0, 1))(parameters, features))

    def hvp(parameters: Parameters, features: jax.Array) -> Outcome:
        def along_itself(p: Parameters, x: jax.Array) -> jax.Array:
            derivative: jax.Array = jax.jvp(lambda q: total(q, x), (p,), (parameters,))[1]
            return derivative

        return _named(jax.grad(along_itself, (0, 1))(parameters, features))

    return {"value": value, "gradient": gradient, "hvp": hvp}[kind]


def _named(derivatives: tuple[Any, Any]) -> Outcome:
    (angles, coefficients), features = derivatives
    return {"angles": angles, "coefficients": coefficients, "features": features}


def compile_program(program: Callable[..., Outcome], *arguments: Any, note: str = "") -> Prepared:
    """Trace and compile a JAX program for its arguments, which all stay arguments: nothing is folded into it."""
    import jax

    arguments = jax.device_put(arguments)
    start = time.perf_counter()
    compiled = jax.jit(program).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    analysis = compiled.memory_analysis()
    return Prepared(
        run=lambda: jax.block_until_ready(compiled(*arguments)),
        compile_seconds=seconds,
        temporary_bytes=None if analysis is None else analysis.temp_size_in_bytes,
        note=note,
    )


def ring(n_wires: int, layer: int) -> list[tuple[int, int]]:
    """Control and target of a strongly entangling layer's CNOTs, in order."""
    return [(wire, (wire + layer % (n_wires - 1) + 1) % n_wires) for wire in range(n_wires)]


def _paulis() -> np.ndarray:
    return np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], np.complex64)


def _unit(features: jax.Array) -> jax.Array:
    import jax.numpy as jnp

    return features / jnp.sqrt(jnp.sum(features**2, axis=-1, keepdims=True) + NORM_FLOOR)


def _hermitians(coefficients: jax.Array) -> jax.Array:
    import jax.numpy as jnp

    return jnp.einsum("wp,pij->wij", coefficients.astype(jnp.complex64), jnp.asarray(_paulis()))


def _rots(angles: jax.Array) -> jax.Array:
    """RZ(omega) RY(theta) RZ(phi) for angles (..., 3)."""
    import jax.numpy as jnp

    phi, theta, omega = (angles[..., k] for k in range(3))
    cosine, sine = jnp.cos(theta / 2), jnp.sin(theta / 2)
    sum_phase, difference_phase = jnp.exp(-0.5j * (phi + omega)), jnp.exp(0.5j * (phi - omega))
    rows = (
        (sum_phase * cosine, -difference_phase * sine),
        (jnp.conj(difference_phase) * sine, jnp.conj(sum_phase) * cosine),
    )
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def plain_jax() -> Outputs:
    """Gate by gate, as one would write it first: one axis a wire, each CNOT a flip of half the state."""
    import jax
    import jax.numpy as jnp

    def rotate(matrix: jax.Array, state: jax.Array, wire: int) -> jax.Array:
        return jnp.moveaxis(jnp.tensordot(matrix, state, ((1,), (wire,))), 0, wire)

    def cnot(state: jax.Array, control: int, target: int) -> jax.Array:
        off, on = jnp.split(state, 2, axis=control)
        return jnp.concatenate([off, jnp.flip(on, target)], axis=control)

    def one(parameters: Parameters, features: jax.Array) -> jax.Array:
        angles, coefficients = parameters
        n_layers, n_wires, _ = angles.shape
        rots, hermitians = _rots(angles), _hermitians(coefficients)
        state = _unit(features).astype(jnp.complex64).reshape((2,) * n_wires)
        for layer in range(n_layers):
            for wire in range(n_wires):
                state = rotate(rots[layer, wire], state, wire)
            for control, target in ring(n_wires, layer):
                state = cnot(state, control, target)
        return jnp.stack([jnp.vdot(state, rotate(hermitians[w], state, w)).real for w in range(n_wires)])

    return jax.vmap(one, (None, 0))


def pennylane_default() -> Outputs:
    """PennyLane's default.qubit with backpropagation, the batch by parameter broadcasting."""
    import jax.numpy as jnp
    import pennylane as qml

    def outputs(parameters: Parameters, features: jax.Array) -> jax.Array:
        angles, coefficients = parameters
        wires = range(angles.shape[1])
        hermitians = _hermitians(coefficients)

        @qml.qnode(qml.device("default.qubit", wires=len(wires)), interface="jax", diff_method="backprop")
        def circuit() -> list[Any]:
            qml.StatePrep(_unit(features), wires=wires, validate_norm=False)
            qml.StronglyEntanglingLayers(angles, wires=wires)
            return [qml.expval(qml.Hermitian(hermitians[wire], wires=wire)) for wire in wires]

        return jnp.stack(circuit(), axis=-1)

    return outputs


def tensorcircuit() -> Outputs:
    """TensorCircuit-NG on its JAX backend, the batch by vmap."""
    import jax
    import jax.numpy as jnp
    import tensorcircuit as tc

    tc.set_backend("jax")
    tc.set_dtype("complex64")

    def one(parameters: Parameters, features: jax.Array) -> jax.Array:
        angles, coefficients = parameters
        n_layers, n_wires, _ = angles.shape
        rots, hermitians = _rots(angles), _hermitians(coefficients)
        circuit = tc.Circuit(n_wires, inputs=_unit(features).astype(jnp.complex64))
        for layer in range(n_layers):
            for wire in range(n_wires):
                circuit.any(wire, unitary=rots[layer, wire])
            for control, target in ring(n_wires, layer):
                circuit.cnot(control, target)
        return jnp.stack([jnp.real(circuit.expectation([hermitians[w], [w]])) for w in range(n_wires)])

    return jax.vmap(one, (None, 0))


class Lightning:
    """PennyLane's lightning.qubit with adjoint differentiation, input by input through the device's own interface.

    Adjoint differentiation gives derivatives with respect to gates' angles only. So the device computes X, Y and Z on
    every wire; the Hermitians are sums of these, which also makes the derivatives with respect to their coefficients
    exact. The gradient lacks the features': state preparation is not differentiated, so it is less work than that
    of all others. There are no second derivatives.
    """

    def prepare(self, problem: Problem, kind: Kind) -> Prepared:
        """Make the device; there is nothing to compile."""
        import pennylane as qml
        from pennylane.devices import ExecutionConfig
        from pennylane.tape import QuantumScript

        if kind == "hvp":
            raise NotOfferedError("adjoint differentiation gives no second derivatives")
        angles, coefficients, features = problem.angles, problem.coefficients, problem.features
        n_wires = angles.shape[1]
        wires = range(n_wires)
        device = qml.device("lightning.qubit", wires=n_wires, c_dtype=np.complex64)
        # The device would keep final states by a hash of the circuit, which takes longer than it saves, and from 1,000
        # amplitudes on gives one input the state of another: it is made from the array's shortened text.
        config = device.setup_execution_config(
            ExecutionConfig(gradient_method="adjoint", use_device_gradient=True, use_device_jacobian_product=False)
        )
        measured = [qml.expval(pauli(wire)) for wire in wires for pauli in (qml.X, qml.Y, qml.Z)]

        def circuits() -> tuple[list[QuantumScript], np.ndarray]:
            states = features / np.sqrt(np.sum(features**2, axis=-1, keepdims=True) + NORM_FLOOR)
            gates = qml.StronglyEntanglingLayers(angles, wires=wires).decomposition()
            trainable = range(1, 1 + angles.size)  # parameter 0 is the state
            scripts = [
                QuantumScript(
                    [qml.StatePrep(state, wires=wires, validate_norm=False), *gates],
                    measured,
                    trainable_params=trainable,
                )
                for state in states
            ]
            return scripts, np.sum(states**2, axis=-1)

        def expectations(scripts: list[QuantumScript], norms: np.ndarray) -> np.ndarray:
            paulis = np.array(device.execute(scripts, config)).reshape(-1, n_wires, 3)
            identity = np.broadcast_to(norms[:, None, None], (len(norms), n_wires, 1))
            return np.concatenate([identity, paulis], axis=-1)

        def value() -> Outcome:
            return {"outputs": np.einsum("wp,bwp->bw", coefficients, expectations(*circuits()))}

        def gradient() -> Outcome:
            scripts, norms = circuits()
            paulis = expectations(scripts, norms)
            slopes = np.cos(np.einsum("wp,bwp->bw", coefficients, paulis))
            cotangents = (slopes[:, :, None] * coefficients[:, 1:]).reshape(len(scripts), -1)
            products = device.compute_vjp(scripts, [tuple(cotangent) for cotangent in cotangents], config)
            return {
                "angles": np.sum(np.array(products), axis=0).reshape(angles.shape),
                "coefficients": np.einsum("bw,bwp->wp", slopes, paulis),
            }

        if kind == "value":
            return Prepared(value)
        return Prepared(gradient, note="without the features' gradient")


class DeepQuantum:
    """DeepQuantum, on PyTorch: gradients by autograd, Hessian-vector products by differentiating them again.

    Nothing is compiled. Its temporary memory is what autograd keeps for the backward pass, a little less than the peak.
    The derivative of a gate's matrix is one product over all inputs and amplitudes, in which float32 loses digits.
    """

    def prepare(self, problem: Problem, kind: Kind) -> Prepared:
        """Build the circuit, and measure what autograd keeps on one and on two inputs."""
        import deepquantum as dq
        import torch

        n_layers, n_wires, _ = problem.angles.shape
        arrays = (problem.angles, problem.coefficients, problem.features)
        tensors = [torch.from_numpy(array) for array in arrays]
        paulis = torch.from_numpy(_paulis())
        circuit = dq.QubitCircuit(n_wires)
        for layer in range(n_layers):
            for wire in range(n_wires):
                circuit.u3(wire, encode=True)
            for control, target in ring(n_wires, layer):
                circuit.cnot(control, target)

        def outputs(angles: torch.Tensor, coefficients: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
            unit = features * torch.rsqrt(torch.sum(features**2, dim=-1, keepdim=True) + NORM_FLOOR)
            # u3(theta, omega, phi) is Rot(phi, theta, omega) up to a global phase.
            state = circuit(data=angles[..., [1, 2, 0]].reshape(-1), state=unit.to(torch.complex64).unsqueeze(-1))
            state = state.reshape(-1, *(2,) * n_wires)
            hermitians = torch.einsum("wp,pij->wij", coefficients.to(torch.complex64), paulis)
            values = []
            for wire in range(n_wires):
                image = dq.qmath.evolve_state(state, hermitians[wire], n_wires, [wire])
                values.append(torch.sum((state.conj() * image).real.reshape(len(features), -1), dim=-1))
            return torch.stack(values, dim=-1)

        def value(inputs: list[torch.Tensor]) -> Outcome:
            with torch.no_grad():
                return {"outputs": outputs(*inputs)}

        def gradient(inputs: list[torch.Tensor]) -> Outcome:
            leaves = [tensor.clone().requires_grad_() for tensor in inputs]
            slopes = torch.autograd.grad(torch.sum(torch.sin(outputs(*leaves))), leaves)
            return dict(zip(("angles", "coefficients", "features"), slopes, strict=True))

        def hvp(inputs: list[torch.Tensor]) -> Outcome:
            leaves = [tensor.clone().requires_grad_() for tensor in inputs]
            total = torch.sum(torch.sin(outputs(*leaves)))
            slopes = torch.autograd.grad(total, leaves[:2], create_graph=True)
            along = sum(torch.sum(slope * tensor) for slope, tensor in zip(slopes, inputs[:2], strict=True))
            products = torch.autograd.grad(along, leaves)
            return dict(zip(("angles", "coefficients", "features"), products, strict=True))

        function = {"value": value, "gradient": gradient, "hvp": hvp}[kind]
        one, two = (_kept_by_autograd(lambda n=n: function([*tensors[:2], tensors[2][:n]])) for n in (1, 2))
        kept = one + (len(tensors[2]) - 1) * (two - one)
        return Prepared(
            lambda: function(tensors),
            temporary_bytes=kept or None,
            note="memory: what autograd keeps" if kept else "",
            rounding=2e-3,
        )


def _kept_by_autograd(function: Callable[[], object]) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass."""
    import torch

    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return sum(kept.values())


PEERS: dict[str, Implementation] = {
    "PennyLane default.qubit": InJax(pennylane_default),
    "PennyLane lightning.qubit": Lightning(),
    "TensorCircuit-NG": InJax(tensorcircuit),
    "DeepQuantum": DeepQuantum(),
    "JAX, gate by gate": InJax(plain_jax),
}
