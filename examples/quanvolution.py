"""A network and a dataset of one's own: quanvolution, distilled on five of the ten digits.

    python examples/quanvolution.py --out runs/quanvolution

The quanvolutional layer (Henderson et al., arXiv 1904.04767) takes the place of a network's first convolution: every
2x2 patch of the image turns four qubits, a small circuit couples them, and what Z measures on each is a channel of the
next image. Here one dense layer follows. Its circuit is trained with everything else.
"""

import argparse
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from qdistill import ProgressDisplay, QuantumLayer, Recipe, default_recipe, run
from qdistill.data import DATASETS, Images, source
from qdistill.models import ARCHITECTURES, Dense
from qdistill.quantum import AngleEmbedding, PauliZ, StronglyEntangling, each_wire, on_each


class Quanvolution(eqx.Module):
    """The network: any `eqx.Module` that turns one image into logits."""

    layer: QuantumLayer
    dense: Dense

    def __call__(self, image: Array) -> Array:
        """The logits of one image, (height, width, channels)."""
        height, width, channels = image.shape
        patches = image.reshape(height // 2, 2, width // 2, 2, channels).transpose(0, 2, 4, 1, 3)
        # Not `jax.vmap(self.layer)`: so the layer knows how often it is used, and each patch has shots of its own.
        return self.dense(on_each(self.layer, patches.reshape(-1, 4)).reshape(-1))


@dataclasses.dataclass(frozen=True)
class QuanvolutionArchitecture:
    """What recipe and bundle say of the network: enough to build it."""

    n_layers: int = 2

    def build(self, input_shape: tuple[int, int, int], n_classes: int, *, key: Array) -> Quanvolution:
        """Draw a network for images of even height and width."""
        height, width, channels = input_shape
        key_layer, key_dense = jax.random.split(key)
        ansatz = StronglyEntangling(n_wires=4, n_layers=self.n_layers)
        layer = QuantumLayer(
            AngleEmbedding(4),
            ansatz.circuit(),
            jax.random.uniform(key_layer, ansatz.weight_shape, jnp.float32, maxval=2 * jnp.pi),
            PauliZ(each_wire(4)),
        )
        return Quanvolution(layer, Dense(height * width * channels, n_classes, "xavier_normal", key=key_dense))


def five_digits() -> Images:
    """The digits 0 to 4 of scikit-learn's, as NumPy arrays that could come from anywhere."""
    raw = source("digits").load(None)
    train, test = raw.train_labels < 5, raw.test_labels < 5
    return Images(
        raw.train_inputs[train],
        raw.train_labels[train],
        raw.test_inputs[test],
        raw.test_labels[test],
        name="five-digits",
    )


# Under these names recipes and bundles know them, in every program that does the same.
ARCHITECTURES["QuanvolutionArchitecture"] = QuanvolutionArchitecture
DATASETS["five-digits"] = five_digits()


def recipe(dataset: str, iterations: int) -> Recipe:
    default = default_recipe(dataset)
    return dataclasses.replace(
        default,
        model=QuanvolutionArchitecture(),
        outer=dataclasses.replace(default.outer, iterations=iterations, validate_every=min(100, iterations)),
        n_validation=100 if dataset == "five-digits" else default.n_validation,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="five-digits")
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--out", default="runs/quanvolution")
    options = parser.parse_args()
    with ProgressDisplay() as display:
        bundle = run(recipe(options.dataset, options.iterations), options.out, observer=display)
    print(f"test accuracy {bundle.record.test_accuracy:.2%} (n = {bundle.record.n_test:,})")
