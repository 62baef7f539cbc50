"""The pages, read with the standard library's parser: what is in them, and that they ask nobody for anything."""

import base64
import dataclasses
import io
import itertools
import json
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.image import imread

from qdistill.data import Digits
from qdistill.distill.bundle import DistilledDataset
from qdistill.distill.inner import InnerLoop
from qdistill.errors import BundleError, DataError, RunError
from qdistill.evaluate.savings import compare, find_record
from qdistill.models import ARCHITECTURES
from qdistill.report import run_page
from qdistill.report.gallery import picture_groups
from qdistill.report.page import render, write_report
from qdistill.report.replayed import _turn
from qdistill.report.style import ACCENT, as_svg, panel

from .runs import HOSTILE, TABLE, make_bundle, write_run, write_table

VOID = {"meta", "link", "img", "br", "wbr"}
SECTIONS = {
    "run": ["images", "circuit", "curves", "confusion", "weights", "cost", "recipe", "repeat"],
    "zoo": ["images", "circuit", "curves", "confusion", "weights", "cost", "recipe", "repeat"],
    "seeds": ["scores", "curves", "images", "recipe", "repeat"],
    "table": ["table", "differences", "figures", "repeat"],
}


class Page(HTMLParser):
    """Elements with their attributes, texts, and whether all that is opened is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.stack: list[str] = []
        self.feed(path.read_text())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] != "style":
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_page_has_its_sections_and_is_well_formed(kind, pages):
    page = Page(pages[kind])
    assert page.stack == []
    assert [section["id"] for section in page.all("section")] == SECTIONS[kind]
    assert [link["href"] for link in page.all("a")] == [f"#{name}" for name in SECTIONS[kind]]
    assert len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(deeper <= level + 1 for level, deeper in itertools.pairwise(levels))


@pytest.mark.parametrize("kind", SECTIONS)
def test_a_page_asks_no_network(kind, pages):
    page = Page(pages[kind])
    assert not page.all("script")
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)", pages[kind].read_text())
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_picture_is_described_and_ids_are_unique(kind, pages):
    page = Page(pages[kind])
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", [kind for kind in SECTIONS if kind != "zoo"])
def test_what_a_folder_says_is_shown_and_never_executed(kind, pages):
    assert HOSTILE in Page(pages[kind]).text


def test_the_images_of_a_page_are_those_of_the_bundle(pages, bundle):
    images = Page(pages["run"]).all("img")
    assert len(images) == 10
    whole = np.asarray(bundle.data.inputs)
    reach = np.percentile(np.abs(whole), 99)
    for image, pixels in zip(images, whole, strict=True):
        shown = imread(io.BytesIO(base64.b64decode(image["src"].partition(",")[2])))[..., 0]
        expected = np.clip((pixels[..., 0] + reach) / (2 * reach), 0, 1)
        np.testing.assert_allclose(shown, expected, atol=1 / 128)


def test_a_run_page_gives_the_numbers(pages, bundle):
    text = Page(pages["run"]).text.replace("\u202f", " ")
    accuracy = f"{bundle.record.test_accuracy:.2%}".replace("%", " %")
    assert f"classifies {accuracy} of 500 test inputs right, as recorded" in text
    assert "25.00 %" in text
    assert "repeat digits" in text
    assert "features.c1.kernel" in text
    assert "12 angles" in text
    # 10 images x 3 settings x (1 + 2 x 12 angles + 2 x 3 rotations) x 2 steps.
    assert "takes 1,860 circuits" in text


def test_a_confusion_matrix_adds_up(pages):
    cells = re.findall(r'<td class="cell (right|wrong)[^>]*>([\d,]+)</td>', pages["run"].read_text())
    assert len(cells) == 100
    assert sum(int(n) for _, n in cells) == len(Digits().load().test_labels)
    assert [k for k, (kind, _) in enumerate(cells) if kind == "right"] == [11 * k for k in range(10)]


def test_an_accuracy_that_is_not_the_recorded_one_is_said(bundle, tmp_path):
    other = dataclasses.replace(bundle.record, test_accuracy=0.75)
    run = write_run(tmp_path / "run", dataclasses.replace(bundle, record=other))
    text = Page(write_report(run, command_of=lambda *_: "")).text
    assert "The bundle records another accuracy: 75.00" in text
    assert ", as recorded" not in text


def test_a_bundle_file_alone_has_a_page(bundle, tmp_path):
    bundle.save(tmp_path / "mine.safetensors")
    path = write_report(tmp_path / "mine.safetensors", command_of=lambda *_: "")
    assert path == tmp_path / "mine.html"
    page = Page(path)
    assert len(page.all("img")) == 10
    assert "A bundle file alone does not tell how its run went" in page.text


def test_a_run_without_a_bundle_says_so(tmp_path):
    page = Page(write_report(write_run(tmp_path / "run", None), command_of=lambda *_: ""))
    assert page.text.count("This run has no bundle.safetensors yet") == 4
    assert len(page.all("svg")) == 3


def test_an_ended_run_that_lost_its_bundle_says_so(bundle, tmp_path):
    run = write_run(tmp_path / "run", bundle)
    (run / "bundle.safetensors").unlink()
    assert Page(write_report(run, command_of=lambda *_: "")).text.count("This run has ended, but its") == 4


def test_a_rounded_bundle_is_repeated_by_rounding(bundle, tmp_path):
    bundle.in_eight_bits().save(tmp_path / "small.safetensors")
    text = Page(write_report(tmp_path / "small.safetensors", command_of=lambda *_: "qdistill distill digits")).text
    assert "qdistill distill digits qdistill compress RUN" in text
    assert "and again after the rounding" in text


def test_a_run_that_has_not_looked_yet_says_so(bundle, tmp_path):
    page = Page(write_report(write_run(tmp_path / "run", bundle, n_lines=0), command_of=lambda *_: ""))
    assert "has not looked at its validation part yet" in page.text


def test_without_the_dataset_the_page_says_what_is_missing(bundle, tmp_path, monkeypatch):
    def gone(self, data_dir=None):
        raise DataError("There is no file.")

    monkeypatch.setattr(Digits, "load", gone)
    page = Page(write_report(write_run(tmp_path / "run", bundle), command_of=lambda *_: ""))
    assert "needs the test set of digits, which is not at hand: There is no file. Fetch it with `qdistill data" in (
        page.text
    )
    assert "features.c1.kernel" in page.text


def test_a_network_that_the_file_does_not_describe_is_missed(bundle, tmp_path):
    own = dataclasses.replace(bundle, architecture=None)
    page = Page(write_report(write_run(tmp_path / "run", own), command_of=lambda *_: ""))
    assert page.text.count("a network that its file does not describe") == 3
    assert len(page.all("img")) == 10


def test_inputs_are_grouped_by_the_step_that_sees_them():
    inner = InnerLoop(steps=5, own_examples=True, step_sizes="tensor")
    bundle = make_bundle(inner)
    shown = picture_groups(bundle)
    assert [group["title"] for group in shown["groups"]] == [f"Step {k}" for k in range(1, 6)]
    assert [len(group["images"]) for group in shown["groups"]] == [2] * 5
    assert shown["columns"] == 2


def test_hard_labels_need_no_bars():
    bundle = make_bundle()
    hard = dataclasses.replace(bundle, data=dataclasses.replace(bundle.data, labels=jnp.eye(10)))
    assert all(not image["bars"] for image in picture_groups(hard)["groups"][0]["images"])
    soft = picture_groups(bundle)["groups"][0]["images"][3]
    label = np.asarray(bundle.data.labels)
    span = label.max() - label.min()
    np.testing.assert_allclose([bar["height"] for bar in soft["bars"]], np.abs(label[3]) / span, rtol=1e-6)
    assert [bar["top"] for bar in soft["bars"]] == [k == 3 for k in range(10)]
    assert all(-1e-9 <= bar["y"] <= bar["y"] + bar["height"] <= 1 + 1e-9 for bar in soft["bars"])


@pytest.mark.parametrize(
    ("after", "degrees"),
    [([1, 0, 0], 0.0), ([0, 2, 0], 90.0), ([-3, 0, 0], 180.0), ([1, 1, 0], 45.0), ([0, 0, 0], None)],
)
def test_the_turn_of_an_axis(after, degrees):
    assert _turn(np.array([1.0, 0, 0]), np.array(after, float)) == pytest.approx(degrees)


def test_a_folder_of_nothing_is_no_run(tmp_path):
    with pytest.raises(RunError, match="There is nothing to report"):
        write_report(tmp_path, command_of=lambda *_: "")


def test_damaged_files_are_named(bundle, tmp_path):
    run = write_run(tmp_path / "run", bundle)
    (run / "recipe.json").write_text("{")
    with pytest.raises(RunError, match=r"recipe\.json"):
        write_report(run, command_of=lambda *_: "")
    (run / "bundle.safetensors").write_bytes(b"no")
    with pytest.raises(BundleError, match=r"bundle\.safetensors"):
        write_report(run, command_of=lambda *_: "")
    with pytest.raises(RunError, match="Cannot write"):
        write_report(write_run(tmp_path / "other", None), tmp_path / "no" / "x.html", command_of=lambda *_: "")


def test_a_name_that_is_missing_is_an_error():
    with pytest.raises(Exception, match="undefined"):
        render("run.html.jinja", {"title": "x", "lead": "y"})


def test_the_page_of_seeds(pages, bundle):
    text = Page(pages["seeds"]).text.replace("\u202f", " ")
    assert "2 of 2 seeds ended" in text
    assert "repeat digits --seeds 3,5" in text
    assert len(Page(pages["seeds"]).all("img")) == 20


def test_seeds_that_have_not_ended_have_a_page(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"seed-{seed}", None, n_lines=seed)
    (tmp_path / "seeds.json").write_text("[0, 1]")
    text = Page(write_report(tmp_path, command_of=lambda *_: "")).text
    assert "no seed has ended" in text
    assert "Not every seed has looked" in text
    assert "No seed has left" in text


def test_the_bill_stands_beside_trainings_on_real_inputs(pages):
    page, bundle = Page(pages["zoo"]), DistilledDataset.load("mnist-10-qlenet")
    text = page.text.replace("\u202f", " ")
    for gradient in ("parameter_shift", "spsa"):
        rows = compare(bundle, find_record(bundle), shots=1, gradient=gradient)
        assert len(rows) > 3
        for row in rows:
            assert f"{row.name} {100 * row.accuracy:.2f} %" in text
            assert f"{row.work.circuits:,}" in text
    labels = [svg.get("aria-label") for svg in page.all("svg")]
    assert "Test accuracy against the circuits of one training" in labels


def test_the_page_of_a_table(pages):
    text = Page(pages["table"]).text.replace("\u202f", " ")
    for shown in (
        "97.19 %",
        "96.02 to 98.36",
        "91.90 %",
        "1,234,567",
        "14.2",
        "0.5 (GPU)",
        "pad-hermitian",
        "one seed",
        "\u22120.43",
        "446,434,560",
        "3 of 5",
    ):
        assert shown in text
    (figure,) = Page(pages["table"]).all("img")
    assert base64.b64decode(figure["src"].partition(",")[2]).startswith(b"\x89PNG")


def changed(**changes):
    return json.loads(json.dumps({**TABLE, **changes}))


@pytest.mark.parametrize("table", [[], changed(rows=3), changed(rows=[{"name": "x"}]), {"title": "x"}])
def test_a_table_in_another_form_is_refused(table, tmp_path):
    write_table(tmp_path, table)
    with pytest.raises(RunError, match=r"table.json: .* must be"):
        write_report(tmp_path, command_of=lambda *_: "")


def test_an_svg_takes_the_colours_of_the_page_and_repeats():
    def draw():
        figure, axes = panel()
        axes.plot([1, 2], color=ACCENT)
        return as_svg(figure, "name", 'a "quoted" <text>')

    drawn = draw()
    assert drawn == draw()
    assert ACCENT not in drawn
    assert "var(--accent)" in drawn
    assert 'aria-label="a &quot;quoted&quot; &lt;text&gt;"' in drawn
    assert set(re.findall(r'id="(\w+)-', drawn)) == {"name"}


def test_every_registered_architecture_is_named():
    assert set(ARCHITECTURES) == set(run_page.KINDS)


def test_the_templates_are_in_the_wheel(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling, which builds the wheel, is not installed")
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    templates = {path.name for path in (root / "src/qdistill/report/templates").iterdir()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name).name for name in archive.namelist() if name.startswith("qdistill/report/templates/")}
    assert packed == templates
    assert len(templates) == 6
