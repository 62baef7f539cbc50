"""Rate cards: what quantum computers cost, as a file that the user can edit."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work
from qdistill.fields import check_fields, from_table
from qdistill.files import read_toml

DEFAULT_RATES = Path(__file__).with_name("rates.toml")
"""The cards that come with the package."""

_PRICES = ("per_shot", "per_task", "per_second")


@dataclass(frozen=True)
class RateCard:
    """The prices of one device or plan.

    Args:
        name: what it is called.
        currency: such as USD.
        date: when the prices were read.
        source: where.
        per_shot: price of a shot.
        per_task: price of a circuit in one setting, beside its shots.
        per_second: price of a second of the device.
        seconds_per_shot: how long the device is busy with one shot; None where that is not known.

    Raises:
        ArgumentError: a text is no string; no price, a negative one, or one by the second without the time of a shot.
    """

    name: str
    currency: str
    date: str
    source: str
    per_shot: float = 0.0
    per_task: float = 0.0
    per_second: float = 0.0
    seconds_per_shot: float | None = None

    def __post_init__(self) -> None:
        """Check the fields and the prices."""
        check_fields(self)
        for name in (*_PRICES, "seconds_per_shot"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ArgumentError(f"Argument `{name}` must be at least 0, but was {value}.")
        if not any(getattr(self, name) for name in _PRICES):
            raise ArgumentError(f"Argument `{_PRICES[0]}`, or another of {', '.join(_PRICES)}, must be above 0.")
        if self.per_second and not self.seconds_per_shot:
            raise ArgumentError("Argument `seconds_per_shot` must be given with `per_second`, but was not.")

    def seconds(self, work: Work) -> float | None:
        """How long the device is busy; None where the card does not say."""
        return None if self.seconds_per_shot is None else self.seconds_per_shot * work.shots

    def price(self, work: Work) -> float:
        """What it costs, in the currency."""
        return (
            self.per_shot * work.shots + self.per_task * work.circuits + self.per_second * (self.seconds(work) or 0.0)
        )


def read_rates(path: Path = DEFAULT_RATES) -> list[RateCard]:
    """The cards of a TOML file, each a table ``[[card]]`` with the fields of `RateCard`; its date may be TOML's own.

    Raises:
        ArgumentError: the file is missing or no TOML, has no card or two of one name, or a field is missing, unknown or
            has a bad value.
    """
    try:
        entries: Any = read_toml(path).get("card", [])
    except (OSError, ValueError) as error:
        raise ArgumentError(f"Argument `rates` must be a TOML file, but {path}: {error}.") from error
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ArgumentError(f"Argument `rates` must hold a table [[card]] at least, but {path} has none.")
    cards: list[RateCard] = []
    for place, entry in enumerate(entries, start=1):
        if isinstance(entry.get("date"), datetime.date):
            entry["date"] = entry["date"].isoformat()
        try:
            card: RateCard = from_table(RateCard, entry, "")
        except ArgumentError as error:
            raise ArgumentError(f"In card {entry.get('name', place)!r} of {path}: {error}") from error
        if card.name in {other.name for other in cards}:
            raise ArgumentError(f"Argument `rates` must have one card of a name, but {path} has two of {card.name!r}.")
        cards.append(card)
    return cards
