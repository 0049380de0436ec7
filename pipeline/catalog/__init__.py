"""What every model accepts and costs: fields, types, media, the rules about what belongs together, prices."""

from typing import TYPE_CHECKING, Any

from pipeline.catalog.catalog import Catalog, UnknownColumnError
from pipeline.catalog.cells import typed_text
from pipeline.catalog.check import check_request
from pipeline.catalog.conditions import MISSING
from pipeline.catalog.entry import Entry, Field, Media, MediaValue
from pipeline.catalog.limits import Facts, Limits, beyond_limits
from pipeline.catalog.rules import Finding
from pipeline.catalog.wording import article, did_you_mean, json_type, listed, nearest, plain, shown

if TYPE_CHECKING:  # the same names as below, for type checkers: a check does without prices
    from pipeline.catalog.example import example_of
    from pipeline.catalog.pricing import Estimate, actual_cost, estimate
    from pipeline.catalog.quoting import Quoter

__all__ = [
    "MISSING",
    "Catalog",
    "Entry",
    "Estimate",
    "Facts",
    "Field",
    "Finding",
    "Limits",
    "Media",
    "MediaValue",
    "Quoter",
    "UnknownColumnError",
    "actual_cost",
    "article",
    "beyond_limits",
    "check_request",
    "did_you_mean",
    "estimate",
    "example_of",
    "json_type",
    "listed",
    "nearest",
    "plain",
    "shown",
    "typed_text",
]

_HOMES = {
    "Estimate": "pipeline.catalog.pricing",
    "Quoter": "pipeline.catalog.quoting",
    "actual_cost": "pipeline.catalog.pricing",
    "estimate": "pipeline.catalog.pricing",
    "example_of": "pipeline.catalog.example",
}


def __getattr__(name: str) -> Any:
    """Import a name about prices or examples when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline.catalog' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
