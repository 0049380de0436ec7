"""What every model accepts and costs: fields, types, media, the rules about what belongs together, prices."""

from pipeline.catalog.catalog import Catalog, UnknownColumnError
from pipeline.catalog.cells import typed_text
from pipeline.catalog.check import check_request
from pipeline.catalog.conditions import MISSING
from pipeline.catalog.entry import Entry, Field, Media, MediaValue
from pipeline.catalog.example import example_of
from pipeline.catalog.limits import Facts, Limits, beyond_limits
from pipeline.catalog.pricing import Estimate, actual_cost, estimate
from pipeline.catalog.quoting import Quoter
from pipeline.catalog.rules import Finding
from pipeline.catalog.wording import article, did_you_mean, json_type, listed, nearest, plain, shown

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
