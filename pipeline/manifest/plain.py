"""Whether a row stands for itself, as nearly every one does: there is then nothing to expand."""

from collections.abc import Mapping
from typing import Any

from pipeline.manifest.values import texts_in


def is_plain(values: Mapping[str, Any]) -> bool:
    """Whether nothing in a row is to be multiplied out or filled in."""
    if "matrix" in values or "repeat" in values:
        return False
    job_id, given = values.get("id"), values.get("input")
    if isinstance(job_id, str) and "{" in job_id:
        return False
    if isinstance(given, dict):
        for value in given.values():  # nearly every row comes by here, and nearly every value is a text
            if "{" in value if isinstance(value, str) else has_brace(value):
                return False
    return True


def has_brace(value: Any) -> bool:
    """Whether a text in the value may be a template."""
    return any("{" in text for text in texts_in(value))
