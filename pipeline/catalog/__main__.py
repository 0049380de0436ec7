"""`python -m pipeline.catalog` writes the catalog's twin anew, after a change of models.yaml."""

from pipeline.catalog.twin import TWIN, twin_of

if __name__ == "__main__":
    TWIN.write_bytes(twin_of(TWIN.with_suffix(".yaml").read_text(encoding="utf-8")))
