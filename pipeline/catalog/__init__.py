"""What every model accepts: fields, types, media, the rules about what belongs together."""

from pipeline.catalog.catalog import Catalog, UnknownColumnError
from pipeline.catalog.cells import typed_text
from pipeline.catalog.check import Finding, check_request
from pipeline.catalog.entry import MISSING, Entry, Field, Media, MediaValue
from pipeline.catalog.wording import article, did_you_mean, json_type, listed, nearest, plain, shown

__all__ = [
    "MISSING",
    "Catalog",
    "Entry",
    "Field",
    "Finding",
    "Media",
    "MediaValue",
    "UnknownColumnError",
    "article",
    "check_request",
    "did_you_mean",
    "json_type",
    "listed",
    "nearest",
    "plain",
    "shown",
    "typed_text",
]
