"""The commands that show a batch in a browser, as somebody types them."""

import json
import re
import signal
import socket
import urllib.request
from typing import Any

import pytest

FOLDER = "outputs/shots"


def test_the_report_is_written_when_it_is_asked_for(lab: Any) -> None:
    """Its path is printed; it can go elsewhere; nothing of it holds the key or where a result came from."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "a forbidden emblem")).code == 1
    written = lab.run("report", FOLDER)
    assert (written.code, written.out) == (0, f"{FOLDER}/report.html\n")
    elsewhere = lab.run("report", FOLDER, "-o", "monday.html")
    assert (elsewhere.code, elsewhere.out) == (0, "monday.html\n")
    text = (lab.path / "monday.html").read_text()
    assert f'"{FOLDER}/videos/one.mp4"' in text
    url = next(line["files"][0]["url"] for line in lab.results() if line["files"])
    assert url.partition("?")[0] not in text


def test_one_sentence_says_so_when_there_is_no_batch(lab: Any) -> None:
    """A wrong folder is bad usage, and stays as it is."""
    ended = lab.run("report", "nowhere")
    assert ended.code == 2
    assert ended.err.startswith("pipeline: nowhere: no batch here")
    assert not (lab.path / "nowhere").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_in_good_order_when_it_is_asked_to(lab: Any, number: signal.Signals) -> None:
    """It says where it is, serves before, during and after a run, writes nothing, and ends with 0 at once."""
    lab.emulator()
    process = lab.start("watch", FOLDER)
    found = re.fullmatch(
        rb"watching outputs/shots \(no batch there yet\): (http://127.0.0.1:\d+/)\n", process.output.next()
    )
    assert found
    url = found[1].decode()
    assert b'"key":"shots"' in urllib.request.urlopen(url, timeout=10).read()
    assert not (lab.path / FOLDER).exists()
    assert lab.run("run", lab.manifest("one"), "--no-report").code == 0
    events = urllib.request.urlopen(f"{url}events", timeout=10)
    assert b"anew" in events.read()
    assert process.end(number) == 0
    assert not (lab.path / FOLDER / "report.html").exists()
    assert process.log.whole() == b""


@pytest.mark.parametrize("command", [("watch", FOLDER), ("emulator",)])
def test_a_server_keeps_quiet_when_somebody_sends_nonsense(lab: Any, command: tuple[str, ...]) -> None:
    """A request that is none, or that breaks off, is its sender's trouble; the terminal shows nothing of it."""
    process = lab.start(*command)
    found = None
    while not found:
        found = re.search(rb"http://127.0.0.1:(\d+)", process.output.next())
    for request in (b"\0\xff\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/9.9\r\nHost: a\r\nHost: b\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=10) as sender:
            sender.sendall(request)
            assert b" 400 " in sender.makefile("rb").readline()
    assert process.end(signal.SIGTERM) == 0
    assert process.log.whole() == b""


def test_one_sentence_says_so_when_a_port_is_taken(lab: Any) -> None:
    """Exit 2, with the mend; so does a number that is no port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = lab.run("watch", ".", "--port", port)
    assert ended.code == 2
    assert re.fullmatch(rf"pipeline: port {port} cannot be used: .*; choose another with --port\n", ended.err)
    assert lab.run("watch", ".", "--port", 70000).code == 2


def test_the_batch_block_can_be_read_when_another_program_wants_it(lab: Any) -> None:
    """What the page knows of the batch stands in it as plain JSON."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one")).code == 0
    assert lab.run("report", FOLDER).code == 0
    found = re.search(r'id="batch">(.*?)</script>', (lab.path / FOLDER / "report.html").read_text())
    assert found
    assert json.loads(found[1])["counts"]["done"] == 1
