"""`qdistill export --to huggingface`: the folder is read back by Hugging Face's own library, and says what is true."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import datasets
import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from PIL import Image

from qdistill.cli import main
from qdistill.data import FittedChain
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.initialisation import DrawnAnew
from qdistill.distill.record import Record
from qdistill.models import DataReuploading

from ..distill.samples import random_bundle

ROOT = Path(__file__).resolve().parents[2]


def exported(bundle: DistilledDataset, tmp_path: Path) -> tuple[Any, DatasetCard]:
    """The examples and the card of a bundle's folder, as the library reads them."""
    bundle.save(tmp_path / "bundle.safetensors")
    folder = tmp_path / "bundle-huggingface"
    assert main(["export", str(tmp_path / "bundle.safetensors"), "--to", "huggingface"]) == 0
    assert {file.name for file in folder.iterdir()} == {"README.md", "bundle.safetensors", "train.parquet"}
    content = (folder / "bundle.safetensors").read_bytes()
    assert content == (tmp_path / "bundle.safetensors").read_bytes()
    examples = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    return examples, DatasetCard.load(folder / "README.md")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_shown_and_nothing_is_lost(channels: int, tmp_path: Path) -> None:
    bundle = random_bundle(input_shape=(8, 6, channels), n_classes=3, class_names=("no", "1", "a: b"))
    bundle = eqx.tree_at(lambda b: b.data.inputs, bundle, replace_fn=lambda inputs: 4 * inputs)
    examples, card = exported(bundle, tmp_path)
    assert examples.features["label"] == datasets.ClassLabel(names=["no", "1", "a: b"])
    arrays = examples.with_format("numpy")
    np.testing.assert_array_equal(arrays["input"][:], bundle.data.inputs, strict=True)
    np.testing.assert_array_equal(arrays["soft_label"][:], bundle.data.labels, strict=True)
    assert examples["label"][:] == np.asarray(bundle.data.labels).argmax(axis=1).tolist()

    # From the fitted numbers by hand: x std + mean, of which 0 is black and 1 white.
    (step,) = bundle.transform.steps
    pixels = np.asarray(bundle.data.inputs, float) * np.asarray(step.std, float) + np.asarray(step.mean, float)
    assert pixels.min() < 0 < 1 < pixels.max()
    for image, expected in zip(examples["image"][:], pixels, strict=True):
        assert isinstance(image, Image.Image)
        assert image.mode == {1: "L", 3: "RGB"}[channels]
        shown = np.asarray(image).reshape(8, 6, channels)
        np.testing.assert_allclose(shown, 255 * expected.clip(0, 1), atol=0.51)
    outside = np.mean((pixels < 0) | (pixels > 1))
    assert f"({100 * outside:.1f} % of the values lie outside)" in card.text


def test_vectors_are_numbers_before_and_after_the_transforms(tmp_path: Path) -> None:
    bundle = random_bundle(DataReuploading(n_qubits=2, n_layers=1), input_shape=(4,), n_classes=2)
    examples, card = exported(bundle, tmp_path)
    assert set(examples.features) == {"raw_input", "input", "label", "soft_label"}
    (step,) = bundle.transform.steps
    arrays = examples.with_format("numpy")
    raw = 255 * (np.asarray(bundle.data.inputs, float) * np.asarray(step.std) + np.asarray(step.mean))
    np.testing.assert_allclose(arrays["raw_input"][:], raw, rtol=1e-5)
    np.testing.assert_array_equal(arrays["input"][:], bundle.data.inputs, strict=True)
    assert card.data.task_categories == ["tabular-classification"]


def test_the_card_s_metadata_are_what_the_hub_reads(tmp_path: Path) -> None:
    examples, card = exported(random_bundle(dataset="flowers: a & 'b'"), tmp_path)
    assert card.data.pretty_name == "flowers: a & 'b' in 3 distilled examples"
    assert card.data.size_categories == "n<1K"
    configs = MetadataConfigs.from_dataset_card_data(card.data)
    assert configs["default"]["data_files"] == [{"split": "train", "path": "train.parquet"}]
    listed = datasets.Features._from_yaml_list(card.data.dataset_info["features"])
    assert listed == examples.features


def test_the_card_says_how_to_train(tmp_path: Path) -> None:
    bundle = random_bundle()
    _, card = exported(bundle, tmp_path)
    sizes = np.asarray(bundle.data.step_sizes)
    text = " ".join(card.text.split())
    assert "Test accuracy after that: 93.75 % (n = 10,000 test inputs)." in text
    assert "2 of gradient descent on the cross-entropy of `soft_label`, each on all examples." in text
    assert f"from {sizes.min():.3g} to {sizes.max():.3g}, the tensor `step_sizes` of shape (2, 1)" in text
    assert "From other weights the same training ends at chance or little above it." in text
    assert "divided by 255, then standardise" in text


def test_the_card_of_unknown_initial_weights_has_the_worst_draw(tmp_path: Path) -> None:
    known = random_bundle(DataReuploading(n_qubits=2, n_layers=1), input_shape=(4,), n_classes=2)
    bundle = dataclasses.replace(
        known,
        initial_weights={},
        drawn_anew=DrawnAnew(known.weight_names),
        record=Record(0.875, 8, 0.5, 8, (1.0, 0.75), (0.5,)),
        rounding=None,
    )
    _, card = exported(bundle, tmp_path)
    text = " ".join(card.text.split())
    assert "87.50 %, a mean over 2 draws of the initial weights, of which the worst gives 75.00 %" in text
    assert "any draw" in text
    assert "From other weights" not in text


def test_a_network_that_is_not_described_and_was_not_measured(tmp_path: Path) -> None:
    plain = random_bundle(transform=FittedChain(1.0), record=Record(), rounding=None)
    inputs = jnp.arange(144.0, dtype=jnp.float32).reshape(3, 2, 3, 4, 2)
    bundle = dataclasses.replace(plain, data=dataclasses.replace(plain.data, inputs=inputs), architecture=None)
    examples, card = exported(bundle, tmp_path)
    assert examples.with_format("numpy")["raw_input"][:].tolist() == inputs.tolist()
    assert "No test accuracy is recorded." in card.text
    assert "a network that its file does not describe" in card.text
    assert "qdistill evaluate" not in card.text


def test_a_bundle_of_the_zoo_trains_from_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    path = ROOT / "zoo" / "mnist-10-qlenet.safetensors"
    assert main(["export", str(path), "--to", "huggingface", "--out", str(folder)]) == 0
    examples = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache")).with_format("numpy")
    bundle = DistilledDataset.load(folder / "bundle.safetensors")
    np.testing.assert_array_equal(examples["input"][:], bundle.data.inputs)
    np.testing.assert_array_equal(examples["soft_label"][:], bundle.data.labels)
    assert bundle.record.test_accuracy is not None
    assert f"{bundle.record.test_accuracy:.2%}".replace("%", " %") in (folder / "README.md").read_text()


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    random_bundle().save(tmp_path / "bundle.safetensors")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert main(["export", str(tmp_path / "bundle.safetensors"), "--to", "huggingface"]) == 1
    assert "pip install 'qdistill[huggingface]'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "bundle-huggingface").exists()
