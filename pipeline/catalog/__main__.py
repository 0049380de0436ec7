"""`python -m pipeline.catalog` writes the catalog's twin anew, after a change of models.yaml."""

from pathlib import Path

from pipeline.catalog.twin import TWIN, twin_of

if __name__ == "__main__":
    twin = Path(TWIN)
    twin.write_bytes(twin_of(twin.with_suffix(".yaml").read_text(encoding="utf-8")))
