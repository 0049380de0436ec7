"""`run` on a real terminal: what a person sees, whatever the size, and what an impatient one does."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import Any

import pyte
import pytest

WAITED = 30.0


class Terminal:
    """A real pseudo-terminal with a screen in memory, and a command of the lab that runs on it."""

    def __init__(self, lab: Any, *arguments: object, columns: int = 80, rows: int = 24, **environment: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.feed = pyte.ByteStream(self.screen)
        self.written = bytearray()
        self._controller, terminal = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *map(str, arguments)],
            cwd=lab.path,
            env=lab.environment | {"TERM": "xterm-256color"} | environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - it takes no lock that a thread of ours could hold
        )
        os.close(terminal)

    def resize(self, columns: int, rows: int) -> None:
        """As a window does whose corner is dragged."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._controller, keys)

    def lines(self) -> list[str]:
        """What is seen."""
        return [line.rstrip() for line in self.screen.display]

    def until(self, words: str) -> None:
        """Look until the words are seen."""
        deadline = time.monotonic() + WAITED
        while not any(words in line for line in self.lines()):
            assert time.monotonic() < deadline, self.lines()
            assert self.read(), self.lines()

    def end(self) -> int:
        """The exit code, once everything that was written is seen."""
        while self.read():
            pass
        self.close()
        return self.process.wait(WAITED)

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP to what runs in it."""
        os.close(self._controller)

    def read(self) -> bool:
        """Take in what comes next; False once the last writer has gone."""
        if not select.select([self._controller], [], [], WAITED)[0]:
            return False
        try:
            chunk = os.read(self._controller, 65536)
        except OSError:  # the last writer has closed a terminal
            return False
        self.written.extend(chunk)
        self.feed.feed(chunk)
        return bool(chunk)


def _take_terminal() -> None:
    """Make the terminal the one that sends the signals of its keys."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("no_colour", [False, True])
def test_the_live_view_is_shown_when_a_run_has_a_terminal(lab: Any, no_colour: bool) -> None:
    """It goes on while the run does, falls in at its end, and leaves the summary; NO_COLOR is honoured."""
    lab.emulator(speed=40)
    manifest = lab.manifest("one", "two", "three", concurrency=2)
    terminal = Terminal(lab, "run", manifest, columns=100, **({"NO_COLOR": "1"} if no_colour else {}))
    terminal.until("videos/one.mp4")
    shown = terminal.lines()
    assert any(line.startswith("shots.yaml → outputs/shots") for line in shown)
    assert any(line.startswith("slots  ") and "in use" in line for line in shown)
    assert terminal.end() == 0
    shown = terminal.lines()
    assert any(line.startswith("█ 3 done") for line in shown)
    assert not any("slowest running" in line for line in shown)
    assert any(line.startswith("pipeline: exit 0: 3 jobs: 3 done") for line in shown)
    assert (b"\x1b[32m" in terminal.written) is not no_colour


def test_the_live_view_fits_when_the_window_is_dragged_smaller(lab: Any) -> None:
    """Ten rows and sixty columns are enough for what matters."""
    lab.emulator(speed=40)
    terminal = Terminal(lab, "run", lab.manifest("one", "two", concurrency=1))
    terminal.until("slowest running")
    terminal.resize(60, 10)
    terminal.until("1/2")
    shown = terminal.lines()
    assert any("in use" in line for line in shown)
    assert sum("shots.yaml → " in line for line in shown) == 1
    assert terminal.end() == 0


@pytest.mark.both_loops
def test_the_screen_is_left_in_order_when_a_person_is_impatient(lab: Any) -> None:
    """Ctrl-C: the view says that it stops, then the summary says what is left and what to type."""
    lab.emulator(speed=5)
    terminal = Terminal(lab, "run", lab.manifest("one", "two", concurrency=1), columns=120)
    terminal.until("1 running")
    terminal.type(b"\x03")
    terminal.until("stopped early: SIGINT received")
    assert terminal.end() == 3
    shown = terminal.lines()
    assert "next, to go on: python -m pipeline run shots.yaml" in shown
    assert any("left: 2 jobs, 1 of them paid for and collected first" in line for line in shown)


def test_no_view_is_shown_when_the_run_is_quiet(lab: Any) -> None:
    """-q leaves the last line alone, on a terminal as well."""
    lab.emulator()
    terminal = Terminal(lab, "run", lab.manifest("one"), "-q", columns=100)
    assert terminal.end() == 0
    assert [line[:42] for line in terminal.lines() if line] == ["pipeline: exit 0: 1 jobs: 1 done, 0 failed"]
    assert b"\x1b" not in terminal.written


def test_every_step_is_told_above_the_view_when_the_run_is_verbose(lab: Any) -> None:
    """-v names each state of each job; the view stays below."""
    lab.emulator()
    terminal = Terminal(lab, "run", lab.manifest("one"), "-v", columns=100, rows=50)
    assert terminal.end() == 0
    shown = "\n".join(terminal.lines())
    steps = ("one: submitting", "one: running, task ", "one: fetching, task ", "one: done, videos/one.mp4", "█ 1 done")
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)


def test_a_sentence_says_so_when_there_is_nothing_to_do(lab: Any) -> None:
    """No view, no warnings, no prices: what there is, where that leads, and the last line."""
    lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest).code == 0
    terminal = Terminal(lab, "run", manifest, columns=120)
    assert terminal.end() == 0
    said = [line for line in terminal.lines() if line]
    assert said[0] == "nothing to do: 1 done"
    assert len(said) == 4


def test_the_run_goes_on_when_the_terminal_is_held(lab: Any) -> None:
    """Ctrl-S holds what is shown, and neither the submits, the questions nor the downloads behind it."""
    lab.emulator()
    manifest = lab.manifest(*(f"wave {number:02}" for number in range(6)), concurrency=2)
    terminal = Terminal(lab, "run", manifest, "-v", columns=200, rows=60)
    terminal.until("wave-00: submitting")
    terminal.type(b"\x13")
    deadline = time.monotonic() + WAITED
    while json.loads(lab.run("status", "outputs/shots", "--json").out)["jobs"]["done"] < 6:
        assert time.monotonic() < deadline
    terminal.type(b"\x11")
    assert terminal.end() == 0
    assert any("pipeline: exit 0: 6 jobs: 6 done" in line for line in terminal.lines())


def test_the_view_is_drawn_below_the_shell_s_words_when_the_run_was_stopped_and_goes_on(lab: Any) -> None:
    """Ctrl-Z and `fg`: the old view stays where it was, and nothing of what came after it is drawn over."""
    lab.emulator(speed=5)
    terminal = Terminal(lab, "run", lab.manifest("one", "two", concurrency=1), rows=60)
    terminal.until("1 running")
    terminal.process.send_signal(signal.SIGSTOP)
    terminal.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + WAITED
    while sum("shots.yaml → " in line for line in terminal.lines()) < 2:
        assert time.monotonic() < deadline
        assert terminal.read()
    terminal.type(b"\x03")
    assert terminal.end() == 3


def test_a_terminal_that_goes_away_ends_nothing_in_disorder(lab: Any) -> None:
    """A closed window is SIGHUP and a dead screen: the run stops in good order all the same."""
    emulator = lab.emulator(speed=5)
    manifest = lab.manifest("one", "two", concurrency=1)
    terminal = Terminal(lab, "run", manifest)
    terminal.until("1 running")
    terminal.close()
    assert terminal.process.wait(WAITED) == 3
    assert lab.run("run", manifest).code == 0
    assert emulator.bought() == {"one": 1, "two": 1}
