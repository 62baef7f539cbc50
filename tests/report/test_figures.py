"""The figures: whole PNG files of the right size, from a bundle or a run folder alone, without global state."""

import dataclasses
import json
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.axes
import numpy as np
import pytest
from matplotlib.image import imread

from qdistill.data import DATASETS, FittedChain
from qdistill.data.fitted import Standardised
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.distill.record import Record
from qdistill.distill.training_set import TrainingSet
from qdistill.errors import BundleError, RunError
from qdistill.evaluate.noisy import NoisyPoint
from qdistill.evaluate.protocol import Evaluations
from qdistill.models import LeNetArchitecture, named_weights
from qdistill.report import figures
from qdistill.report.figures import draw_curves, draw_images, draw_run
from qdistill.report.noise_figure import draw_noise

SHARED, UNMEASURED = InnerLoop(step_sizes="shared"), Record()


@pytest.fixture(scope="module")
def weights():
    """Weights for grey and for colour images; zeros, because nothing is trained here."""

    def zeros(channels):
        build = LeNetArchitecture().build
        model = eqx.filter_eval_shape(build, (28, 28, channels), 10, key=jax.random.key(0))
        model = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape) if isinstance(leaf, jax.ShapeDtypeStruct) else leaf, model
        )
        return named_weights(model)

    return {channels: zeros(channels) for channels in (1, 3)}


@pytest.fixture
def make(weights):
    """Build a bundle of images of noise."""

    def bundle(dataset="mnist", per_class=1, inner=SHARED, *, soft=True, mixed=False, record=UNMEASURED):
        names = DATASETS[dataset].class_names
        channels = DATASETS[dataset].input_shape[-1]
        random = np.random.default_rng(0)
        n = per_class * len(names)
        classes = np.tile(np.arange(len(names)), per_class)
        labels = np.eye(len(names))[random.permutation(classes) if mixed else classes]
        if soft:
            labels = labels + random.uniform(-0.3, 0.3, labels.shape)
        groups = 1 if inner.step_sizes == "shared" else len(weights[channels])
        return DistilledDataset(
            data=TrainingSet(
                jnp.asarray(random.normal(size=(n, 28, 28, channels)), jnp.float32),
                jnp.asarray(labels, jnp.float32),
                jnp.asarray(random.uniform(0.01, 0.03, (inner.total_steps, groups)), jnp.float32),
                inner.schedule(n),
            ),
            initial_weights=weights[channels],
            architecture=LeNetArchitecture(),
            inner=inner,
            transform=FittedChain(255.0, (Standardised(jnp.full(channels, 0.4), jnp.full(channels, 0.3)),)),
            class_names=names,
            dataset=dataset,
            recipe={},
            provenance={},
            record=record,
        )

    return bundle


def line(iteration, accuracy, loss=1.0, steps=3):
    return {
        "iteration": iteration,
        "loss": loss,
        "gradient_norm": 1.0,
        "validation_accuracy": accuracy,
        "best_validation_accuracy": accuracy,
        "rejected": 0,
        "step_sizes": [[0.01 * step] for step in range(1, steps + 1)],
    }


@pytest.fixture
def texts(monkeypatch):
    """Every text of the figures that are drawn, in the order of their drawing."""
    seen = []
    save = figures.save

    def spy(figure, path):
        seen.extend(text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text())
        return save(figure, path)

    monkeypatch.setattr(figures, "save", spy)
    return seen


CASES = {
    "ten grey images": {},
    "ten images in another order": {"mixed": True},
    "hard labels": {"soft": False},
    "two images a class, a step size for each weight": {
        "dataset": "fashion-mnist", "per_class": 2, "inner": InnerLoop(steps=3, step_sizes="tensor"),
    },
    "a hundred colour images, each step with its own": {
        "dataset": "cifar10", "per_class": 10, "inner": InnerLoop(steps=10, epochs=2, own_examples=True),
    },
    "steps of five images": {"inner": InnerLoop(steps=2, own_examples=True)},
    "one step": {"inner": InnerLoop(steps=1, step_sizes="shared")},
    "a hundred steps": {"inner": InnerLoop(steps=100, step_sizes="shared")},
    "two hundred images in one step": {"per_class": 20, "inner": InnerLoop(steps=1, own_examples=True)},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_inputs_are_drawn(case, make, tmp_path):
    path = draw_images(make(**CASES[case]), tmp_path / "images.png")
    assert path == tmp_path / "images.png"
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    height, width, _ = imread(path).shape
    assert 900 <= width <= 2000
    assert 300 <= height <= 3600
    assert list(tmp_path.iterdir()) == [path]


def test_inputs_say_what_they_are(make, texts, tmp_path):
    inner = InnerLoop(steps=10, epochs=2, own_examples=True, step_sizes="shared")
    bundle = make("cifar10", 10, inner, record=Record(0.5, 10_000, 0.52, 5_000))
    draw_images(bundle, tmp_path / "images.png")
    assert "cifar10: 100 distilled examples, 20 training steps" in texts
    assert any("test accuracy 50.0% (n = 10,000)" in text and "clipped" in text for text in texts)
    assert {*bundle.class_names, "step 1", "step 10", "step size", "training step"} <= {*texts}
    assert texts.count("airplane") == 1


def test_inputs_that_were_not_tested_show_the_validation_accuracy(make, texts, tmp_path):
    draw_images(make(record=Record(None, None, 0.25, 200)), tmp_path / "images.png")
    assert any("validation accuracy 25.0% (n = 200)" in text and "mid-grey" in text for text in texts)


def test_inputs_in_another_order_are_named_one_by_one(make, texts, tmp_path):
    bundle = make("cifar10", 2, mixed=True)
    draw_images(bundle, tmp_path / "images.png")
    assert texts.count("airplane") == 2


def test_learned_labels_are_explained_and_hard_ones_are_not(make, texts, tmp_path):
    draw_images(make(soft=True), tmp_path / "soft.png")
    assert any("learned label" in text for text in texts)
    texts.clear()
    draw_images(make(soft=False), tmp_path / "hard.png")
    assert not any("learned label" in text for text in texts)


def test_grey_images_are_drawn_about_the_mean(make, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(matplotlib.axes.Axes, "imshow", lambda self, image, **style: drawn.append((image, style)))
    bundle = make()
    draw_images(bundle, tmp_path / "images.png")
    image, style = drawn[3]
    np.testing.assert_array_equal(image, np.asarray(bundle.data.inputs)[3, :, :, 0])
    assert style["vmin"] == -style["vmax"] < 0


def test_inputs_without_contrast_are_drawn(make, tmp_path):
    bundle = make()
    data = dataclasses.replace(bundle.data, inputs=jnp.zeros_like(bundle.data.inputs))
    draw_images(dataclasses.replace(bundle, data=data), tmp_path / "images.png")


@pytest.mark.parametrize(
    "lines",
    [
        [line(10, 0.5)],
        [line(10, 0.5, loss=None)],
        [line(10 * i, 0.5, steps=1) for i in range(1, 4)],
        [line(10 * i, i / 200, steps=100) for i in range(1, 101)],
    ],
    ids=["one look", "nothing accepted", "one step", "a hundred looks and steps"],
)
def test_curves_are_drawn(lines, tmp_path):
    path = draw_curves(lines, tmp_path / "curves.png")
    height, width, _ = imread(path).shape
    assert (height, width) == (480, 1650)


def test_curves_mark_the_best_point(texts, tmp_path):
    draw_curves([line(1000, 0.25), line(2000, 0.75), line(3000, 0.5)], tmp_path / "curves.png")
    assert "best 75.0% at 2,000" in texts


def test_a_run_folder_is_drawn(make, tmp_path):
    make().save(tmp_path / "bundle.safetensors")
    lines = [json.dumps(line(10, 0.5)), json.dumps(line(20, 0.6)), '{"iteration": 30, "lo']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert draw_run(tmp_path) == [tmp_path / "images.png", tmp_path / "curves.png"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("bundle.safetensors", "metrics.jsonl", "images.png", "curves.png")
    }


def test_a_run_folder_is_drawn_as_far_as_it_goes(make, tmp_path):
    assert draw_run(tmp_path) == []
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line(10, 0.5)) + "\n")
    assert draw_run(tmp_path) == [tmp_path / "curves.png"]
    (tmp_path / "bundle.safetensors").write_bytes(b"no bundle")
    with pytest.raises(BundleError, match=r"bundle\.safetensors"):
        draw_run(tmp_path)


def test_a_picture_that_cannot_be_written_leaves_nothing(make, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot write"):
        draw_images(make(), tmp_path / "file" / "images.png")
    with pytest.raises(RunError, match="Cannot write"):
        draw_images(make(), tmp_path / "missing" / "images.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_picture_replaces_another_as_a_whole(make, monkeypatch, tmp_path):
    path = tmp_path / "images.png"
    path.write_bytes(b"before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="No space left on device"):
        draw_images(make(), path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_matplotlib_keeps_its_state():
    code = """
import sys, matplotlib
before = matplotlib.rcParams.copy()  # `dict` would look the backend up, which chooses one
import qdistill.report.figures
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_seeds_are_drawn_in_one_panel_with_their_best_points(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    accuracies = {0: [0.5, 0.9, 0.8], 7: [0.4, 0.6, 0.7]}
    lines_of = {
        seed: [{"iteration": 10 * (k + 1), "validation_accuracy": a} for k, a in enumerate(values)]
        for seed, values in accuracies.items()
    }
    figures.draw_seeds(lines_of, tmp_path / "seeds.png")
    (axes,) = drawn[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0: 90.0%", "7: 70.0%"]
    points = [line.get_xydata().tolist() for line in axes.lines]
    assert points[0] == [[10, 0.5], [20, 0.9], [30, 0.8]]
    assert [points[1], points[3]] == [[[20, 0.9]], [[30, 0.7]]]


def test_a_profile_is_drawn_as_bars_that_add_up(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    rows = [
        {"part": "C1", "phase": "synthetic", "ms": 3.0, "operations": 1},
        {"part": "C1", "phase": "real", "ms": 2.0, "operations": 1},
        {"part": "rest", "phase": "", "ms": 0.5, "operations": 1},
    ]
    figures.draw_profile({"iteration_ms": 6.0, "rows": rows}, tmp_path / "profile.png")
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["rest", "C1"]
    ends = {round(bar.get_y() + bar.get_height() / 2): 0.0 for bar in axes.patches}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        ends[place] = max(ends[place], bar.get_x() + bar.get_width())
    assert ends == {0: 0.5, 1: 5.0}
    assert "6.0 ms" in drawn[0].texts[0].get_text()


@pytest.mark.parametrize("with_device", [False, True])
def test_the_picture_of_noise_has_a_panel_for_shots_and_one_for_the_device(tmp_path, with_device):
    def point(shots, factor, *accuracies):
        return NoisyPoint(shots, factor, Evaluations(accuracies, float(np.mean(accuracies)), (0.2, 1.3), 500))

    points = [point(64, 1.0, 0.8, 0.9), point(16, 1.0, 0.5, 0.7), point(64, 4.0, 0.3, 0.4), point(64, 0.0, 0.9, 0.95)]
    shown = points if with_device else [dataclasses.replace(point, factor=None) for point in points[:2]]
    path = draw_noise(shown, 0.97, "digits on some device (2 draws)", tmp_path / "noise.png")
    width = imread(path).shape[1]
    assert width == pytest.approx(150 * (1.2 + 4.6 * (1 + with_device)), abs=2)
