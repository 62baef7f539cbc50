"""Pictures of vectors: what is drawn is what the numbers and the model say."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import decomposition

from qdistill.data import DATASETS, Vectors
from qdistill.data.transforms import PCA, Rescale, Standardise, fit_chain
from qdistill.distill.inner import InnerLoop
from qdistill.distill.training_set import TrainingSet
from qdistill.models import CircuitArchitecture, DataReuploading, KernelArchitecture, predict
from qdistill.quantum import Circuit, Operation, feature, weight
from qdistill.report import examples
from qdistill.report.examples import Plane, draw_plane, draw_planes, plane_of
from qdistill.report.figures import as_pictures, draw_examples, draw_regions_of, examples_picture, scale_note
from qdistill.report.gallery import picture_groups
from qdistill.report.page import write_report
from qdistill.report.replayed import drawings_of
from qdistill.report.style import new_figure
from qdistill.report.vectors import draw_components, draw_numbers, draw_regions

from ..distill.samples import random_bundle
from .runs import write_run

REUPLOADING = DataReuploading(n_qubits=1, n_layers=1)
INNER = InnerLoop(steps=2, step_sizes="shared")


def points(n: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)).astype(np.float32) * np.arange(features, 0, -1), rng.integers(0, 2, n)


def panel():
    return new_figure(4.0, 3.0).add_axes((0.1, 0.1, 0.8, 0.8))


def test_each_place_of_the_plane_has_the_class_that_the_model_gives_it():
    axes, real = panel(), points(50, 2)

    def classes(grid):
        return (grid[:, 1] > 0.3 * grid[:, 0]).astype(int)

    draw_regions(axes, classes, real, points(2, 2, 1), ["no", "yes"])
    (image,) = axes.get_images()
    left, right, low, high = image.get_extent()
    shown = np.asarray(image.get_array())
    x, y = np.linspace(left, right, shown.shape[1]), np.linspace(low, high, shown.shape[0])
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    assert (shown.reshape(-1) == classes(grid)).mean() > 0.999  # float32 at the border


def test_regions_hold_every_point():
    axes, real, distilled = panel(), points(50, 2), (np.float32([[90, -70]]), np.array([1]))
    draw_regions(axes, lambda grid: np.zeros(len(grid), int), real, distilled, ["a", "b"])
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for x, y in (*real[0], *distilled[0]):
        assert left < x < right
        assert low < y < high


def test_components_are_those_of_the_real_points():
    axes, real, distilled = panel(), points(200, 5), points(3, 5, 1)
    draw_components(axes, real, distilled, ["a", "b"])
    reference = decomposition.PCA(2).fit(real[0])
    dots, *diamonds = axes.collections
    np.testing.assert_allclose(np.abs(dots.get_offsets()), np.abs(reference.transform(real[0])), atol=1e-4)
    shown = np.concatenate([np.asarray(each.get_offsets()).reshape(-1, 2) for each in diamonds])
    expected = reference.transform(np.concatenate([distilled[0][distilled[1] == c] for c in (0, 1)]))
    np.testing.assert_allclose(np.abs(shown), np.abs(expected), atol=1e-4)
    assert f"{reference.explained_variance_ratio_[0]:.0%}" in axes.get_xlabel()


def test_numbers_are_written_into_their_cells():
    axes, rows = panel(), np.float32([[1.25, -3.5], [0, 0.004]])
    draw_numbers(axes, rows, ["1", "2"], ["x0", "x1"])
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(0, 0): "1.25", (1, 0): "-3.50", (0, 1): "0.00", (1, 1): "0.00"}


def test_large_tables_have_colours_alone():
    axes = panel()
    draw_numbers(axes, np.ones((50, 100), np.float32), ["r"] * 50, ["c"] * 100)
    assert not axes.texts
    assert len(axes.get_xticks()) < 60


@pytest.fixture
def moons(monkeypatch):
    """A dataset of two features, under its name."""
    (x, y), (u, v) = points(60, 2), points(20, 2, 1)
    dataset = Vectors(x + 5, y, u + 5, v, name="points")
    monkeypatch.setitem(DATASETS, "points", dataset)
    return dataset


def bundle_of(dataset, architecture=REUPLOADING):
    from qdistill.data import split

    splits = split(dataset.load(), n_validation=10)
    return random_bundle(
        architecture,
        INNER,
        splits.input_shape,
        2,
        transform=splits.transform,
        dataset=dataset.name,
        class_names=dataset.class_names,
    )


def test_data_of_two_features_are_drawn_in_their_own_units(moons):
    bundle = bundle_of(moons)
    plane = plane_of(bundle, moons.load())
    np.testing.assert_array_equal(plane.real[0], moons.load().train_inputs)
    np.testing.assert_allclose(plane.to_inputs(plane.distilled[0]), bundle.data.inputs, atol=1e-5)
    axes, model = panel(), bundle.initial_model()
    draw_plane(axes, plane, model, bundle, "before")
    (image,) = axes.get_images()
    left, right, low, high = image.get_extent()
    grid = np.float32([[left, low], [right, low], [left, high], [right, high]])
    expected = np.asarray(predict(model, bundle.transform(grid))).argmax(axis=1)
    shown = np.asarray(image.get_array())
    assert [shown[0, 0], shown[0, -1], shown[-1, 0], shown[-1, -1]] == expected.tolist()


def test_more_features_are_drawn_as_two_components():
    x, y = points(60, 4)
    dataset = Vectors(x, y, name="four")
    bundle = bundle_of(dataset, DataReuploading(n_qubits=2, n_layers=1))
    plane = plane_of(bundle, dataset.load())
    assert isinstance(plane, Plane)
    assert plane.to_inputs is None
    assert len(draw_planes(bundle, dataset.load(), bundle.initial_model(), bundle.initial_model()).axes) == 1


def test_a_bundle_of_vectors_is_drawn_as_numbers(moons, tmp_path: Path):
    bundle = bundle_of(moons)
    assert examples_picture(bundle) == "examples.png"
    assert draw_examples(bundle, tmp_path / "examples.png").stat().st_size > 5000
    assert draw_regions_of(bundle, tmp_path / "regions.png") == [tmp_path / "regions.png"]
    del DATASETS["points"]
    assert draw_regions_of(bundle, tmp_path / "more.png") == []
    DATASETS["points"] = moons


def test_the_page_of_vectors_has_their_numbers_the_plane_and_the_circuit(moons, tmp_path: Path):
    circuit = Circuit(1, (Operation("RX", (0,), (weight(0) * feature(0),)), Operation("RY", (0,), (feature(1),))))
    architecture = CircuitArchitecture(circuit=circuit, readout="margin")
    bundle = bundle_of(moons, architecture)
    bundle.save(tmp_path / "b.safetensors")
    page = write_report(tmp_path / "b.safetensors", command_of=lambda *_, **__: "qdistill distill").read_text()
    for number in np.asarray(bundle.data.inputs).ravel():
        assert f"{number:.4f}".replace("-", "\u2212") in page
    assert len(re.findall('src="data:image/png;base64,', page)) == 2
    assert "Rx(w[0]*x[0])" in page
    assert "from other weights expect chance" in page
    assert jnp.isfinite(bundle.data.inputs).all()


def test_seeds_of_vectors_show_their_numbers(moons, tmp_path: Path):
    bundle = bundle_of(moons)
    for seed in (3, 5):
        write_run(tmp_path / f"seed-{seed}", bundle)
    (tmp_path / "seeds.json").write_text("[3, 5]")
    page = write_report(tmp_path, command_of=lambda *_, **__: "qdistill distill").read_text()
    assert page.count("The distilled vectors and their labels as coloured numbers") == 2
    assert "pixels" not in page


def test_data_with_classes_of_other_names_have_no_plane_and_no_confusion(moons, monkeypatch, tmp_path: Path):
    bundle = bundle_of(moons)
    bundle.save(tmp_path / "b.safetensors")
    raw = moons.load()
    test = raw.test_inputs, raw.test_labels + 7
    monkeypatch.setitem(DATASETS.data, "points", Vectors(raw.train_inputs, raw.train_labels + 7, *test, name="points"))
    page = write_report(tmp_path / "b.safetensors", command_of=lambda *_, **__: "qdistill distill").read_text()
    assert "There is no confusion matrix on the test set at hand. The bundle is for the classes 0, 1" in page
    assert "What the network makes of the inputs" not in page


def test_a_table_says_that_it_is_cut(moons, monkeypatch):
    drawn: list[str] = []
    monkeypatch.setattr(examples, "draw_numbers", lambda *_, title, **__: drawn.append(title))
    for per_class in (50, 51):
        bundle = random_bundle(REUPLOADING, INNER, (2,), 2, per_class=per_class)
        examples.draw_tables(new_figure(9.0, 9.0), bundle, bottom=0.1, top=0.9)
    cut = "inputs, as the model reads them (the first 100 of 102 examples)"
    assert drawn == ["inputs, as the model reads them", "labels", cut, "labels"]


def test_the_circuit_that_is_drawn_has_its_embedding(moons):
    circuit = Circuit(2, (Operation("RX", (0,), (weight(0),)), Operation("CZ", (0, 1))))
    angle, amplitude = (
        CircuitArchitecture(circuit=circuit, embedding=kind).build((2,), 2, key=jax.random.key(0))
        for kind in ("angle", "amplitude")
    )
    ((drawn, note),) = (each.values() for each in drawings_of(angle))
    assert note == ""
    for gate in ("Ry(x[0])", "Ry(x[1])", "Rx(w[0])"):
        assert gate in drawn
    ((drawn, note),) = (each.values() for each in drawings_of(amplitude))
    assert "the state whose amplitudes are the inputs" in note
    assert "x[" not in drawn


def test_the_circuit_of_a_kernel_is_its_map_of_a_point():
    circuit = Circuit(1, (Operation("RX", (0,), (feature(0),)), Operation("RZ", (0,), (feature(1),))))
    ((drawn, note),) = (
        each.values() for each in drawings_of(KernelArchitecture(circuit).build((2,), 2, key=jax.random.key(0)))
    )
    assert drawn.count("Rx(") == drawn.count("Rz(") == 1
    assert "the fidelity of the states of two points" in note


PIXELS = "pixels beyond black and white are clipped"


@pytest.mark.parametrize(
    ("transforms", "said", "lowest"),
    [
        ((Standardise(),), "mid-grey is the mean of the real inputs", None),
        ((Standardise("feature"),), "mid-grey is the mean of the real inputs", None),
        ((), PIXELS, 0.0),
        ((Rescale(0.0, 1.0),), PIXELS, 0.0),
        ((Rescale(0.0, np.pi),), PIXELS, 0.0),
        ((Standardise(), Rescale(-1.0, 1.0)), PIXELS, 0.0),
    ],
)
def test_mid_grey_is_the_mean_only_where_it_is(transforms, said, lowest):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1)).astype(np.uint8)
    transform = fit_chain(transforms, images, 255.0)
    bundle = random_bundle(n_classes=2)
    data = TrainingSet(
        transform(images[:3]), jnp.eye(2)[jnp.array([0, 1, 0])], bundle.data.step_sizes, bundle.inner.schedule(3)
    )
    bundle = dataclasses.replace(bundle, data=data, transform=transform)
    pictures, scale = as_pictures(bundle)
    assert scale["vmin"] == (-scale["vmax"] if lowest is None else lowest)
    if lowest is not None:
        assert scale["vmax"] == 1.0
        np.testing.assert_allclose(pictures, images[:3, :, :, 0] / 255, atol=1e-5)
    assert scale_note(bundle) == said
    assert said in picture_groups(bundle)["note"].replace("Pixels", "pixels").replace("Mid", "mid")


def test_components_of_images_are_shown_as_images_too():
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1)).astype(np.uint8)
    transform = fit_chain((PCA(4), Rescale(0.0, 1.0)), images, 255.0)
    bundle = random_bundle(n_classes=2)
    data = TrainingSet(
        transform(images[:3]), jnp.eye(2)[jnp.array([0, 1, 0])], bundle.data.step_sizes, bundle.inner.schedule(3)
    )
    bundle = dataclasses.replace(bundle, data=data, transform=transform)
    pictures, scale = as_pictures(bundle)
    assert pictures.shape == (3, 6, 5)
    assert scale == {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    expected = np.clip(np.asarray(transform.inverse(transform(images[:3])))[..., 0], 0, 1)
    np.testing.assert_allclose(pictures, expected, atol=1e-6)
    assert picture_groups(bundle)["note"].startswith("6 x 5 pixels, of the vectors above. Pixels beyond")
