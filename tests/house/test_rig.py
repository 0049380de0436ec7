"""The rig of conftest.py itself: what it must catch, it catches."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
LEAVING = """
import asyncio, os, time

kept = []

async def fail():
    raise ValueError

async def test_stray():
    kept.append(asyncio.create_task(asyncio.Event().wait()))

async def test_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

async def test_unseen():
    asyncio.create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

async def test_blocking():
    time.sleep(0)

async def test_orderly():
    await asyncio.create_task(asyncio.sleep(0))
    await asyncio.to_thread(time.sleep, 0)

def test_environment():
    assert "MODELVERSE_API_KEY" not in os.environ
"""


def test_a_test_fails_when_it_leaves_something_behind(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stray task, a lost exception or a blocking call fails the test that caused it, and no other."""
    monkeypatch.setenv("MODELVERSE_API_KEY", "the user's own")
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(LEAVING)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function")
    outcome = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    outcome.assert_outcomes(passed=5, failed=1, errors=3)
    output = outcome.stdout.str()
    assert "AssertionError: still running at the end of the test" in output
    assert len(re.findall(r"^E +AssertionError: lost at the end", output, re.MULTILINE)) == 2
    assert "RuntimeError: time.sleep blocks the event loop" in output
