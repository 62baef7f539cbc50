"""One small network and one set of pages for all tests of the report."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

from qdistill.data import Digits
from qdistill.evaluate.protocol import measure
from qdistill.report.page import write_report

from .runs import make_bundle, write_run, write_table


@pytest.fixture(scope="session")
def bundle():
    """A bundle with the accuracy that it gives."""
    unmeasured = make_bundle()
    raw = Digits().load()
    accuracy = measure(unmeasured.train(), unmeasured, raw.test_inputs, raw.test_labels)
    record = dataclasses.replace(unmeasured.record, test_accuracy=accuracy, n_test=len(raw.test_labels))
    return dataclasses.replace(unmeasured, record=record)


@pytest.fixture(scope="session")
def folders(bundle, tmp_path_factory):
    """A run, several seeds and a table; only to be read."""
    root = tmp_path_factory.mktemp("folders")
    run = write_run(root / "run", bundle)
    seeds = root / "seeds"
    for seed in (3, 5):
        shutil.copytree(run, seeds / f"seed-{seed}")
    (seeds / "seeds.json").write_text(json.dumps([3, 5]))
    return {"run": run, "seeds": seeds, "table": write_table(root / "table")}


@pytest.fixture(scope="session")
def pages(folders, tmp_path_factory):
    """The page of each folder, and that of a bundle of the zoo's, without its dataset."""
    root, no_data = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("no-data")

    def repeat(recipe, seeds=()):
        return f"repeat {recipe['dataset']}" + (f" --seeds {','.join(map(str, seeds))}" if seeds else "")

    def page(name, folder, **options):
        return write_report(folder, root / f"{name}.html", command_of=repeat, **options)

    of_zoo = page("zoo", "mnist-10-qlenet", data_dir=no_data)
    return {name: page(name, folder) for name, folder in folders.items()} | {"zoo": of_zoo}
