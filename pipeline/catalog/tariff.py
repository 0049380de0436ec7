"""What a request costs and how long it takes, as the catalog writes it down: cases, tables, tokens."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Generic, Literal, TypeVar, cast

from msgspec import Struct

from pipeline.catalog.conditions import Condition

Unit = Literal["per_second", "per_5_seconds", "per_video", "per_million_tokens"]
Cell = TypeVar("Cell")


class Table(Struct, Generic[Cell], frozen=True):
    """Values by the fields at one or two paths; `5` and `"5"` are one key."""

    by: tuple[str, ...]
    rows: Mapping[str, Any]
    """One level of mappings for each path, the keys as text."""

    def at(self, keys: tuple[Any, ...]) -> Cell | None:
        """The value for these values of the fields, or None where the table has none."""
        found: Any = self.rows
        for key in keys:
            found = found.get(str(key)) if isinstance(found, Mapping) else None
        return cast("Cell | None", found)

    def cells(self) -> Iterator[Cell]:
        """Every value of the table."""
        waiting: list[Any] = [self.rows]
        while waiting:
            one = waiting.pop()
            if isinstance(one, Mapping):
                waiting.extend(one.values())
            else:
                yield one


class PriceCase(Struct, frozen=True):
    """A price, and when it holds."""

    when: tuple[Condition, ...]
    unit: Unit
    amount: Decimal | None = None
    """Of one unit; None where the table has it."""
    table: Table[Decimal] | None = None
    seconds_from: Literal["input_video", "output_video"] | None = None
    """What decides the seconds where it is not `parameters.duration`."""

    def amounts(self) -> Iterator[Decimal]:
        """Every amount that the case can come to."""
        if self.amount is not None:
            yield self.amount
        if self.table is not None:
            yield from self.table.cells()


class Surcharge(Struct, frozen=True):
    """What is added to the price, and when."""

    when: tuple[Condition, ...]
    amount: Decimal
    """Of one video."""
    why: str | None = None


class TokenEstimate(Struct, frozen=True):
    """How many tokens a video has: `pixels × (24 × seconds + 1) / 1024`, where no document says it."""

    pixels: Mapping[str, int]
    """By `parameters.resolution`."""
    confidence: str
    note: str


class Price(Struct, frozen=True):
    """The price of one request shape; without cases it is unknown."""

    currency: str
    quantity: str
    """What is counted, in words."""
    as_of: str
    """The day of the price list, ISO 8601."""
    origin: str
    """Where the price was read."""
    cases: tuple[PriceCase, ...] = ()
    """The first that holds counts."""
    surcharges: tuple[Surcharge, ...] = ()
    """All that hold are added."""
    tokens: TokenEstimate | None = None
    paths: frozenset[str] = frozenset()
    """The fields whose values the price depends on."""


UNPRICED = Price("CNY", "", "", "")


class SecondsCase(Struct, frozen=True):
    """How long a task takes, and when: seconds, or a lowest and a highest number of them."""

    when: tuple[Condition, ...]
    seconds: float | None = None
    table: Table[float | tuple[float, float]] | None = None
