"""The emulator over real HTTP: the task API."""

import asyncio
import base64
import io
import socket
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from pipeline.core.errors import UsageError
from pipeline.emulator import Emulator, Scenario, Trouble
from pipeline.emulator.app import MAX_BODY_BYTES

KEY = {"Authorization": "Bearer any"}
BODY = {"model": "Wan-AI/Wan2.2-I2V", "input": {"image_url": "https://example.com/a.jpg", "prompt": "waves"}}
QUICK = {"median_seconds": 1.0, "spread": 0.0, "clips": "tiny"}


class FixedClock:
    """A clock that moves when a test says so."""

    def __init__(self, now: float = 1_760_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def picture(width: int = 64, height: int = 48) -> str:
    target = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(target, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(target.getvalue()).decode()


async def call(emulator: Emulator, method: str, path: str, **options) -> tuple[int, dict]:
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.request(method, emulator.base_url + path, **options) as answer,
    ):
        return answer.status, await answer.json()


async def submit(emulator: Emulator, body: object = None, **options) -> tuple[int, dict]:
    return await call(emulator, "POST", "/v1/tasks/submit", json=BODY if body is None else body, **options)


async def ask(emulator: Emulator, task_id: str) -> dict:
    status, answer = await call(emulator, "GET", "/v1/tasks/status", params={"task_id": task_id})
    assert status == 200
    return answer["output"]


async def test_task_becomes_a_success_when_its_time_has_passed():
    """Submit, ask, ask again: the documented answers from acceptance to the result's URL."""
    clock = FixedClock()
    async with Emulator(Scenario(**QUICK), clock=clock) as emulator:
        status, accepted = await submit(emulator)
        assert status == 200
        assert set(accepted) == {"output", "request_id"}
        task_id = accepted["output"]["task_id"]
        assert len(bytes.fromhex(task_id)) == 16
        assert (await ask(emulator, task_id))["task_status"] == "Running"
        clock.now += 1
        status, done = await call(emulator, "POST", f"/v1/tasks/status?task_id={task_id}", data=b"")
        output = done["output"]
        assert (output["task_status"], output["task_id"], done["usage"]) == ("Success", task_id, {"duration": 5})
        assert (output["submit_time"], output["finish_time"]) == (1_760_000_000, 1_760_000_001)
        assert output["urls"][0].startswith(f"{emulator.results_url}/output/{task_id}.mp4?Expires=")
        assert emulator.statistics().tasks == 1


async def test_task_is_done_in_no_time_when_the_speed_is_high():
    """Speed compresses real time: at a million, fifty seconds are over at once."""
    async with Emulator(Scenario(clips="tiny"), speed=1e6) as emulator:
        task_id = (await submit(emulator))[1]["output"]["task_id"]
        while (answer := await ask(emulator, task_id))["task_status"] != "Success":
            pass
        assert abs(answer["submit_time"] - time.time()) < 10


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "nobody/knows"}, "model_error"),
        ({"model": "Wan-AI/Wan2.2-I2V", "input": {}}, "param_error"),
        (BODY | {"parameters": {"resolution": "4K"}}, "param_error"),
        (BODY | {"input": {"image_url": "https://x/a.jpg", "prompt": "a forbidden emblem"}}, "sensitive_check_error"),
    ],
)
async def test_submit_is_refused_when_the_body_is_wrong(body, code):
    """A wrong body is a 400 in the documented envelope, and no task."""
    async with Emulator() as emulator:
        status, answer = await submit(emulator, body)
        assert (status, answer["error"]["code"]) == (400, code)
        assert set(answer["error"]) == {"message", "type", "param", "code"}
        assert (emulator.statistics().submits, emulator.statistics().tasks) == (1, 0)


async def test_call_is_refused_when_the_key_is_wrong():
    """Without a key, or with a wrong one where one is set, every call is a 401; a bare key is as good as a bearer."""
    async with Emulator(api_key="right") as emulator, aiohttp.ClientSession() as session:
        for header, expected in ((None, 401), ("Bearer wrong", 401), ("Bearer right", 200), ("right", 200)):
            headers = {"Authorization": header} if header else {}
            async with session.get(f"{emulator.base_url}/v1/models", headers=headers) as answer:
                assert answer.status == expected
                assert ("error" in await answer.json()) == (expected == 401)


async def test_models_are_listed_when_asked_for():
    """The list has the shape that the general pages show."""
    async with Emulator() as emulator:
        _, answer = await call(emulator, "GET", "/v1/models")
        assert "Wan-AI/Wan2.2-I2V" in [row["id"] for row in answer["data"]]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tasks/submit"),
        ("POST", "/v2/x"),
        ("GET", "/"),
        ("GET", "/v1/tasks/status?task_id=0"),
        ("GET", "/v1/tasks/status"),
    ],
)
async def test_call_is_a_param_error_when_nothing_is_there(method, path):
    """Unsupported endpoints and unknown tasks are `param_error`s."""
    async with Emulator() as emulator:
        status, answer = await call(emulator, method, path)
        assert (status, answer["error"]["code"]) == (400, "param_error")


async def test_body_is_refused_when_it_is_too_large():
    """A body at the limit is read; one byte more is a 413."""
    async with Emulator() as emulator:
        for extra, expected in ((0, 400), (1, 413)):
            status, _ = await call(
                emulator, "POST", "/v1/tasks/submit", data=io.BytesIO(b" " * (MAX_BODY_BYTES + extra))
            )
            assert status == expected


@pytest.mark.parametrize(
    "value",
    [
        "data:image/png;base64,AAAA",
        "data:image/png;base64,%%%",
        "data:image/png,plain",
        "not base64!",
        picture()[: len(picture()) // 2],
        base64.b64encode(b"\x89PNG\r\n\x1a\n").decode(),
    ],
)
async def test_task_fails_when_its_picture_cannot_be_decoded(value):
    """A damaged picture passes the submit and fails the task, with the documented reason."""
    async with Emulator(Scenario(**QUICK), speed=1e6) as emulator:
        status, answer = await submit(emulator, BODY | {"input": {"image_url": value}})
        assert status == 200
        task_id = answer["output"]["task_id"]
        while (output := await ask(emulator, task_id))["task_status"] == "Running":
            pass
        assert output["task_status"] == "Failure"
        assert output["error_message"] == "code=InvalidParameter, message=invalid image"


@pytest.mark.parametrize("value", [picture(), picture().partition(",")[2], picture(1200, 900)])
async def test_task_runs_when_its_picture_is_in_the_body(value):
    """Data URIs and bare Base64 are both pictures."""
    async with Emulator(Scenario(**QUICK)) as emulator:
        _, answer = await submit(emulator, BODY | {"input": {"image_url": value}})
        assert (await ask(emulator, answer["output"]["task_id"]))["task_status"] == "Running"


@pytest.mark.parametrize(
    ("do", "status", "code"),
    [
        ("rate_limit", 429, "rate_limit"),
        ("auth_error", 401, "auth_error"),
        ("quota", 403, "forbidden"),
        ("ip_refused", 403, "forbidden"),
        ("arrears", 402, None),
        ("timeout", 408, "timeout"),
        ("internal_error", 500, "internal_error"),
        ("model_server_error", 500, "model_server_error"),
        ("unavailable", 503, None),
        ("gateway_timeout_error", 504, "gateway_timeout_error"),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
async def test_submit_is_refused_as_scripted_when_a_rule_meets_it(do, status, code, accepted):
    """Every documented refusal can be played, before a task is made and after."""
    rule = Trouble(at="submit", do=do, accepted=accepted, nth=(2,))
    async with Emulator(Scenario(trouble=(rule,))) as emulator:
        assert (await submit(emulator))[0] == 200
        found, answer = await submit(emulator)
        assert (found, answer["error"]["code"]) == (status, code)
        assert emulator.statistics().tasks == 1 + accepted
        assert (await submit(emulator))[0] == 200


@pytest.mark.parametrize("accepted", [False, True])
async def test_connection_closes_when_the_answer_is_dropped(accepted):
    """A dropped answer is a closed connection; whether a task was made is for the emulator to know."""
    rule = Trouble(at="submit", do="drop", accepted=accepted)
    async with Emulator(Scenario(trouble=(rule,))) as emulator:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await submit(emulator)
        assert emulator.statistics().tasks == accepted


@pytest.mark.parametrize(
    ("do", "status", "beginning"),
    [
        ("html", 200, b"<html>"),
        ("garbage", 200, b'{"output": {"task_'),
        ("empty", 200, b""),
        ("no_task_id", 200, b'{"output":{},'),
        ("redirect", 302, b""),
        ("bad_gateway", 502, b"<html>"),
    ],
)
async def test_answer_is_spoiled_as_scripted_when_a_rule_meets_it(do, status, beginning):
    """Answers that are no answers arrive as they are."""
    rule = Trouble(at="submit", do=do, accepted=True)
    async with Emulator(Scenario(trouble=(rule,))) as emulator, aiohttp.ClientSession(headers=KEY) as session:
        url = f"{emulator.base_url}/v1/tasks/submit"
        async with session.post(url, json=BODY, allow_redirects=False) as answer:
            assert answer.status == status
            assert (await answer.read()).startswith(beginning)
        assert emulator.statistics().tasks == 1


@pytest.mark.parametrize(("form", "seconds"), [("seconds", 7), ("date", 7)])
async def test_pause_is_asked_for_when_a_rule_says_how_long(form, seconds):
    """`Retry-After` comes in both of its forms, and a date is never too early."""
    clock = FixedClock()
    rule = Trouble(at="status", do="rate_limit", retry_after=seconds, retry_after_as=form)
    async with (
        Emulator(Scenario(trouble=(rule,)), clock=clock) as emulator,
        aiohttp.ClientSession(headers=KEY) as session,
        session.get(f"{emulator.base_url}/v1/tasks/status?task_id=x") as answer,
    ):
        assert answer.status == 429
        header = answer.headers["Retry-After"]
        found = int(header) if form == "seconds" else parsedate_to_datetime(header).timestamp() - clock.now
        assert found == seconds


async def test_answer_is_late_when_a_rule_slows_it():
    """A slow answer outlasts an impatient client, and the task exists all the same."""
    rule = Trouble(at="submit", do="slow", seconds=30)
    async with Emulator(Scenario(trouble=(rule,))) as emulator:
        with pytest.raises(asyncio.TimeoutError):
            await submit(emulator, timeout=aiohttp.ClientTimeout(total=0.05))
        assert emulator.statistics().tasks == 1


async def test_tasks_are_known_when_the_emulator_is_started_again(tmp_path):
    """On the same folder the emulator takes the same ports, knows its tasks and honours the links it gave."""
    clock = FixedClock()
    async with Emulator(Scenario(**QUICK), folder=tmp_path, clock=clock) as emulator:
        addresses = (emulator.base_url, emulator.results_url)
        task_id = (await submit(emulator))[1]["output"]["task_id"]
    clock.now += 5
    async with Emulator(Scenario(**QUICK), folder=tmp_path, clock=clock) as emulator:
        assert (emulator.base_url, emulator.results_url) == addresses
        output = await ask(emulator, task_id)
        assert output["task_status"] == "Success"
        url = output["urls"][0]
    async with (
        Emulator(Scenario(**QUICK), folder=tmp_path, clock=clock),
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True)) as answer,
    ):
        assert answer.status == 200


async def test_start_is_refused_when_the_port_is_taken():
    """A taken port is one sentence that names it, and nothing stays open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port}"):
            async with Emulator(port=port):
                pass


async def test_start_is_refused_when_the_speed_is_none():
    """Time has to pass."""
    with pytest.raises(UsageError, match="speed"):
        Emulator(speed=0)
