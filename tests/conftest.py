"""The rig: no test leaves anything running, loses an exception, blocks the event loop, or sees the user's settings."""

import asyncio
import gc
import inspect
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import hypothesis
import pytest
import uvloop

# Machines are noisy: how long an example takes says nothing about what it shows.
_NOISY = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("here", deadline=None, suppress_health_check=_NOISY)
hypothesis.settings.load_profile("here")

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--uvloop", action="store_true", help="run every test and every command on uvloop alone")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "both_loops: what the event loop has a part in: once on Python's, once on uvloop"
    )


def loops_of(config: pytest.Config, item: pytest.Item) -> list[str]:
    """The names of the event loops that a test runs on."""
    if config.getoption("--uvloop"):
        return ["uvloop"]
    return list(LOOPS) if item.get_closest_marker("both_loops") else ["asyncio"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """For the tests that are coroutines."""
    return {name: LOOPS[name] for name in loops_of(config, item)}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say that tests/browser was left out, where it was: its own conftest decides so by the same rule."""
    browsers = ("chromium", "chromium-browser", "google-chrome")
    there = any(map(shutil.which, browsers)) and shutil.which("chromedriver")
    if not there and os.environ.get("CI") != "true":
        terminalreporter.write_line("tests/browser is left out: install chromium and chromium-driver to run it")


@pytest.fixture(scope="session", autouse=True)
def no_sleep_on_the_loop() -> Iterator[None]:
    """Sleeping where an event loop runs fails; threads and plain tests may."""
    sleep = time.sleep

    def guarded(seconds: float) -> None:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("time.sleep blocks the event loop")
        sleep(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", guarded)
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings, the key or the colours of whoever runs it, nor goes through their proxy."""
    for name in list(os.environ):
        if name.startswith(("PIPELINE_", "MODELVERSE_")) or name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> None:
    """Async tests end with no asyncio task still there and no exception that nobody saw."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("watched_loop")


@pytest.fixture
async def watched_loop() -> AsyncIterator[None]:
    """The test's event loop, asked at the end what was left behind."""
    loop = asyncio.get_running_loop()
    lost: list[str] = []
    loop.set_exception_handler(
        lambda _loop, context: lost.append(f"{context['message']}: {context.get('exception')!r}")
    )
    before = asyncio.all_tasks()
    yield
    strays = asyncio.all_tasks() - before - {asyncio.current_task()}
    gc.collect(1)  # a lost exception speaks up when its task is collected
    loop.set_exception_handler(None)
    assert not strays, f"still running at the end of the test: {strays}"
    assert not lost, f"lost at the end of the test: {lost}"
