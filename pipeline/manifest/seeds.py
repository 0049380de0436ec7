"""The seeds of a job's takes: distinct, the same in every run, and the same when more takes are wanted."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pipeline.catalog import Field
from pipeline.manifest.digests import sha256

LARGEST_SEED = 2**31 - 1
"""For models that name no largest seed."""


class Seeds(Struct, frozen=True):
    """Counts on from the first, and from the lowest again after the highest."""

    first: int
    low: int
    high: int

    @property
    def distinct(self) -> int:
        """How many there are before one comes again."""
        return max(0, self.high - self.low + 1)

    def of(self, take: int) -> int:
        """The seed of a take, counted from 1."""
        seed = self.first + take - 1
        return seed if seed <= self.high else self.low + (seed - self.low) % self.distinct


def seeds_of(request: Mapping[str, Any], described: Field | None, variables: Mapping[str, Any]) -> Seeds | None:
    """From the job's own seed on, or from a number that is made of what the job asks for.

    None where the model has no seed, and where the job's own is none: the check of the request says so. A negative
    seed means "any" to the services that take one; zero means it to others, so no seed is made lower than 1.
    """
    given = request["parameters"].get("seed")
    if described is None or not (given is None or (isinstance(given, int) and not isinstance(given, bool))):
        return None
    low = max(1, int(described.min or 1))
    high = LARGEST_SEED if described.max is None else int(described.max)
    if given is not None and given > high:
        return None
    if given is None or given < 0:
        given = low + _number(request, variables) % max(1, high - low + 1)
    return Seeds(given, low, high)


def _number(request: Mapping[str, Any], variables: Mapping[str, Any]) -> int:
    asked = [request["model"], request["input"], request["parameters"], variables]
    return int(sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16], 16)
