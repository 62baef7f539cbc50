"""Some digits of MNIST, which smaller classifiers are tried on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from qdistill.data.raw import RawDataset, Shape
from qdistill.data.sources import MNIST
from qdistill.errors import ArgumentError
from qdistill.fields import check_fields


@dataclass(frozen=True)
class MNISTDigits:
    """The images of some digits of MNIST in its own division; 3 and 5 are 11,552 for training and 1,902 for test.

    Args:
        digits: different ones from 0 to 9, two at least, in the order of the labels.

    Reference:
        Bowles, Ahmed and Schuld, "Better than classical?", 2024, arXiv 2403.07059, for 3 and 5, of which it takes
        principal components.
    """

    digits: tuple[int, ...] = (3, 5)
    input_shape: ClassVar[Shape] = MNIST.input_shape

    def __post_init__(self) -> None:
        """Check the digits."""
        check_fields(self)
        if len(set(self.digits)) != len(self.digits) or len(self.digits) < 2 or not set(self.digits) <= set(range(10)):
            raise ArgumentError(
                f"Argument `digits` must be two or more different ones from 0 to 9, but was {self.digits}."
            )

    @property
    def name(self) -> str:
        """Such as `mnist-3v5`."""
        return f"mnist-{'v'.join(self.class_names)}"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The digits."""
        return tuple(map(str, self.digits))

    def load(self, data_dir: Path | None = None) -> RawDataset:
        """Read the images of these digits; see `MNIST.load`, for the errors too."""
        whole = MNIST().load(data_dir)
        places = np.full(len(MNIST.class_names), -1, np.int32)
        places[list(self.digits)] = np.arange(len(self.digits))
        train, test = places[whole.train_labels], places[whole.test_labels]
        return RawDataset(
            name=self.name,
            class_names=self.class_names,
            train_inputs=whole.train_inputs[train >= 0],
            train_labels=train[train >= 0],
            test_inputs=whole.test_inputs[test >= 0],
            test_labels=test[test >= 0],
            scale=whole.scale,
        )
