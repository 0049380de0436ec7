"""A look-up by the caller's id: what counts as a task, what as its absence, and what as no answer at all."""

from typing import Any

import pytest

from pipeline.core.errors import TransientError
from pipeline.core.jobs import Task
from tests.wire.modelverse.parts import client_of
from tests.wire.servers import ScriptedServer, reply

OURS = "vbp-0123"


@pytest.mark.parametrize(
    ("output", "task_id"),
    [
        ({"task_id": "t-1", "task_status": "Running"}, "t-1"),
        ({"task_id": "t-1", "task_status": "Preparing"}, "t-1"),
        ({"task_id": "t-1", "task_status": ""}, "t-1"),
        ({"task_id": "t-1"}, "t-1"),
        ({"task_id": None, "task_status": "Preparing"}, OURS),
        ({"task_status": "Pending"}, OURS),
    ],
)
async def test_a_task_is_found_when_the_answer_names_its_id_or_any_status(output: dict[str, Any], task_id: str) -> None:
    """§6: a word that nobody documented is no end, and the task behind it has been paid for."""
    answer = reply(200, {"output": output, "request_id": "r-1"})
    async with ScriptedServer([answer]) as server, client_of(server) as client:
        assert await client.find(OURS, server.url) == Task(task_id, server.url, "r-1")


@pytest.mark.parametrize("http_status", [400, 404])
async def test_a_task_is_absent_when_the_service_refuses_to_know_it(http_status: int) -> None:
    """Absence is said by a refusal of the question, and by nothing else."""
    refusal = {"error": {"code": "param_error", "message": "no such task"}}
    async with ScriptedServer([reply(http_status, refusal)]) as server, client_of(server) as client:
        assert await client.find(OURS, server.url) is None


@pytest.mark.parametrize(
    "body", [{"output": {}}, {"output": {"task_id": None, "task_status": None}}, {}, {"output": 1}]
)
async def test_nothing_is_known_when_the_answer_has_neither_a_task_id_nor_a_status(body: dict[str, Any]) -> None:
    """Such an answer is neither a find nor an absence: it is asked again."""
    async with ScriptedServer([reply(200, body)]) as server, client_of(server) as client:
        with pytest.raises(TransientError) as caught:
            await client.find(OURS, server.url)
        assert caught.value.code == "no_status"


async def test_the_host_that_may_have_the_task_is_asked_when_the_endpoint_is_another() -> None:
    """Nobody says that a task is known at two hosts: an absence at the wrong one would buy it again."""
    there = reply(200, {"output": {"task_id": "t-1", "task_status": "Running"}})
    async with ScriptedServer([there]) as old, ScriptedServer([]) as new, client_of(new) as client:
        assert await client.find(OURS, old.url) == Task("t-1", old.url)
        assert new.connections == 0
