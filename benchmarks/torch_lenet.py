"""The meta-gradient of the quantum LeNet in PyTorch: what one would write there instead.

The network in `torch.nn.functional` (images channels last, pooling before the ReLU), the training unrolled with
`torch.autograd.grad(..., create_graph=True)`, and one backward pass through all of it. The quantum layer is written by
hand for a batch: each entangling layer is one 2^n x 2^n matrix, built for all layers at once and with the CNOTs as the
order of its rows, and the expectation values come from the Gram matrices of the amplitudes. Of the forms that were
tried (gates fused three by three, the whole unitary first, real instead of complex products; images channels first;
the real batch in slices), this gives the fastest meta-gradients of the default recipes.

`meta_gradient` takes the weights of a `qdistill` network by their names; `benchmarks/iteration.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Synthetic images (n, height, width, channels), labels (n, classes) and step sizes (T, groups)."""

SIDE = 32


def meta_gradient(
    weights: Mapping[str, np.ndarray],
    schedule: np.ndarray,
    real: np.ndarray,
    real_labels: np.ndarray,
) -> Callable[[Arrays], tuple[float, Arrays]]:
    """The loss on real images after the training, and its gradient.

    Args:
        weights: by the names of `qdistill.models.named_weights`, in that order.
        schedule: image indices of each step, (T, images a step).
        real: real images, (batch, height, width, channels), normalised.
        real_labels: one-hot, (batch, classes).

    Returns:
        A function of the synthetic data: the loss, and its gradient with respect to images, labels and step sizes.
    """
    initial = {name: _to_torch(name, np.asarray(value)) for name, value in weights.items()}
    network = _Network(initial)
    real_images, real_targets = _channels_second(real), torch.tensor(real_labels)
    # Where every step sees all images in order, they need not be picked.
    every = (np.asarray(schedule) == np.arange(schedule.shape[1])).all()
    picked = [slice(None)] * len(schedule) if every else list(torch.tensor(schedule))

    def value_and_gradient(arrays: Arrays) -> tuple[float, Arrays]:
        images, labels, step_sizes = (
            tensor.requires_grad_()
            for tensor in (_channels_second(arrays[0]), torch.tensor(arrays[1]), torch.tensor(arrays[2]))
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
        loss = _cross_entropy(network(trained, real_images), real_targets)
        by_images, by_labels, by_sizes = torch.autograd.grad(loss, (images, labels, step_sizes))
        return loss.item(), (by_images.permute(0, 2, 3, 1).numpy(), by_labels.numpy(), by_sizes.numpy())

    return value_and_gradient


def _to_torch(name: str, value: np.ndarray) -> Tensor:
    """One weight array in PyTorch's layout."""
    if name.endswith(".kernel"):  # (height, width, in, out) -> (out, in, height, width)
        return torch.tensor(value.transpose(3, 2, 0, 1)).contiguous(memory_format=torch.channels_last)
    return torch.tensor(value)


def _channels_second(images: np.ndarray) -> Tensor:
    """(n, height, width, channels) as PyTorch's (n, channels, height, width), with channels last in memory."""
    return torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -(labels * functional.log_softmax(logits, dim=-1)).sum(-1).mean()


class _Network:
    """The quantum LeNet as a function of its weights and a batch, with the constants that it needs."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        n_layers, self.n_wires, _ = weights["branch.weights"].shape
        index = np.arange(2**self.n_wires)
        orders = [_cnot_ring(index, self.n_wires, layer % (self.n_wires - 1) + 1) for layer in range(n_layers)]
        self.rows = torch.tensor(np.stack(orders))
        self.layers = torch.arange(n_layers)[:, None]
        # The amplitudes with a wire at 0 and at 1, for every wire.
        split = [np.moveaxis(index.reshape(2**wire, 2, -1), 1, 0).reshape(2, -1) for wire in range(self.n_wires)]
        self.split = torch.tensor(np.stack(split))
        self.paulis = _quadratic_forms()

    def __call__(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """The logits of a batch."""
        x, margin = images, (SIDE - images.shape[-1]) // 2
        for name, padding in (("c1", margin), ("c2", 0)):
            kernel, bias = weights[f"features.{name}.kernel"], weights[f"features.{name}.bias"]
            x = functional.relu(functional.max_pool2d(functional.conv2d(x, kernel, bias, padding=padding), 2))
        x = x.permute(0, 2, 3, 1).flatten(1)  # the channels are last in memory, so this copies nothing
        for name in ("f1", "f2"):
            x = functional.relu(
                functional.linear(x, weights[f"features.{name}.weight"], weights[f"features.{name}.bias"])
            )
        values = self.quantum(weights["branch.weights"], weights["branch.observable.coefficients"], x)
        x = x + functional.pad(values, (0, x.shape[1] - values.shape[1]))
        return functional.linear(x, weights["f3.weight"], weights["f3.bias"])

    def quantum(self, angles: Tensor, coefficients: Tensor, features: Tensor) -> Tensor:
        """The expectation values, (batch, wires)."""
        norm = torch.rsqrt((features * features).sum(-1, keepdim=True) + 1e-12)
        states = (features * norm).to(torch.complex64).T
        for matrix in self.entangling_layers(angles).unbind():
            states = matrix @ states
        split = torch.view_as_real(states.T[:, self.split])  # (batch, wires, 2, 2^(n-1), real and imaginary)
        vectors = split.transpose(-1, -2).reshape(len(features), self.n_wires, 4, -1)
        gram = (vectors @ vectors.transpose(-1, -2)).flatten(-2)
        return (gram * (coefficients @ self.paulis)).sum(-1)

    def entangling_layers(self, angles: Tensor) -> Tensor:
        """One matrix for each entangling layer, (layers, 2^n, 2^n)."""
        half = angles / 2
        cos, sin = torch.cos(half[..., 1]), torch.sin(half[..., 1])
        total, difference = half[..., 0] + half[..., 2], half[..., 0] - half[..., 2]
        magnitudes = torch.stack([cos, -sin, sin, cos], dim=-1)
        phases = torch.stack([-total, difference, -difference, total], dim=-1)
        entries = torch.complex(magnitudes * torch.cos(phases), magnitudes * torch.sin(phases))
        factors = entries.unflatten(-1, (2, 2))
        while factors.shape[1] % 2 == 0:
            factors = _kron(factors[:, 0::2], factors[:, 1::2])
        product, *others = factors.unbind(1)
        for other in others:
            product = _kron(product, other)
        return product[self.layers, self.rows]


def _kron(left: Tensor, right: Tensor) -> Tensor:
    """The Kronecker product of the last two axes."""
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    return product.flatten(-2).flatten(-3, -2)


def _cnot_ring(index: np.ndarray, n_wires: int, distance: int) -> np.ndarray:
    """Where each amplitude comes from, after CNOT(i, (i + distance) mod n) on every wire i in turn."""
    order = index
    for wire in range(n_wires):
        control, target = (1 << (n_wires - 1 - w) for w in (wire, (wire + distance) % n_wires))
        order = order[np.where(index & control != 0, index ^ target, index)]
    return order


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
