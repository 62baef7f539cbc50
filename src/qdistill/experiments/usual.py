"""What a dataset is distilled for, and how, where no one says otherwise: from the shape of its inputs alone."""

from __future__ import annotations

import math
from typing import Any

from qdistill.distill.compression import Compression
from qdistill.distill.inner import InnerLoop
from qdistill.distill.outer import OuterLoop
from qdistill.models import Architecture, DataReuploading, DressedCircuit
from qdistill.models.readout import MOST_CLASS_STATES

MNIST_LIKE: dict[str, Any] = {
    "inner": InnerLoop(optimiser="momentum"),
    "outer": OuterLoop(iterations=8000, batch=128, learning_rate=0.04, validate_every=200),
}
"""For images: `docs/decisions/0008-search.md` has what this was chosen from."""

_MOST_VALIDATION = 5000
_SMALL = 16
"""Numbers of the largest inputs that a circuit reads as they are, and of the largest images without a convolution."""
_COMPONENTS = 10
_FEWEST_QUBITS, _AXES = 4, 3
_REUPLOADING: dict[str, Any] = {"entangler": "ring", "readout": "expectation", "class_weight": 3.0}
"""Chosen, with the learning rate, on the validation part of MNIST 3 v 5 in ten principal components, with
`recipes/classifiers`."""


def usual_fields(input_shape: tuple[int, ...], n_classes: int) -> dict[str, Any]:
    """The fields of a recipe for inputs of a shape: images go with the quantum LeNet, others with a circuit.

    A circuit is data re-uploading on four qubits or more, or a dressed one where there are more classes than it
    tells apart. Of many features it reads ten principal components, rescaled to angles.
    """
    size = math.prod(input_shape)
    if len(input_shape) == 3 and size > _SMALL:
        return MNIST_LIKE
    return of_circuit(size, n_classes)


def of_circuit(size: int, n_classes: int) -> dict[str, Any]:
    """The fields of a recipe for a circuit that reads inputs of so many numbers.

    Twenty steps and a learned step size that starts at 0.1 took two moons from 90 to 95 %.
    """
    n_features = size if size <= _SMALL else _COMPONENTS
    n_qubits = max(_FEWEST_QUBITS, math.ceil(n_features / _AXES), n_classes)
    model: Architecture = DataReuploading(n_qubits=n_qubits, **_REUPLOADING)
    if n_classes > MOST_CLASS_STATES:
        model = DressedCircuit()
    return {
        "model": model,
        "compression": Compression(step_size=0.1),
        "inner": InnerLoop(steps=20, optimiser="momentum"),
        "outer": OuterLoop(iterations=3000, batch=128, learning_rate=0.04, validate_every=100),
        "transforms": ("standardise",)
        if size <= _SMALL
        else ("standardise", f"pca:{_COMPONENTS}", "rescale:-pi/2:pi/2:feature"),
    }


def usual_n_validation(n_train: int | None) -> int:
    """How many inputs are set aside: a fifth, at most 5,000, which is taken where no one knows how many there are."""
    return _MOST_VALIDATION if n_train is None else min(_MOST_VALIDATION, max(1, n_train // 5))
