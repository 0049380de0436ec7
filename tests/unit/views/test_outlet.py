"""Words leave without making anybody wait."""

import io
import os
import pty
import threading
from typing import TextIO

import pytest

from pipeline.views.outlet import Outlet


class Pipe:
    """A pipe whose reading end is in the test's hands."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream: TextIO = os.fdopen(writing, "w")

    def read_all(self) -> bytes:
        self.stream.close()
        with os.fdopen(self.reading, "rb") as file:
            return file.read()


def test_words_arrive_whole_and_in_order_when_they_are_written() -> None:
    """Closing waits for all that was written, and leaves the stream open."""
    pipe = Pipe()
    outlet = Outlet(pipe.stream)
    for number in range(1000):
        outlet.write(f"line {number}\n")
    outlet.close()
    assert not outlet.busy
    pipe.stream.write("after\n")
    assert pipe.read_all().decode().splitlines() == [*(f"line {number}" for number in range(1000)), "after"]


def test_nobody_waits_when_the_reader_takes_nothing() -> None:
    """A full pipe, or a terminal that is held: `write` returns at once, the end gives up, what came is still there."""
    pipe = Pipe()
    outlet = Outlet(pipe.stream)
    outlet.write("x" * 1_000_000)
    outlet.write("more")
    assert outlet.busy
    outlet.close(patience=0.0)
    assert outlet.busy
    got = b""
    while len(got) < 1_000_004:
        got += os.read(pipe.reading, 65536)
    assert got.endswith(b"xmore")
    assert pipe.read_all() == b""


def test_words_still_arrive_when_they_come_after_the_end() -> None:
    """What happens beside a run may fail after its screen was closed, and is told all the same."""
    pipe = Pipe()
    outlet = Outlet(pipe.stream)
    for words in ("one\n", "two\n", "three\n"):
        outlet.write(words)
        outlet.close()
    assert pipe.read_all() == b"one\ntwo\nthree\n"


def test_what_is_lost_is_counted_when_too_much_waits() -> None:
    """Memory is bounded: beyond it, words are dropped, and their number is told as soon as there is room again."""
    pipe = Pipe()
    outlet = Outlet(pipe.stream, most=200_000)
    outlet.write("x" * 190_000)
    for _ in range(3):
        outlet.write("y" * 150_000)
    got = b""
    while len(got) < 190_000:
        got += os.read(pipe.reading, 65536)
    outlet.write("room again\n")
    outlet.close()
    assert pipe.read_all() == b"3 pieces of this log are lost, because nobody took them\nroom again\n"


def test_a_run_goes_on_when_the_reader_went_away() -> None:
    """A closed pipe is nobody's problem, and nothing waits for it."""
    pipe = Pipe()
    os.close(pipe.reading)
    outlet = Outlet(pipe.stream)
    for _ in range(2):
        outlet.write("words\n")
        outlet.close()
        assert not outlet.busy
    pipe.stream.close()


def test_a_terminal_that_is_non_blocking_gets_everything_when_it_is_slow() -> None:
    """Some program may have left it so."""
    controller, terminal = pty.openpty()
    os.set_blocking(terminal, False)
    stream = os.fdopen(terminal, "w")
    outlet = Outlet(stream)
    outlet.write("x" * 200_000)
    got = bytearray()

    def read() -> None:
        while len(got) < 200_000:
            got.extend(os.read(controller, 65536))

    reader = threading.Thread(target=read)
    reader.start()
    outlet.close()
    reader.join(10)
    assert bytes(got) == b"x" * 200_000
    stream.close()
    os.close(controller)


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_run_goes_on_when_a_stream_without_a_file_breaks(error: type[Exception]) -> None:
    """Such a stream is written to directly, and its trouble stays its own."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise error

        def flush(self) -> None:
            raise error

    outlet = Outlet(Broken())
    outlet.write("words")
    outlet.flush()
    outlet.close()


def test_words_take_the_stream_s_own_form_when_it_knows_few_characters() -> None:
    """The encoding and what stands for the rest are the stream's."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="ascii", errors="backslashreplace")
    outlet = Outlet(stream)
    outlet.write("视\n")
    outlet.close()
    stream.close()
    with os.fdopen(reading, "rb") as file:
        assert file.read() == b"\\u89c6\n"
