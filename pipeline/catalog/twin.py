"""The catalog's twin: models.yaml as JSON, which is read in a thirtieth of the time.

After a change of models.yaml, `python -m pipeline.catalog` writes models.json anew.
"""

from pathlib import Path

import msgspec

from pipeline.catalog.written import CatalogRow

TWIN = Path(__file__).with_name("models.json")
_MEMBERS = ("schema_version", *CatalogRow.__struct_fields__)


def load_twin() -> CatalogRow:
    """The catalog that ships with the package."""
    return msgspec.json.decode(TWIN.read_bytes(), type=CatalogRow)


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
