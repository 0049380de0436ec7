"""What a run in the foreground shows of its manifest."""

import io
from pathlib import Path

import pytest

from pipeline.foreground import Order, conduct

MANIFEST = """\
version: 1
jobs:
  - id: wave
    input: {image_url: "http://localhost/wave.jpg", prompt: camera pans left}
"""


def shown(folder: Path, *, rehearse: bool, verbose: bool = False) -> str:
    """Standard error of a run that may submit nothing."""
    (folder / "shots.yaml").write_text(MANIFEST)
    (folder / "key").write_text("sk-1")
    stream = io.StringIO()
    order = Order(
        manifest=str(folder / "shots.yaml"),
        output=folder / "out",
        config=None,
        flags={"limit": 0},
        rehearse=rehearse,
        speed=None,
        scenario=None,
        api_key_file=folder / "key",
        quiet=False,
        verbose=verbose,
    )
    conduct(order, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("rehearse", "verbose", "warned"), [(False, False, True), (True, False, False), (True, True, True)]
)
def test_warnings_are_shown_when_they_concern_the_run(
    tmp_path: Path, rehearse: bool, verbose: bool, warned: bool
) -> None:
    """They speak of the real service: a rehearsal shows them only to those who want to know everything."""
    assert ("warning: " in shown(tmp_path, rehearse=rehearse, verbose=verbose)) is warned
