"""Write the zoo's card, `README.md` in the form of a Hugging Face dataset card, from the bundles themselves.

python zoo/make_card.py
"""

from __future__ import annotations

from pathlib import Path

from qdistill import DistilledDataset
from qdistill.cli.report import command_of
from qdistill.distill.in_words import network_of

HERE = Path(__file__).parent
HEAD = """\
---
license: apache-2.0
source_datasets:
- ylecun/mnist
- zalando-datasets/fashion_mnist
- uoft-cs/cifar10
pretty_name: Distilled datasets for quantum neural networks
task_categories:
- image-classification
size_categories:
- n<1K
tags:
- dataset-distillation
- quantum-machine-learning
- safetensors
---

# Distilled datasets for quantum neural networks

A few synthetic examples each, on which a hybrid quantum network, or a circuit alone, with the initial weights in the
same file learns in a few gradient steps. Made by qdistill from the training parts of public datasets; no image of those
is in here, though those of CIFAR-10 started as real ones. The file format is described in `docs/bundle-format.md`.

```sh
qdistill zoo list
qdistill evaluate mnist-10-qlenet     # trains on the ten examples and measures on the test set
qdistill zoo get mnist-10-qlenet      # copies the file here
```

"""
FOOT = """
Every choice, of the iteration that is kept and of the seed where there were several, was made by the validation
accuracy, on as many training images as the table says, set aside. The test set was read once, at the end of each run,
and once more where a bundle was rounded to eight bits after it. The accuracies are for the initial weights in the file
("known initialisation") and repeat to the last digit on the same platform.

Sources: MNIST (Y. LeCun, C. Cortes and C. Burges), Fashion-MNIST (Zalando Research, MIT licence) and CIFAR-10
(A. Krizhevsky, V. Nair and G. Hinton), under the terms of their authors; the licence above is that of these files.

Limits: an image of a bundle means little to a person, and little to a network that starts from other weights, which
`qdistill evaluate NAME --initialisations 20` measures. The labels are learned weights of each class, not probabilities.
"""


def card() -> str:
    """The card of all bundles beside this file."""
    lines = [
        "| name | data | examples | steps | network | validation accuracy | test accuracy | recipe |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(HERE.glob("*.safetensors")):
        bundle = DistilledDataset.load(path)
        record = bundle.record
        rounded = ", then `qdistill compress`" if bundle.eight_bit else ""
        lines.append(
            f"| `{path.stem}` | {bundle.dataset} | {len(bundle.data.inputs)} | {len(bundle.data.schedule)} | "
            f"{network_of(bundle)} | {record.validation_accuracy:.2%} (n = {record.n_validation:,}) | "
            f"{record.test_accuracy:.2%} (n = {record.n_test:,}) | `{command_of(bundle.recipe)}`{rounded} |"
        )
    return HEAD + "\n".join(lines) + "\n" + FOOT


if __name__ == "__main__":
    (HERE / "README.md").write_text(card())
