"""How many circuits a training on the distilled images would run on a quantum computer."""

from __future__ import annotations

from typing import Any

from qdistill.distill.bundle import DistilledDataset
from qdistill.models.lenet import QuantumLeNet
from qdistill.quantum import AmplitudeEmbedding, PauliZ, QuantumLayer


def count_executions(bundle: DistilledDataset) -> dict[str, Any]:
    """Count the circuits of a bundle's training by the parameter-shift rule.

    Each angle of a Pauli rotation takes two more circuits, shifted by plus and minus pi/2 (Schuld, Bergholm, Gogolin,
    Izaac and Killoran, Phys. Rev. A 99, 032331, 2019). The layers before the quantum layer learn from the gradient with
    respect to its features: an amplitude embedding of real amplitudes on n qubits is prepared by 2^n - 1 RY rotations
    (Mottonen, Vartiainen, Bergholm and Salomaa, quant-ph/0407010), an angle embedding by n. Every circuit runs in each
    measurement setting: all wires along Z for Pauli-Z, and along X, Y and Z for Hermitians, whose coefficients'
    gradients need all three.

    Args:
        bundle: its architecture, images and schedule are read.

    Returns:
        Plain data: `rows` of a name, how it is computed and the number of circuits; `training`, their total; and
        `notes`, what the numbers leave out. All zero, with a note, for a network without a quantum layer.

    Raises:
        BundleError: the bundle does not say which network it is for.
    """
    model = bundle.initial_model()
    layer = model.branch if isinstance(model, QuantumLeNet) else None
    if not isinstance(layer, QuantumLayer):
        return {"rows": [], "training": 0, "notes": ["The network has no quantum layer, so it runs no circuits."]}
    n_images, n_steps, n = bundle.data.schedule.shape[1], bundle.inner.total_steps, layer.circuit.n_wires
    n_angles = layer.circuit.n_weights if layer.trainable else 0
    n_prepared = 2**n - 1 if isinstance(layer.embedding, AmplitudeEmbedding) else n
    settings = 1 if isinstance(layer.observable, PauliZ) else 3
    parts = [
        ("values", "one circuit an image", 1),
        ("gradient of the circuit's angles", f"two circuits an image for each of {n_angles} angles", 2 * n_angles),
        (
            "gradient of the features",
            f"two circuits an image for each of the {n_prepared} rotations that prepare them",
            2 * n_prepared,
        ),
    ]
    per_image = settings * sum(circuits for _, _, circuits in parts)
    how = f"{n_images} images x {settings} measurement setting{'s' * (settings > 1)}"
    rows = [
        {"name": f"one step: {name}", "how": f"{how}, {text}", "circuits": n_images * settings * circuits}
        for name, text, circuits in parts
    ]
    step = n_images * per_image
    rows.append({"name": "one step", "how": "the sum", "circuits": step})
    rows.append({"name": f"the whole training of {n_steps} steps", "how": "", "circuits": n_steps * step})
    rows.append(
        {"name": "one training step on 256 real images, for comparison", "how": "", "circuits": 256 * per_image}
    )
    return {
        "rows": rows,
        "training": n_steps * step,
        "notes": [
            "Circuits, each of which runs as often as there are shots.",
            "A wire's own eigenbasis would give the shifted values of a Hermitian in one setting instead of three.",
        ],
    }
