"""The catalog's twin: models.yaml as JSON, which is read in a thirtieth of the time.

After a change of models.yaml, `python -m pipeline.catalog` writes models.json anew.
"""

import os

import msgspec

from pipeline.catalog.written import CatalogRow, EntryRow, LimitsRow, OtherRow, ProvenanceRow

TWIN = os.path.join(os.path.dirname(__file__), "models.json")  # noqa: PTH118, PTH120 - pathlib is slow to import
_MEMBERS = ("schema_version", *CatalogRow.__struct_fields__)


def _written() -> bytes:
    with open(TWIN, "rb") as file:  # noqa: PTH123 - as above
        return file.read()


class UnreadCatalog(msgspec.Struct):
    """The catalog that ships with the package, its entries still as they are written."""

    provenance: ProvenanceRow
    media_limits: dict[str, LimitsRow]
    models: list[msgspec.Raw]
    other_ids: list[OtherRow]


class _Title(msgspec.Struct):
    ids: tuple[str, ...]


def load_unread() -> UnreadCatalog:
    """For who needs a few of its entries: looking over them takes a tenth of reading them."""
    return msgspec.json.decode(_written(), type=UnreadCatalog)


def ids_in(entry: msgspec.Raw) -> tuple[str, ...]:
    """The ids of an entry."""
    return msgspec.json.decode(entry, type=_Title).ids


def read_entry(entry: msgspec.Raw) -> EntryRow:
    """The whole entry."""
    return msgspec.json.decode(entry, type=EntryRow)


def load_twin() -> CatalogRow:
    """The catalog that ships with the package, read whole."""
    return msgspec.json.decode(_written(), type=CatalogRow)


def twin_of(text: str) -> bytes:
    """The JSON of a catalog's YAML: one line for each entry, so that a change is a readable difference."""
    import yaml

    raw = yaml.safe_load(text)
    parts = []
    for name in _MEMBERS:
        value = raw[name]
        items = [msgspec.json.encode(one).decode() for one in value] if isinstance(value, list) else None
        shown = "[\n" + ",\n".join(items) + "\n]" if items else msgspec.json.encode(value).decode()
        parts.append(f'"{name}":{shown}')
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()
