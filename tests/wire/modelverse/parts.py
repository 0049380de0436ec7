"""What the tests of the client share: a job, usual answers, and a client of a scripted server."""

from pipeline.core.body import Body
from pipeline.core.jobs import Job, Source, Task
from pipeline.modelverse.client import ModelVerseClient
from pipeline.settings import ServiceSettings
from tests.wire.servers import ScriptedServer, reply

KEY = "sk-Kept/Secret+0123456789"

JOB = Job(
    job_id="wave-01",
    digest="0" * 64,
    model="Wan-AI/Wan2.2-I2V",
    input={"image_url": "https://example.com/beach.jpg", "prompt": "the surfer waves at the camera"},
    parameters={"resolution": "480P"},
    output="wave-01.mp4",
    source=Source("shots.yaml", 3),
)

BODY = Body.of(b"{}")

ACCEPTED = reply(200, {"output": {"task_id": "t-1"}, "request_id": "r-1"})
RUNNING = reply(200, {"output": {"task_id": "t-1", "task_status": "Running"}})


def client_of(server: ScriptedServer, **settings: float) -> ModelVerseClient:
    """A client whose endpoint is the server; `settings` as in `ServiceSettings`, in seconds."""
    return client_at(server.url, **settings)


def client_at(endpoint: str, **settings: float) -> ModelVerseClient:
    seconds = {"connect_timeout": 5.0, "submit_timeout": 5.0, "status_timeout": 5.0} | settings
    return ModelVerseClient(ServiceSettings(endpoint=endpoint, **seconds), KEY)  # type: ignore[arg-type] # only seconds


def task_of(server: ScriptedServer) -> Task:
    return Task("t-1", server.url)
