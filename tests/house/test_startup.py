"""What a command may import before it does anything."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("aiohttp", "rich", "jinja2", "av", "PIL", "pipeline.engine", "pipeline.modelverse", "pipeline.videos")
MANIFEST = '{"id": "a", "input": {"image_url": "https://example.com/a.jpg", "prompt": "p"}}\n'
SNIPPET = """
import sys
from pipeline.cli import main
try:
    main()
finally:
    print(*(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["validate", "m.jsonl"], 0), (["status", "."], 2)]
)
def test_no_heavy_library_is_imported_when_a_light_command_starts(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    """Help, `validate` and `status` start without the HTTP library, the terminal library, or the engine."""
    (tmp_path / "m.jsonl").write_text(MANIFEST)
    ended = subprocess.run(
        [sys.executable, "-c", SNIPPET.format(heavy=HEAVY), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.splitlines()[-1] == "", f"imported: {ended.stderr}"
