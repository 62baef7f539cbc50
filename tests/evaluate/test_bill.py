"""Rate cards, and what a bundle saves: held against sums by hand."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qdistill.cli import main
from qdistill.cli.shared import bundle_file
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work
from qdistill.evaluate.executions import count_executions
from qdistill.evaluate.rates import RateCard, read_rates
from qdistill.evaluate.savings import (
    compare,
    distillation_circuits,
    distillation_note,
    distillation_seconds,
    find_record,
    read_record,
)
from qdistill.files import shipped

WORK = Work(circuits=10, shots=1000, settings=3, depth=5, two_qubit_gates=2)
HEAD = 'name = "x"\ncurrency = "EUR"\ndate = "2025"\nsource = "here"\n'
PRICED = HEAD + "per_shot = 1.0\n"


def test_the_cards_of_the_package_are_whole() -> None:
    cards = read_rates()
    assert len({card.name for card in cards}) == len(cards) >= 3
    assert all(card.price(WORK) > 0 and card.source.startswith("https://") for card in cards)


def test_a_price_is_the_sum_of_shots_tasks_and_seconds() -> None:
    card = RateCard("x", "EUR", "2025", "here", per_shot=0.01, per_task=0.3, per_second=2.0, seconds_per_shot=0.001)
    assert card.price(WORK) == pytest.approx(1000 * 0.01 + 10 * 0.3 + 2.0 * 1000 * 0.001)
    assert card.seconds(WORK) == pytest.approx(1.0)
    assert RateCard("x", "EUR", "2025", "here", per_task=1.0).seconds(WORK) is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a table"),
        ("[[card", "must be a TOML file"),
        ("[[card]]\n" + HEAD, "must be above 0"),
        ("[[card]]\n" + HEAD + "per_shot = -1.0", "`per_shot` must be at least 0, but was -1.0"),
        ("[[card]]\n" + HEAD + 'per_shot = "free"', "`per_shot` must be a number"),
        ("[[card]]\n" + HEAD + "per_second = 1.0", "`seconds_per_shot` must be given"),
        ("[[card]]\n" + HEAD + "per_shots = 1.0", "no field 'per_shots'. Did you mean 'per_shot'"),
        ('[[card]]\nname = "x"\nper_shot = 1.0', "`currency` must be given"),
        ("card = [1]", "must hold a table"),
        ("[[card]]\n" + HEAD + "per_shot = true", "`per_shot` must be a number, but was True"),
        ("[[card]]\n" + HEAD + "per_task = 1\nseconds_per_shot = true", "`seconds_per_shot` must be a number"),
        ("[[card]]\n" + PRICED.replace('"x"', "3"), "`name` must be a string, but was 3"),
        ("[[card]]\n" + PRICED.replace('"EUR"', "false"), "`currency` must be a string, but was False"),
        ("[[card]]\n" + PRICED.replace('"2025"', "2025"), "`date` must be a string, but was 2025"),
        ("[[card]]\n" + PRICED.replace('"2025"', "07:32:00"), "`date` must be a string, but was datetime.time"),
        ("[[card]]\n" + PRICED.replace('"here"', "[]"), "`source` must be a string, but was \\[\\]"),
        (f"[[card]]\n{PRICED}[[card]]\n{PRICED}", "must have one card of a name, but .* has two of 'x'"),
    ],
)
def test_bad_rate_cards(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rates.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        read_rates(path)


@pytest.mark.parametrize(
    ("written", "read"), [("2026-01-01", "2026-01-01"), ("2026-01-01T08:00:00Z", "2026-01-01T08:00:00+00:00")]
)
def test_the_date_of_a_card_may_be_one_of_toml(tmp_path: Path, written: str, read: str) -> None:
    path = tmp_path / "rates.toml"
    path.write_text("[[card]]\n" + PRICED.replace('"2025"', written))
    assert [card.date for card in read_rates(path)] == [read]
    assert main(["cost", "mnist-10-qlenet", "--rates", str(path)]) == 0


SUBJECT = {
    key: json.loads((shipped("zoo") / "full-mnist-qlenet.json").read_text())[key]
    for key in ("dataset", "model", "transforms")
}


def record(*full: tuple[int, float]) -> dict[str, Any]:
    rows = [{"inputs": 55_000, "seen": seen, "validation": [a, a], "test": [a - 0.01, a + 0.01]} for seen, a in full]
    return SUBJECT | {"full": rows, "subsets": [{"inputs": 10, "seen": 1000, "validation": [0.4], "test": [0.5]}]}


def test_the_comparison_is_with_the_shortest_training_that_is_as_good() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")  # 97.58 % on validation
    own, full, subset = compare(bundle, record((1000, 0.9), (2000, 0.98), (4000, 0.99)), shots=7)
    assert (own.seen, own.work.circuits, own.work.shots) == (100, 81_300, 7 * 81_300)
    assert (full.seen, full.accuracy, full.work.circuits) == (2000, pytest.approx(0.98), 2000 * 813)
    assert "to the same validation accuracy" in full.name
    assert (subset.inputs, subset.accuracy) == (10, 0.5)
    _, far, _ = compare(bundle, record((1000, 0.9)), shots=7)
    assert "as far as measured" in far.name
    assert len(compare(bundle, None, shots=7)) == 1


def test_the_comparison_says_how_much_seeds_differ() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")  # 97.58 % on validation
    measured = record((1000, 0.9), (2000, 0.98), (4000, 0.99))
    measured["full"][1] |= {"validation": [0.9760, 0.9757]}  # the second seed is not there yet, their mean is
    _, full, _ = compare(bundle, measured, shots=7)
    assert (full.seen, full.seen_by_seed) == (2000, (2000, 4000))
    measured["full"].pop()
    _, full, _ = compare(bundle, measured, shots=7)
    assert (full.seen, full.seen_by_seed) == (2000, None)


def test_what_a_distillation_would_take_on_a_quantum_computer() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet-one-step")
    outer = bundle.recipe["outer"]
    # Ten inputs in one step: their gradients, two more for the way back, and the real inputs'.
    by_hand = outer["iterations"] * (10 + 2 * 10 + outer["batch"]) * 813
    assert distillation_circuits(bundle, 813) == by_hand
    assert "about 1,200 circuits" in distillation_note(60.0, 1_234)
    assert distillation_circuits(dataclasses.replace(bundle, recipe={}), 813) is None


def test_the_first_steps_of_a_training() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")
    (part,) = compare(bundle, None, shots=7, steps=3)
    assert (part.seen, part.work.circuits, part.work.shots) == (30, 24_390, 7 * 24_390)
    assert (part.name, part.accuracy) == ("10 distilled examples, 3 of 10 steps", None)
    (whole,) = compare(bundle, None, shots=7, steps=10)
    assert (whole.seen, whole.accuracy) == (100, bundle.record.test_accuracy)
    for steps in (0, 11):
        with pytest.raises(ArgumentError, match=f"`steps` must be from 1 to the 10 .*but was {steps}"):
            compare(bundle, None, shots=7, steps=steps)
    with pytest.raises(ArgumentError, match="`steps` must be left out beside a record"):
        compare(bundle, record((1000, 0.9)), shots=7, steps=3)


def test_a_bundle_without_a_validation_accuracy_is_as_good_as_none() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")
    unmeasured = dataclasses.replace(
        bundle, record=dataclasses.replace(bundle.record, validation_accuracy=None, n_validation=None)
    )
    _, full, _ = compare(unmeasured, record((1000, 0.9), (2000, 0.98)), shots=7)
    assert (full.seen, full.name) == (2000, "all real inputs, as far as measured")


GOOD = record((1000, 0.9))
(ROW,) = GOOD["full"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD | {"dataset": "cifar10"}, "`record` must be of the bundle's dataset, 'mnist', but .* is of 'cifar10'"),
        (GOOD | {"model": {"name": "LeNetArchitecture", "fields": {}}}, "`record` must be of the bundle's model, "),
        (
            GOOD | {"transforms": []},
            r"of the bundle's transforms, \['standardise'\], but .* is of \[\]",
        ),
        ({}, "`record` must be a file that --measure wrote, but .* has no 'dataset'"),
        ({key: GOOD[key] for key in GOOD if key != "subsets"}, "has no 'subsets'"),
        ([], "has no 'dataset'"),
        (GOOD | {"full": []}, "must have a training on all inputs"),
        (GOOD | {"full": ROW}, "`record` must have rows of .* under 'full'"),
        (GOOD | {"full": [ROW, {}]}, "under 'full', but .* one was {}"),
        (GOOD | {"full": [ROW | {"seen": "many"}]}, "under 'full'"),
        (GOOD | {"subsets": [ROW | {"test": []}]}, "under 'subsets'"),
        (GOOD | {"subsets": [ROW | {"validation": ["good"]}]}, "under 'subsets'"),
    ],
)
def test_bad_records(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ArgumentError, match=message):
        read_record(path, DistilledDataset.load("mnist-10-qlenet"))
    assert main(["cost", "mnist-10-qlenet", "--record", str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, "`record`" in err) == ("", True)


def test_a_record_must_be_a_json_file(tmp_path: Path) -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")
    (tmp_path / "broken.json").write_text("{")
    for name in ("none.json", "broken.json"):
        with pytest.raises(ArgumentError, match=rf"Argument `record` must be a JSON file, but .*{name}"):
            read_record(tmp_path / name, bundle)


def test_every_shipped_record_is_of_one_network_only() -> None:
    own = {
        "full-mnist-qlenet": ("mnist-10-qlenet", "mnist-10-qlenet-one-image", "mnist-10-qlenet-one-step"),
        "full-mnist-qlenet-no-residual": ("mnist-10-qlenet-no-residual",),
        "full-mnist-qlenet-fixed-hermitian": ("mnist-10-qlenet-fixed-hermitian",),
        "full-cifar10-qlenet": ("cifar10-100-qlenet",),
        "full-mnist-3v5-reuploading": ("mnist-3v5-2-reuploading",),
    }
    others = ("mnist-10-qlenet-no-residual-pairs", "mnist-10-qlenet-no-residual-pauli-z")
    paths = {path.stem: path for path in shipped("zoo").glob("full-*.json")}
    assert set(paths) == set(own)
    for record, path in paths.items():
        for name in own[record]:
            bundle = DistilledDataset.load(name)
            assert read_record(path, bundle) == find_record(bundle)
        for name in others:
            with pytest.raises(ArgumentError, match="`record` must be of the bundle's"):
                read_record(path, DistilledDataset.load(name))
    for name in (*others, "mnist-10-qlenet-quanvolution", "cifar10-100-qlenet-whitened"):
        assert find_record(DistilledDataset.load(name)) is None


def test_the_bill_says_what_the_distillation_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    path = run / "bundle.safetensors"
    shutil.copy(shipped("zoo") / "mnist-10-qlenet.safetensors", path)
    (run / "time.json").write_text('{"core_seconds": 807.0}')
    taken, unknown = "took 13.4 minutes of one classical core", "is not recorded in the bundle"
    for given, seconds, said in (
        (str(run), 807.0, taken),
        (str(path), 807.0, taken),
        ("mnist-10-qlenet", None, unknown),
        ("mnist-10-qlenet-one-step", 103.3, "took 1.7 minutes of one classical core"),
    ):
        assert main(["cost", given]) == 0
        assert said in capsys.readouterr().out.splitlines()[-1]
        assert main(["cost", given, "--json"]) == 0
        distillation = json.loads(capsys.readouterr().out)["distillation"]
        assert distillation["core_seconds"] == seconds
        assert said in distillation["note"]
        assert distillation["circuits"] > 100_000_000
        bundle = DistilledDataset.load(bundle_file(Path(given)))
        assert distillation["note"] in count_executions(bundle, core_seconds=seconds)["notes"]
    shutil.copy(path, run / "smaller.safetensors")
    assert distillation_seconds(path) == 807.0
    assert distillation_seconds(run / "smaller.safetensors") is None, "the time is that of the run's own bundle"
    (run / "time.json").unlink()
    assert distillation_seconds(path) is None


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record((1000, 0.9), (2000, 0.98))))
    assert main(["cost", "mnist-10-qlenet", "--record", str(path)]) == 0
    out = capsys.readouterr().out
    assert "100 example gradients, 81,300 circuits" in out
    assert "1,626,000 circuits (20 times the bundle's; 20 to 20 from seed to seed)" in out
    assert (
        main(["cost", "mnist-10-qlenet", "--record", str(path), "--json", "--gradient", "spsa", "--directions", "1"])
        == 0
    )
    trainings = json.loads(capsys.readouterr().out)["trainings"]
    assert trainings[0]["work"]["circuits"] == 100 * 9
    assert main(["cost", "mnist-10-qlenet", "--shots", "0"]) == 2


def test_the_command_line_for_the_first_steps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["cost", "mnist-10-qlenet", "--steps", "3"]) == 0
    out = capsys.readouterr().out
    assert "10 distilled examples, 3 of 10 steps: test accuracy not measured" in out
    assert "30 example gradients, 24,390 circuits" in out
    assert "real inputs" not in out
    for option in (["--measure"], ["--record", str(tmp_path / "record.json")]):
        assert main(["cost", "mnist-10-qlenet", "--steps", "3", *option]) == 2
        assert f"`{option[0][2:]}` must be left out with `steps`" in capsys.readouterr().err
