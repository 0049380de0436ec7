"""A folder with a theatre in it."""

from pathlib import Path

import pytest

from tests.engine.fakes import Theatre


@pytest.fixture
def theatre(tmp_path: Path) -> Theatre:
    """Runs over one output folder, on virtual time."""
    return Theatre(tmp_path)
