"""A picture on this machine, from the manifest to the service: its bytes travel, and are kept nowhere else."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

PICTURE = (Path(__file__).parents[2] / "configs" / "pictures" / "aurora.jpg").read_bytes()
ROWS = "id,image_url,prompt\none,aurora.jpg,the light moves\ntwo,copy.jpg,the light fades\n"


def run(lab: Any, *options: str) -> Any:
    return lab.run("run", "shots.csv", "-o", "out", *options)


def test_a_picture_is_sent_and_its_bytes_are_stored_nowhere(lab: Any) -> None:
    """Ledger and results have its path and its SHA-256; the service has the picture."""
    emulator = lab.emulator()
    for name in ("aurora.jpg", "copy.jpg"):
        (lab.path / name).write_bytes(PICTURE)
    (lab.path / "shots.csv").write_text(ROWS)
    ended = run(lab)
    assert ended.code == 0, (ended.out, ended.err)
    assert emulator.bought().total() == 2
    middle = base64.b64encode(PICTURE[300:600])
    for file in (lab.path / "out").rglob("*"):
        if file.is_file() and file.suffix != ".mp4":
            content = file.read_bytes()
            assert middle not in content, file
            assert PICTURE[300:400] not in content, file
    lines = [json.loads(line) for line in (lab.path / "out" / "results.jsonl").read_text().splitlines()]
    assert {line["input"]["image_url"] for line in lines} == {"aurora.jpg", "copy.jpg"}
    sent = {"field": "input.image_url", "bytes": len(PICTURE), "sha256": hashlib.sha256(PICTURE).hexdigest()}
    assert all(line["local_files"] == [sent] for line in lines)


def test_other_bytes_are_another_job(lab: Any) -> None:
    """A picture that changed stops the run with a list, as a changed prompt does, and `rerun` buys it anew."""
    emulator = lab.emulator()
    for name in ("aurora.jpg", "copy.jpg"):
        (lab.path / name).write_bytes(PICTURE)
    (lab.path / "shots.csv").write_text(ROWS)
    assert run(lab).code == 0
    (lab.path / "copy.jpg").write_bytes(PICTURE + b"\0")
    refused = run(lab)
    assert refused.code == 2
    assert "job two (done) is not what was enrolled" in refused.err
    assert "the bytes of copy.jpg (input.image_url) changed" in refused.err
    assert run(lab, "--on-changed", "keep").code == 0
    assert emulator.bought().total() == 2
    assert run(lab, "--on-changed", "rerun").code == 0
    assert emulator.bought().total() == 3


@pytest.mark.parametrize("mend", ["put back", "rerun"])
def test_a_job_that_is_kept_says_what_to_do_when_its_picture_has_other_bytes(lab: Any, mend: str) -> None:
    """What was enrolled can no longer be bought: the message names both ways out, and each of them is one."""
    emulator = lab.emulator()
    for name in ("aurora.jpg", "copy.jpg"):
        (lab.path / name).write_bytes(PICTURE)
    (lab.path / "shots.csv").write_text(ROWS)
    assert run(lab, "--limit", "1").code == 0
    (lab.path / "copy.jpg").write_bytes(PICTURE + b"\0")
    kept = run(lab, "--on-changed", "keep")
    assert kept.code == 1
    assert (
        "copy.jpg: the file has other bytes than when it was enrolled (input.image_url); put the old one back and say "
        "--retry-failed, or say --on-changed rerun to take the new one"
    ) in kept.err + kept.out
    assert emulator.bought().total() == 1
    if mend == "rerun":
        assert run(lab, "--on-changed", "rerun").code == 0
    else:
        (lab.path / "copy.jpg").write_bytes(PICTURE)
        assert run(lab, "--retry-failed").code == 0
    assert emulator.bought().total() == 2
