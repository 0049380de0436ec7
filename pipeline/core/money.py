"""What an attempt costs and what a folder has spent: exact amounts in whole millionths of a currency unit.

A price that is not known is None and never zero.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from pipeline.core.values import Value

_MICRO = Decimal(1_000_000)
_CENT = Decimal("0.01")


def micro(amount: Decimal) -> int:
    """The amount in millionths, the nearest whole number of them."""
    return int((amount * _MICRO).to_integral_value(ROUND_HALF_EVEN))


def micro_at_most(amount: Decimal) -> int:
    """The amount in millionths, rounded up: for what something may cost."""
    return int((amount * _MICRO).to_integral_value(ROUND_CEILING))


def micro_allowed(amount: Decimal) -> int:
    """The amount in millionths, rounded down: for what may be spent."""
    return int((amount * _MICRO).to_integral_value(ROUND_FLOOR))


def exact(amount: int) -> str:
    """Millionths as an exact decimal of at least two places: `1.75`, `0.002625`."""
    whole, rest = divmod(abs(amount), 1_000_000)
    return f"{'-' if amount < 0 else ''}{whole}.{f'{rest:06}'.rstrip('0'):0<2}"


def shown_amount(amount: int) -> str:
    """Millionths for people: two places, rounded up, so that no sum looks smaller than it is."""
    return f"{(Decimal(amount) / _MICRO).quantize(_CENT, ROUND_CEILING):,f}"


class Quote(Value):
    """What one attempt of a job costs, as far as it is known before it is bought; jobs that are alike share one."""

    kind: str
    """`Job.kind`."""
    model: str
    resolution: str | None = None
    """As given, or the model's default; None where the model has none."""
    seconds: int | None = None
    """Thousandths of a second of video, expected; None where the request does not say."""
    longest: int | None = None
    """…and at most."""
    currency: str = ""
    expected: int | None = None
    """Millionths; None where no price is known."""
    worst: int | None = None
    """Millionths; None where no upper bound is known."""
    takes: float | None = None
    """Seconds that the task takes, as the documents have it."""
    note: str | None = None
    """Why an amount is unknown, or what was assumed."""

    def __hash__(self) -> int:
        """By as much as tells nearly all apart: jobs are counted by their quotes."""
        return hash((self.kind, self.worst))


class Actual(Value):
    """What an attempt came to by the usage that the service reports; None where that does not tell."""

    cost: int | None = None
    """Millionths."""
    seconds: int | None = None
    """Thousandths of a second of video."""
    currency: str = ""
    """Of `cost`, for an attempt whose price was not known before."""


class Spending(Value):
    """What the attempts of a folder in one currency come to; amounts in millionths."""

    currency: str
    """Empty for attempts without a known price."""
    tasks: int = 0
    """Attempts that were bought, or may have been."""
    spent: int = 0
    """By those that have ended: by usage where the service reported it, else as estimated."""
    estimated: int = 0
    """The estimated part of it."""
    reserved: int = 0
    """At worst, by those that run or whose outcome is unknown."""
    at_most: int = 0
    """All together, at worst: what a budget counts."""
    seconds: int = 0
    """Thousandths of a second of video, at most."""
    unpriced: int = 0
    """Attempts without a known worst case."""
    unmeasured: int = 0
    """Attempts of whose video nobody knows the length."""
