"""The API key: whatever the service says back, it stands in no output and in no file.

Every other test here runs with a known key too, and the lab searches all that was written and printed at its end.
"""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.process.aftermath import FOLDER
from tests.process.conftest import SECRET, reveals
from tests.process.double import Double, honest, make_video, send

KEY = "sk-0f/ee+19=AbC_d~7.e"
"""With the characters that JSON and URLs like to escape."""
VIDEO = make_video(50_000)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "JSON with solidus": lambda key: key.replace("/", "\\/"),
    "JSON in code points": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "URL": lambda key: quote(key, safe=""),
    "URL whole": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "URL twice": lambda key: quote(quote(key, safe=""), safe=""),
    "HTML": lambda key: "".join(f"&#{ord(char)};" for char in key),
}


@pytest.fixture
def keyed(lab: Any) -> Any:
    """A lab whose key is hard to hide, and that looks for it at its end."""
    lab.secret = lab.environment["MODELVERSE_API_KEY"] = KEY
    return lab


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_the_search_finds_the_key_when_it_is_spelt_differently(spelling: Callable[[str], str]) -> None:
    """The check at the end of every test here bites."""
    assert reveals(f"…{spelling(KEY)}…".encode(), KEY)
    assert reveals(f"…{spelling(SECRET)}…".encode(), SECRET)
    assert not reveals(f"…{spelling(KEY[:-1])}…".encode(), KEY)


# -- a service that says it back ---------------------------------------------------------------------------------------


def in_a_refusal(status: int, code: str, spelling: Callable[[str], str]) -> Callable[[Any], None]:
    """The documented error envelope with the key in each of its texts, written by hand."""

    def answer(handler: Any) -> None:
        told = spelling(handler.headers["Authorization"].removeprefix("Bearer "))
        text = f'{{"error": {{"message": "bad key {told}", "type": "{told}", "param": "{told}", "code": "{code}"}}}}'
        send(handler, status, text.encode(), Location=f"https://example.com/?key={quote(told, safe='%')}")

    return answer


def as_a_page(handler: Any) -> None:
    """Not JSON at all."""
    send(handler, 502, f"<html>{dict(handler.headers)}</html>".encode())


SAYING = {
    "refused job": (in_a_refusal(400, "param_error", SPELLINGS["as it is"]), 1),
    "refused key": (in_a_refusal(401, "auth_error", SPELLINGS["as it is"]), 4),
    "solidus": (in_a_refusal(400, "param_error", SPELLINGS["JSON with solidus"]), 1),
    "code points": (in_a_refusal(400, "param_error", SPELLINGS["JSON in code points"]), 1),
    "in a URL": (in_a_refusal(400, "param_error", SPELLINGS["URL"]), 1),
    "own code": (in_a_refusal(400, KEY, SPELLINGS["as it is"]), 1),
    "redirect": (in_a_refusal(302, "", SPELLINGS["as it is"]), 4),
    "page": (as_a_page, 5),
}


@pytest.mark.parametrize(("saying", "code"), SAYING.values(), ids=SAYING)
def test_the_key_is_masked_when_a_submit_is_answered_with_it(keyed: Any, saying: Any, code: int) -> None:
    """An error that quotes the request is shown without the key."""
    with Double(honest(VIDEO)) as double:
        double.submit = saying
        keyed.environment["MODELVERSE_ENDPOINT"] = double.url
        ended = keyed.run("run", keyed.manifest("wave"), "-v")
    assert ended.code == code, ended.out + ended.err
    assert "***" in ended.out + keyed.run("status", FOLDER).out + ended.err


@pytest.mark.parametrize("place", ["task_id", "request_id", "error_message", "task_status", "urls", "usage", "extra"])
def test_the_key_is_masked_when_a_task_carries_it(keyed: Any, place: str) -> None:
    """Wherever the service puts it: ids, words and links of a task go into the ledger, the results and the log."""
    with Double(honest(VIDEO)) as double:
        double.spoil = lambda answer: _planted(answer, place)
        keyed.environment["MODELVERSE_ENDPOINT"] = double.url
        ended = keyed.run("run", keyed.manifest("wave", task_timeout=0.3), "-v", "--log-format", "json")
        keyed.run("results", FOLDER)
        keyed.run("status", FOLDER)
    assert ended.code in {0, 1, 3, 5}


def _planted(answer: dict[str, Any], place: str) -> dict[str, Any]:
    output = answer["output"]
    match place:
        case "request_id" | "extra":
            return answer | {place: KEY}
        case "usage":
            return answer | {"usage": {"duration": 5, KEY: KEY}}
        case "urls" if "urls" in output:
            return answer | {"output": output | {"urls": [f"{url}?key={quote(KEY)}" for url in output["urls"]]}}
        case "error_message" if "urls" in output:
            return answer | {"output": output | {"task_status": "Failure", "error_message": f"bad {KEY}"}}
        case "task_id" | "task_status" if place in output:
            return answer | {"output": output | {place: f"x-{KEY}"}}
        case _:
            return answer


# -- this machine ------------------------------------------------------------------------------------------------------


def test_the_key_is_not_quoted_when_it_cannot_be_one(lab: Any) -> None:
    """A key with a slip of the hand in it is still the key."""
    lab.manifest("wave")
    (lab.path / "key").write_text(f"{SECRET} {SECRET}\n")
    for arguments in ((), ("--api-key-file", "key")):
        ended = lab.run("run", "shots.yaml", *arguments, MODELVERSE_API_KEY=f"{SECRET}\u00a0{SECRET}")
        assert (ended.code, "does not hold a key" in ended.err) == (2, True)
    (lab.path / "key").unlink()


def test_no_core_is_dumped_when_the_process_is_killed(lab: Any) -> None:
    """A core dump would hold the key: the process forbids itself one, and shows none in its arguments."""
    lab.emulator(trouble=[{"at": "task", "do": "stick"}])
    process = lab.start("run", lab.manifest("wave"), "--log-format", "json")
    assert process.wait_for(lambda event: event.get("state") == "running")
    system = Path(f"/proc/{process.pid}")
    if not system.exists():
        pytest.skip("this system does not show the limits of a process")
    assert re.search(r"^Max core file size +0 +0 ", (system / "limits").read_text(), re.MULTILINE)
    assert not reveals((system / "cmdline").read_bytes(), SECRET)
    assert process.end(signal.SIGABRT) == -signal.SIGABRT
    assert not list(lab.path.rglob("core*"))


def everything_is_public() -> None:
    """A umask that hides nothing."""
    os.umask(0)


def test_every_file_is_its_owners_alone_when_it_tells_what_was_bought(lab: Any) -> None:
    """Ledger, results and lock are not for other users, whatever the umask says."""
    lab.emulator()
    assert lab.run("run", lab.manifest("wave"), limits=everything_is_public).code == 0
    for name in ("ledger.sqlite3", "results.jsonl", ".lock"):
        assert (lab.path / FOLDER / name).stat().st_mode & 0o077 == 0, name
    assert json.loads((lab.path / FOLDER / "results.jsonl").read_text())["job_id"] == "wave"
