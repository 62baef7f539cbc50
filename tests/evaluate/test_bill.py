"""Rate cards, and what a bundle saves: held against sums by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qdistill.cli import main
from qdistill.distill.bundle import DistilledDataset
from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work
from qdistill.evaluate.rates import RateCard, read_rates
from qdistill.evaluate.savings import compare
from qdistill.experiments import full_data
from qdistill.experiments.recipe import Recipe
from qdistill.models import LeNetArchitecture

WORK = Work(circuits=10, shots=1000, settings=3, depth=5, two_qubit_gates=2)
HEAD = 'name = "x"\ncurrency = "EUR"\ndate = "2025"\nsource = "here"\n'


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
        ("[[card]]\n" + HEAD + "per_shot = -1.0", "`per_shot` must be a number of at least 0, but was -1.0"),
        ("[[card]]\n" + HEAD + 'per_shot = "free"', "`per_shot` must be a number"),
        ("[[card]]\n" + HEAD + "per_second = 1.0", "`seconds_per_shot` must be given"),
        ("[[card]]\n" + HEAD + "per_shots = 1.0", "unknown 'per_shots'"),
        ('[[card]]\nname = "x"\nper_shot = 1.0', "lacks 'currency'"),
    ],
)
def test_bad_rate_cards(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rates.toml"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        read_rates(path)


def record(*full: tuple[int, float]) -> dict[str, object]:
    rows = [{"images": 55_000, "seen": seen, "validation": [a, a], "test": [a - 0.01, a + 0.01]} for seen, a in full]
    return {"full": rows, "subsets": [{"images": 10, "seen": 1000, "validation": [0.4], "test": [0.5]}]}


def test_the_comparison_is_with_the_shortest_training_that_is_as_good() -> None:
    bundle = DistilledDataset.load("mnist-10-qlenet")  # 97.58 % on validation
    own, full, subset = compare(bundle, record((1000, 0.9), (2000, 0.98), (4000, 0.99)), shots=7)
    assert (own.seen, own.work.circuits, own.work.shots) == (100, 81_300, 7 * 81_300)
    assert (full.seen, full.accuracy, full.work.circuits) == (2000, pytest.approx(0.98), 2000 * 813)
    assert "to the same validation accuracy" in full.name
    assert (subset.images, subset.accuracy) == (10, 0.5)
    _, far, _ = compare(bundle, record((1000, 0.9)), shots=7)
    assert "as far as measured" in far.name
    assert len(compare(bundle, None, shots=7)) == 1


def test_full_training_is_measured_until_it_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_data, "SEEN", (200, 2_000, 4_000))
    monkeypatch.setattr(full_data, "SUBSETS", {10: 100})
    recipe = Recipe("digits", model=LeNetArchitecture(width=20), n_validation=200)
    told: list[str] = []
    measured = full_data.measure_full_training(recipe, (0,), until=0.5, told=told.append)
    (subset,) = measured["subsets"]
    assert (subset["images"], subset["seen"]) == (10, 100)
    first, second = measured["full"]  # the third was not needed
    assert first["validation"][0] < 0.5 <= second["validation"][0]
    assert len(told) == 3


def test_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record((1000, 0.9), (2000, 0.98))))
    assert main(["cost", "mnist-10-qlenet", "--record", str(path)]) == 0
    out = capsys.readouterr().out
    assert "100 image gradients, 81,300 circuits" in out
    assert "1,626,000 circuits (20 times the bundle's)" in out
    assert (
        main(["cost", "mnist-10-qlenet", "--record", str(path), "--json", "--method", "spsa", "--directions", "1"]) == 0
    )
    trainings = json.loads(capsys.readouterr().out)["trainings"]
    assert trainings[0]["work"]["circuits"] == 100 * 9
    assert main(["cost", "mnist-10-qlenet", "--shots", "0"]) == 2
