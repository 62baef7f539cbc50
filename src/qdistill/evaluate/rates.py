"""Rate cards: what quantum computers cost, as a file that the user can edit."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qdistill.errors import ArgumentError
from qdistill.evaluate.cost import Work
from qdistill.files import read_toml

DEFAULT_RATES = Path(__file__).with_name("rates.toml")
"""The cards that come with the package."""

_TEXTS = ("name", "currency", "date", "source")
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
        """Check the texts and the prices."""
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str):
                raise ArgumentError(f"Argument `{name}` must be a string, but was {getattr(self, name)!r}.")
        for name in (*_PRICES, "seconds_per_shot"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (is_number and 0 <= value < math.inf):
                raise ArgumentError(f"Argument `{name}` must be a number of at least 0, but was {value!r}.")
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
    known = {field.name for field in fields(RateCard)}
    cards: list[RateCard] = []
    for place, entry in enumerate(entries, start=1):
        unknown = sorted(set(entry) - known)
        missing = sorted(set(_TEXTS) - set(entry))
        if unknown or missing:
            what = f"has the unknown {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
            raise ArgumentError(f"Argument `rates` must have the fields of a card, but card {place} in {path} {what}.")
        if isinstance(entry["date"], datetime.date):
            entry["date"] = entry["date"].isoformat()
        try:
            card = RateCard(**entry)
        except ArgumentError as error:
            raise ArgumentError(f"In card {entry['name']!r} of {path}: {error}") from error
        if card.name in {other.name for other in cards}:
            raise ArgumentError(f"Argument `rates` must have one card of a name, but {path} has two of {card.name!r}.")
        cards.append(card)
    return cards
