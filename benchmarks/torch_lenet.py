"""The meta-gradient of the quantum LeNet in PyTorch: what one would write there instead, and a tuned version of it.

Both unroll the training with `torch.autograd.grad(..., create_graph=True)` and go backward through all of it at once.

`Plain` is what the textbook of each library gives: `conv2d`, ReLU, `max_pool2d`, `linear`, and a quantum layer by hand,
whose unitary is built gate by gate once for the whole batch.

`Tuned` is the fastest of the forms that were tried for these recipes: images channels last, pooling before the ReLU,
each entangling layer one 2^n x 2^n matrix, built for all layers at once and with the CNOTs as the order of its rows,
and the expectation values from the Gram matrices of the amplitudes. (Also tried: gates fused three by three, the whole
unitary first, real instead of complex products, images channels first, the real batch in slices.)

`meta_gradient` takes the weights of a `qdistill` network by their names; `benchmarks/iteration.py` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Synthetic images (n, height, width, channels), labels (n, classes) and step sizes (T, groups)."""

SIDE = 32


class Network(Protocol):
    """The quantum LeNet as a function of its weights and a batch, with the memory layout that it wants."""

    layout: torch.memory_format

    def __call__(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """The logits of a batch (n, channels, height, width)."""
        ...


def meta_gradient(
    weights: Mapping[str, np.ndarray],
    schedule: np.ndarray,
    real: np.ndarray,
    real_labels: np.ndarray,
    *,
    tuned: bool,
) -> Callable[[Arrays], tuple[float, Arrays]]:
    """The loss on real images after the training, and its gradient.

    Args:
        weights: by the names of `qdistill.models.named_weights`, in that order.
        schedule: image indices of each step, (T, images a step).
        real: real images, (batch, height, width, channels), normalised.
        real_labels: one-hot, (batch, classes).
        tuned: whether the network is `Tuned` instead of `Plain`.

    Returns:
        A function of the synthetic data: the loss, and its gradient with respect to images, labels and step sizes.
    """
    n_layers, n_wires, _ = weights["branch.weights"].shape
    network: Network = (Tuned if tuned else Plain)(n_wires, n_layers)

    def as_inputs(array: np.ndarray) -> Tensor:
        return torch.tensor(np.asarray(array)).permute(0, 3, 1, 2).contiguous(memory_format=network.layout)

    def as_weight(name: str, array: np.ndarray) -> Tensor:
        if not name.endswith(".kernel"):
            return torch.tensor(np.asarray(array))
        # (height, width, in, out) -> (out, in, height, width)
        return torch.tensor(np.asarray(array).transpose(3, 2, 0, 1)).contiguous(memory_format=network.layout)

    initial = {name: as_weight(name, array) for name, array in weights.items()}
    real_inputs, real_targets = as_inputs(real), torch.tensor(real_labels)
    # Where every step sees all images in order, they need not be picked.
    every = (np.asarray(schedule) == np.arange(schedule.shape[1])).all()
    picked = [slice(None)] * len(schedule) if every else list(torch.tensor(schedule))

    def value_and_gradient(arrays: Arrays) -> tuple[float, Arrays]:
        images, labels, step_sizes = (
            tensor.requires_grad_()
            for tensor in (as_inputs(arrays[0]), torch.tensor(arrays[1]), torch.tensor(arrays[2]))
        )
        trained = {name: value.clone().requires_grad_() for name, value in initial.items()}
        sizes = step_sizes.expand(-1, len(trained))
        for step, batch in enumerate(picked):
            loss = _cross_entropy(network(trained, images[batch]), labels[batch])
            gradients = torch.autograd.grad(loss, list(trained.values()), create_graph=True)
            trained = {
                name: value - size * gradient
                for (name, value), size, gradient in zip(trained.items(), sizes[step], gradients, strict=True)
            }
        loss = _cross_entropy(network(trained, real_inputs), real_targets)
        by_images, by_labels, by_sizes = torch.autograd.grad(loss, (images, labels, step_sizes))
        return loss.item(), (by_images.permute(0, 2, 3, 1).numpy(), by_labels.numpy(), by_sizes.numpy())

    return value_and_gradient


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -(labels * functional.log_softmax(logits, dim=-1)).sum(-1).mean()


def _head(weights: Mapping[str, Tensor], pooled: Tensor, quantum: Callable[..., Tensor]) -> Tensor:
    """F1, F2, the quantum branch with its residual connection, F3."""
    x = pooled.permute(0, 2, 3, 1).flatten(1)  # with channels last this copies nothing
    for name in ("f1", "f2"):
        x = functional.relu(functional.linear(x, weights[f"features.{name}.weight"], weights[f"features.{name}.bias"]))
    norm = torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-12)
    states = (x * norm).to(torch.complex64)
    values = quantum(weights["branch.weights"], weights["branch.observable.coefficients"], states)
    x = x + functional.pad(values, (0, x.shape[1] - values.shape[1]))
    return functional.linear(x, weights["f3.weight"], weights["f3.bias"])


class Plain:
    """As one would write it first."""

    layout = torch.contiguous_format

    def __init__(self, n_wires: int, n_layers: int) -> None:
        self.n_wires = n_wires
        self.rows = [torch.tensor(order) for order in _cnot_rings(n_wires, n_layers)]
        paulis = [np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], np.diag([1, -1])]
        self.paulis = torch.tensor(np.array(paulis), dtype=torch.complex64)

    def __call__(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """The logits of a batch."""
        x, margin = images, (SIDE - images.shape[-1]) // 2
        for name, padding in (("c1", margin), ("c2", 0)):
            kernel, bias = weights[f"features.{name}.kernel"], weights[f"features.{name}.bias"]
            x = functional.max_pool2d(functional.relu(functional.conv2d(x, kernel, bias, padding=padding)), 2)
        return _head(weights, x, self.quantum)

    def quantum(self, angles: Tensor, coefficients: Tensor, states: Tensor) -> Tensor:
        """The expectation values, (batch, wires)."""
        states = states @ self.unitary(angles).T
        hermitians = torch.einsum("wp,pij->wij", coefficients.to(torch.complex64), self.paulis)
        values = []
        for wire, hermitian in enumerate(hermitians):
            split = states.reshape(len(states), 2**wire, 2, -1)
            values.append((split.conj() * torch.einsum("ij,bajc->baic", hermitian, split)).real.sum((1, 2, 3)))
        return torch.stack(values, dim=-1)

    def unitary(self, angles: Tensor) -> Tensor:
        """Of all entangling layers, (2^n, 2^n)."""
        rots, size = _rots(angles), 2**self.n_wires
        whole = torch.eye(size, dtype=torch.complex64)
        for layer, rows in zip(rots, self.rows, strict=True):
            for wire, rot in enumerate(layer):
                whole = torch.einsum("ij,ajb->aib", rot, whole.reshape(2**wire, 2, -1)).reshape(size, size)
            whole = whole[rows]
        return whole


class Tuned:
    """The fastest that was found."""

    layout = torch.channels_last

    def __init__(self, n_wires: int, n_layers: int) -> None:
        self.n_wires = n_wires
        self.rows = torch.tensor(np.stack(_cnot_rings(n_wires, n_layers)))
        self.layers = torch.arange(n_layers)[:, None]
        # The amplitudes with a wire at 0 and at 1, for every wire.
        index = np.arange(2**n_wires)
        split = [np.moveaxis(index.reshape(2**wire, 2, -1), 1, 0).reshape(2, -1) for wire in range(n_wires)]
        self.split = torch.tensor(np.stack(split))
        self.paulis = _quadratic_forms()

    def __call__(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """The logits of a batch."""
        x, margin = images, (SIDE - images.shape[-1]) // 2
        for name, padding in (("c1", margin), ("c2", 0)):
            kernel, bias = weights[f"features.{name}.kernel"], weights[f"features.{name}.bias"]
            x = functional.relu(functional.max_pool2d(functional.conv2d(x, kernel, bias, padding=padding), 2))
        return _head(weights, x, self.quantum)

    def quantum(self, angles: Tensor, coefficients: Tensor, states: Tensor) -> Tensor:
        """The expectation values, (batch, wires)."""
        columns = states.T
        for matrix in self.entangling_layers(angles).unbind():
            columns = matrix @ columns
        split = torch.view_as_real(columns.T[:, self.split])  # (batch, wires, 2, 2^(n-1), real and imaginary)
        vectors = split.transpose(-1, -2).reshape(len(states), self.n_wires, 4, -1)
        gram = (vectors @ vectors.transpose(-1, -2)).flatten(-2)
        return (gram * (coefficients @ self.paulis)).sum(-1)

    def entangling_layers(self, angles: Tensor) -> Tensor:
        """One matrix for each entangling layer, (layers, 2^n, 2^n)."""
        factors = _rots(angles)
        while factors.shape[1] % 2 == 0:
            factors = _kron(factors[:, 0::2], factors[:, 1::2])
        product, *others = factors.unbind(1)
        for other in others:
            product = _kron(product, other)
        return product[self.layers, self.rows]


def _rots(angles: Tensor) -> Tensor:
    """RZ(omega) RY(theta) RZ(phi) for each (phi, theta, omega), (..., 2, 2)."""
    half = angles / 2
    cos, sin = torch.cos(half[..., 1]), torch.sin(half[..., 1])
    total, difference = half[..., 0] + half[..., 2], half[..., 0] - half[..., 2]
    magnitudes = torch.stack([cos, -sin, sin, cos], dim=-1)
    phases = torch.stack([-total, difference, -difference, total], dim=-1)
    return torch.complex(magnitudes * torch.cos(phases), magnitudes * torch.sin(phases)).unflatten(-1, (2, 2))


def _kron(left: Tensor, right: Tensor) -> Tensor:
    """The Kronecker product of the last two axes."""
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    return product.flatten(-2).flatten(-3, -2)


def _cnot_rings(n_wires: int, n_layers: int) -> list[np.ndarray]:
    """Where each amplitude comes from, after every layer's CNOT(i, (i + distance) mod n) on each wire i in turn."""
    index, orders = np.arange(2**n_wires), []
    for layer in range(n_layers):
        distance, order = layer % (n_wires - 1) + 1, index
        for wire in range(n_wires):
            control, target = (1 << (n_wires - 1 - w) for w in (wire, (wire + distance) % n_wires))
            order = order[np.where(index & control != 0, index ^ target, index)]
        orders.append(order)
    return orders


def _quadratic_forms() -> Tensor:
    """I, X, Y and Z of one wire as real quadratic forms in (Re a0, Im a0, Re a1, Im a1), (4, 16)."""
    identity, turn = np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]])
    forms = [
        np.eye(4),
        np.kron([[0, 1], [1, 0]], identity),
        np.kron([[0, 1], [0, 0]], turn) + np.kron([[0, 0], [1, 0]], turn.T),
        np.diag([1, 1, -1, -1]),
    ]
    return torch.tensor(np.stack(forms).reshape(4, 16), dtype=torch.float32)
