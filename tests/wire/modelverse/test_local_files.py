"""Local files are read when the job is submitted, and only as the bytes that were checked."""

import base64
import hashlib
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.body import Body
from pipeline.core.errors import RejectedError, TransientError
from pipeline.core.jobs import Job, LocalFile, MediaForm
from pipeline.modelverse.client import MAX_BODY_BYTES, ModelVerseClient
from pipeline.settings import ServiceSettings
from tests.wire.modelverse.parts import JOB, KEY, client_at

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def local(path: Path, field: str, form: MediaForm = MediaForm.DATA_URI, mime: str = "image/png") -> LocalFile:
    content = path.read_bytes()
    return LocalFile(field, str(path), hashlib.sha256(content).hexdigest(), len(content), mime, form)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "beach.png"
    path.write_bytes(PICTURE)
    return path


@pytest.fixture
def job(picture: Path) -> Job:
    return replace(
        JOB, input={"image_url": "beach.png", "prompt": "a wave"}, files=(local(picture, "input.image_url"),)
    )


def sent_by(body: Body) -> dict[str, dict[str, object]]:
    sent: dict[str, dict[str, object]] = json.loads(body.whole())
    return sent


client = client_at("https://api.modelverse.cn")


async def test_the_data_uri_stands_for_the_path_when_a_job_names_a_file(job: Job) -> None:
    """The request carries the bytes; the job still carries the path."""
    body = sent_by(await client.prepare(job))
    text = base64.b64encode(PICTURE).decode()
    assert body["input"] == {"image_url": f"data:image/png;base64,{text}", "prompt": "a wave"}
    assert job.input["image_url"] == "beach.png"


async def test_bare_base64_goes_deep_into_a_list_when_the_model_wants_it(picture: Path) -> None:
    """A path with list positions finds its place, and nothing beside it changes."""
    images = [{"image_url": "https://example.com/1.png"}, {"image_url": "beach.png", "type": "end_frame"}]
    field = "parameters.image_list.1.image_url"
    job = replace(JOB, parameters={"image_list": images}, files=(local(picture, field, MediaForm.BASE64),))
    sent = sent_by(await client.prepare(job))["parameters"]["image_list"]
    assert sent == [images[0], {"image_url": base64.b64encode(PICTURE).decode(), "type": "end_frame"}]
    assert images[1]["image_url"] == "beach.png"


async def test_the_job_is_rejected_unpaid_when_its_file_is_gone(job: Job, picture: Path) -> None:
    """A missing file ends the job before anything is sent, and the message names it."""
    picture.unlink()
    with pytest.raises(RejectedError, match=r"beach\.png") as caught:
        await client.prepare(job)
    assert caught.value.code == "local_file_missing"


@pytest.mark.parametrize("content", [PICTURE[:-1], PICTURE + b"!", PICTURE[:-1] + b"!"], ids=["cut", "grown", "edited"])
async def test_the_job_is_rejected_unpaid_when_its_file_has_changed(job: Job, picture: Path, content: bytes) -> None:
    """Other bytes than the checked ones are another job, which nobody asked for."""
    picture.write_bytes(content)
    with pytest.raises(RejectedError, match=r"beach\.png: the file has changed while the run went on") as caught:
        await client.prepare(job)
    assert caught.value.code == "local_file_changed"


async def test_the_job_is_rejected_unpaid_when_its_file_cannot_be_read(job: Job, picture: Path) -> None:
    """A folder in the file's place is told apart from a missing file."""
    picture.unlink()
    picture.mkdir()
    with pytest.raises(RejectedError, match=r"beach\.png") as caught:
        await client.prepare(job)
    assert caught.value.code == "local_file_unreadable"


async def test_the_job_is_not_at_fault_when_too_many_files_are_open(job: Job) -> None:
    """The next try may read the file; a job that is failed would wait for somebody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(TransientError, match=r"beach\.png: Too many open files") as caught:
            await client.prepare(job)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == "local_file_unreadable"
    assert (await client.prepare(job)).size > len(PICTURE)


async def test_the_job_is_rejected_locally_when_the_request_is_too_large() -> None:
    """A request of exactly the limit is sent; one byte more is not."""
    padding = MAX_BODY_BYTES - (await client.prepare(replace(JOB, input={"prompt": ""}))).size
    assert (await client.prepare(replace(JOB, input={"prompt": "x" * padding}))).size == MAX_BODY_BYTES
    with pytest.raises(RejectedError) as caught:
        await client.prepare(replace(JOB, input={"prompt": "x" * (padding + 1)}))
    assert caught.value.code == "too_large_body"


async def test_a_file_is_not_even_read_when_it_cannot_fit() -> None:
    """The size on record is enough to refuse: Base64 adds a third."""
    huge = LocalFile("input.image_url", "/nowhere/huge.png", "0" * 64, 15_000_001, "image/png", MediaForm.BASE64)
    with pytest.raises(RejectedError) as caught:
        await client.prepare(replace(JOB, files=(huge,)))
    assert caught.value.code == "too_large_body"


async def test_the_job_is_rejected_when_a_text_is_no_unicode() -> None:
    """A half of an emoji ends its job, not the batch."""
    with pytest.raises(RejectedError) as caught:
        await client.prepare(replace(JOB, input={"prompt": "\ud83d"}))
    assert caught.value.code == "not_unicode"


async def test_a_local_first_frame_is_renamed_too_when_the_newer_form_is_set(job: Job) -> None:
    """The setting first_frame_form and a local file go together."""
    newer = ModelVerseClient(ServiceSettings(first_frame_form=True), KEY)
    body = sent_by(await newer.prepare(job))
    assert list(body["input"]) == ["first_frame_url", "prompt"]
    assert str(body["input"]["first_frame_url"]).startswith("data:image/png;base64,")
