"""Waiting for the output folder, on real locks."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from pipeline.core.errors import FolderBusyError, FolderError
from pipeline.folder import LOOK_EVERY, hold, hold_when_free


async def taken(folder: Path, patience: float | None, awaited: list[str]) -> None:
    """Hold the folder for a moment."""
    async with hold_when_free(folder, patience, lambda: awaited.append("waits")) as held:
        assert held == folder


def is_free(folder: Path) -> bool:
    """Whether somebody else could hold it now."""
    try:
        with hold(folder):
            return True
    except FolderBusyError:
        return False


async def test_nobody_is_waited_for_when_the_folder_is_free(tmp_path: Path) -> None:
    """The folder is made and held at once, and free again afterwards."""
    awaited: list[str] = []
    await taken(tmp_path / "out", 60.0, awaited)
    assert awaited == []
    assert is_free(tmp_path / "out")


@pytest.mark.parametrize("patience", [None, 0.0])
async def test_the_run_is_turned_away_at_once_when_it_has_no_patience(tmp_path: Path, patience: float | None) -> None:
    """Without the setting, or with none of it, nothing is said of waiting."""
    awaited: list[str] = []
    with hold(tmp_path), pytest.raises(FolderBusyError, match=r"another run holds .*; wait for it, or stop it"):
        await taken(tmp_path, patience, awaited)
    assert awaited == []


async def test_the_wait_ends_and_costs_nothing_when_patience_runs_out(tmp_path: Path) -> None:
    """It is told once, takes as long as it was given, and hardly any processor."""
    awaited: list[str] = []
    patience = 1.2 * LOOK_EVERY
    began, worked = time.monotonic(), time.process_time()
    with hold(tmp_path), pytest.raises(FolderBusyError, match=f"still holds {tmp_path} after 0.6 s; wait longer"):
        await taken(tmp_path, patience, awaited)
    assert time.monotonic() - began >= patience
    assert time.process_time() - worked < patience / 2
    assert awaited == ["waits"]
    assert is_free(tmp_path)


async def test_the_folder_is_taken_when_the_other_lets_go(tmp_path: Path) -> None:
    """Whoever waits comes next."""
    awaited: list[str] = []
    with contextlib.ExitStack() as other:
        other.enter_context(hold(tmp_path))
        async with hold_when_free(tmp_path, 60.0, other.close):
            assert not is_free(tmp_path)
    await taken(tmp_path, None, awaited)


async def test_nothing_is_held_when_the_wait_is_cancelled(tmp_path: Path) -> None:
    """A stop while waiting leaves no lock behind, and does not disturb whoever holds it."""
    waits = asyncio.Event()

    async def wait() -> None:
        async with hold_when_free(tmp_path, 60.0, waits.set):
            raise AssertionError("somebody else holds it")

    with hold(tmp_path):
        waiting = asyncio.create_task(wait())
        await waits.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


async def test_nothing_is_made_anew_when_the_folder_that_was_waited_for_is_gone(tmp_path: Path) -> None:
    """A batch that was moved away meanwhile would be bought again in an empty folder."""
    folder = tmp_path / "out"
    with hold(folder), pytest.raises(FolderError, match="was moved or removed while this run waited"):
        async with hold_when_free(folder, 60.0, lambda: folder.rename(tmp_path / "elsewhere") and None):
            raise AssertionError("it is gone")
    assert not folder.exists()
