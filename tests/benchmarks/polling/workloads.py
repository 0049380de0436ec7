"""Nine services that tasks may meet; for four of them, the least `mean lag × questions` that knows only the age."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

JOBS = 2000
SLOTS = 50


@dataclass(frozen=True, slots=True)
class Order:
    """One job, before it is known when it will be submitted; seconds."""

    kind: str
    runs: float
    """On the service's machine."""
    waits: float = 0.0
    """In a line of other people's tasks, before that."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Jobs, and how many of them the service works on at once (None: all)."""

    name: str
    draw: Callable[[Random, int], Order]
    machines: int | None = None
    bound: float | None = None
    """K*, in poll-seconds: no rule that knows only the age has a smaller product of mean lag and questions a task."""
    allowed: float = 0.0
    """What part of it the product may be."""

    def orders(self, seed: int) -> Sequence[Order]:
        """All jobs of a seed."""
        rng = Random(seed)
        return [self.draw(rng, number) for number in range(JOBS)]


def _lognormal(rng: Random, middle: float, spread: float) -> float:
    return middle * math.exp(rng.gauss(0.0, spread))


def _bimodal(rng: Random, *, keyed: bool) -> Order:
    long = rng.random() < 0.5
    return Order(("long" if long else "short") if keyed else "any", _lognormal(rng, 120.0 if long else 40.0, 0.15))


def _shift(rng: Random, number: int) -> Order:
    return Order("any", _lognormal(rng, (50.0, 20.0, 90.0)[number * 3 // JOBS], 0.3))


def _refusing(rng: Random) -> Order:
    return Order("any", 1.2 if rng.random() < 0.1 else _lognormal(rng, 50.0, 0.3))


def _effort(density: Callable[[float], float], survival: Callable[[float], float], until: float) -> float:
    """`∫ sqrt(f S)`, by the midpoint rule on ages that grow with their distance."""
    total, age = 0.0, 1e-3
    while age < until:
        wide = age * 1e-3
        middle = age + wide / 2.0
        total += math.sqrt(density(middle) * survival(middle)) * wide
        age += wide
    return total


def _lognormal_effort(middle: float, spread: float) -> float:
    def density(age: float) -> float:
        z = math.log(age / middle) / spread
        return math.exp(-z * z / 2.0) / (age * spread * math.sqrt(2.0 * math.pi))

    def survival(age: float) -> float:
        return math.erfc(math.log(age / middle) / (spread * math.sqrt(2.0))) / 2.0

    return _effort(density, survival, middle * 20.0)


def _pareto_effort(least: float, shape: float) -> float:
    """Closed form: `f S = α m^2α a^-(2α+1)`, of which the root is integrated from `m`."""
    return math.sqrt(shape) * math.sqrt(least) / (shape - 0.5)


def _bound(*efforts: float) -> float:
    """K* for kinds that are as frequent as each other, where all of them share the questions in the best way."""
    return (sum(efforts) / len(efforts)) ** 2 / 2.0


WORKLOADS = (
    Workload(
        "lognormal 50 s, σ .3",
        lambda rng, _: Order("any", _lognormal(rng, 50.0, 0.3)),
        bound=_bound(_lognormal_effort(50.0, 0.3)),
        allowed=1.15,
    ),
    Workload(
        "lognormal 50 s, σ .1",
        lambda rng, _: Order("any", _lognormal(rng, 50.0, 0.1)),
        bound=_bound(_lognormal_effort(50.0, 0.1)),
        allowed=1.15,
    ),
    Workload(
        "bimodal 40/120 s, keyed",
        lambda rng, _: _bimodal(rng, keyed=True),
        bound=_bound(_lognormal_effort(40.0, 0.15), _lognormal_effort(120.0, 0.15)),
        allowed=1.3,
    ),
    Workload("bimodal 40/120 s, one key", lambda rng, _: _bimodal(rng, keyed=False)),
    Workload(
        "Pareto 20 s, α 1.8",
        lambda rng, _: Order("any", 20.0 * rng.paretovariate(1.8)),
        bound=_bound(_pareto_effort(20.0, 1.8)),
        allowed=1.3,
    ),
    Workload("lognormal 50 s, σ .3, a tenth refused after 1.2 s", lambda rng, _: _refusing(rng)),
    Workload("shift 50→20→90 s", _shift),
    Workload("own line, 20 at once", lambda rng, _: Order("any", _lognormal(rng, 20.0, 0.3)), machines=20),
    Workload(
        "others' line", lambda rng, _: Order("any", _lognormal(rng, 50.0, 0.3), waits=rng.expovariate(1.0 / 50.0))
    ),
)
