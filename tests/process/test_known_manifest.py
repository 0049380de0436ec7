"""A manifest that is enrolled is known by its bytes: running it again reads no row, and no change goes unseen."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROWS = "id,image_url,prompt\nleft,https://example.com/a.jpg,camera pans left\nright,https://example.com/b.jpg,waves\n"
PICTURE = Path(__file__).parents[2] / "configs" / "pictures" / "aurora.jpg"


@pytest.fixture
def done(lab: Any) -> Any:
    """A lab in which a manifest of two rows has run to its end."""
    lab.emulator()
    (lab.path / "settings.yaml").write_text("poll_lag: 0.05\n")
    (lab.path / "shots.csv").write_text(ROWS)
    ended = again(lab)
    assert ended.code == 0, (ended.out, ended.err)
    return lab


def again(lab: Any, *options: str, manifest: str = "shots.csv", stdin: str = "") -> Any:
    return lab.run("run", manifest, "-c", "settings.yaml", "-o", "out", *options, stdin=stdin)


def disturb(folder: Path) -> None:
    """Change what the ledger knows of a job, so that whoever reads its row complains."""
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("UPDATE jobs SET digest = 'other' WHERE job_id = 'left'")


def test_no_row_is_read_when_the_manifest_has_not_changed(done: Any) -> None:
    """The finished batch is run again without a request, and without looking at its rows."""
    disturb(done.path / "out")
    ended = again(done)
    assert (ended.code, ended.last[:50]) == (0, "pipeline: exit 0: 2 jobs: 2 done, 0 failed, 0 unkn")
    (done.path / "shots.csv").touch()
    assert again(done, "--on-changed", "keep").code == 0


def test_change_is_noticed_when_size_and_dates_are_the_same(done: Any) -> None:
    """One other byte is a changed row, refused unless somebody decides; keeping it decides for one run only."""
    path = done.path / "shots.csv"
    dates = path.stat()
    path.write_text(ROWS.replace("waves", "saves"))
    os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    for options, code in (((), 2), (("--on-changed", "keep"), 0), ((), 2), (("--on-changed", "rerun"), 0), ((), 0)):
        ended = again(done, *options)
        assert ended.code == code, ended.err
        assert ("input.prompt changed" in ended.err) == (code == 2)


def test_problem_is_reported_when_the_known_manifest_gets_one(done: Any) -> None:
    """Whatever is not known is checked whole."""
    (done.path / "shots.csv").write_text(ROWS + "left,https://example.com/c.jpg,again\n")
    ended = again(done)
    assert ended.code == 2
    assert "the id is already used" in ended.err


def test_changed_picture_is_noticed_when_the_manifest_names_it(lab: Any) -> None:
    """The bytes of local files are part of what is bought: a manifest that names any is read every time."""
    lab.emulator()
    (lab.path / "settings.yaml").write_text("poll_lag: 0.05\n")
    picture = lab.path / "a.jpg"
    picture.write_bytes(PICTURE.read_bytes() + b"1")
    (lab.path / "shots.csv").write_text("id,image_url,prompt\nleft,a.jpg,waves\n")
    ended = again(lab)
    assert ended.code == 0, (ended.out, ended.err)
    dates = picture.stat()
    picture.write_bytes(PICTURE.read_bytes() + b"2")
    os.utime(picture, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    ended = again(lab)
    assert (ended.code, "the bytes of " in ended.err) == (2, True)


def test_standard_input_is_known_when_the_same_comes_through_it(done: Any) -> None:
    """What is piped in is known by its bytes as well."""
    assert again(done, manifest="-", stdin=ROWS).code == 0
    disturb(done.path / "out")
    assert again(done, manifest="-", stdin=ROWS).code == 0
    assert again(done, manifest="-", stdin=ROWS + "\n").code == 2


def test_rows_are_read_when_another_manifest_came_between(done: Any) -> None:
    """The folder knows the manifest that it was filled from last, and no earlier one."""
    disturb(done.path / "out")
    assert again(done).code == 0
    (done.path / "more.csv").write_text("id,image_url,prompt\nthird,https://example.com/c.jpg,waves\n")
    assert again(done, manifest="more.csv").code == 0
    assert again(done).code == 2


def test_problems_are_looked_for_when_a_manifest_is_validated(done: Any) -> None:
    """`validate` reads every row, whatever a folder knows."""
    ended = done.run("validate", "shots.csv")
    assert (ended.code, ended.out) == (0, "shots.csv: 2 jobs, no problem\n")
