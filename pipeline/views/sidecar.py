"""A JSON file beside each video that says where it comes from: `videos/wave-01.mp4.json`. The video is untouched."""

import hashlib
import json
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline import __version__
from pipeline.core.clock import iso
from pipeline.core.jobs import JobState, StoredFile
from pipeline.ledger import LedgerReader, Story
from pipeline.ledger.codec import steerless, to_json, to_strict_json
from pipeline.views.whole import is_ours, write_whole

KIND = "video-batch-pipeline/sidecar"
SCHEMA = 1
SUFFIX = ".json"

_MODE = 0o600
"""Like the ledger's: it tells what was bought, and with which words."""
_HEAD = b'{\n  "kind": "' + KIND.encode() + b'"'
"""How every sidecar begins: anything else under its name is somebody else's."""
_LONGEST_DATA = 1000
"""Characters of a data URI that stands in a manifest; of a longer one, its digest is kept."""


# -- what it says: pure ------------------------------------------------------------------------------------------------


def sidecar_text(story: Story, file: StoredFile) -> str:
    """The sidecar of one video of a job that is done; on many lines, with nothing in it that steers a terminal."""
    plain = json.loads(to_strict_json(to_json(_facts(story, file))))
    return steerless(json.dumps(plain, ensure_ascii=False, indent=2)) + "\n"


def _facts(story: Story, file: StoredFile) -> dict[str, Any]:
    job, task, report = story.record.job, story.record.task, story.record.report
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "tool": {"name": "video-batch-pipeline", "version": __version__},
        "job_id": job.job_id,
        "attempt": story.record.attempt,
        "file": {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "url": without_query(file.url)},
        "request": {
            "model": job.model,
            "input": _brief(job.input),
            "parameters": _brief(job.parameters),
            "local_files": [
                {"field": one.field, "path": one.path, "sha256": one.sha256, "bytes": one.bytes} for one in job.files
            ],
            "digest": job.digest,
        },
        "task": {
            "task_id": task.task_id if task else None,
            "request_id": task.request_id if task else None,
            "service": task.base_url if task else None,
            "usage": report.usage if report else None,
        },
        "times": {
            "sent_at": iso(story.intent_at),
            "submitted_at": iso(story.record.submitted_at),
            "service_submit_time": iso(report.submit_time) if report else None,
            "service_finish_time": iso(report.finish_time) if report else None,
            "noticed_at": iso(story.noticed_at),
            "downloaded_at": iso(story.moved_at),
        },
        "cost": story.cost,
        "source": {"file": job.source.file, "line": job.source.line},
        "metadata": job.metadata,
    }


def without_query(url: str) -> str:
    """Scheme, host and path: what follows is a signature, which opens the file to whoever reads it."""
    try:
        split = urlsplit(url)
        port = f":{split.port}" if split.port else ""
    except ValueError:
        return ""
    return f"{split.scheme}://{split.hostname}{port}{split.path}"


def _brief(value: Any) -> Any:
    """The value, with the digest of a picture in the place of a picture."""
    if isinstance(value, str) and len(value) > _LONGEST_DATA and value.startswith("data:"):
        digest = hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
        return f"{value.partition(',')[0][:100]},… ({len(value)} characters, sha256 {digest})"
    if isinstance(value, Mapping):
        return {name: _brief(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_brief(one) for one in value]
    return value


# -- on disk -----------------------------------------------------------------------------------------------------------


def write_for(folder: Path, job_ids: Iterable[str], complain: Callable[[str], None]) -> None:
    """Write the sidecars of those of the jobs that are done, whatever is there of an earlier attempt.

    Raises `LedgerError`; what one file meets is told by `complain`.
    """
    with LedgerReader(folder) as reader:
        for job_id in job_ids:
            story = reader.story(job_id)
            if story is not None and story.record.state is JobState.DONE and story.record.outcome is not None:
                for file in story.record.outcome.files:
                    _write(folder, story, file, complain)


def missing(folder: Path, ended: Callable[[], bool]) -> list[str]:
    """The jobs that are done and lack a sidecar, or have one of an earlier video; stops looking once `ended`.

    Only a sidecar that is older than its video is looked into. Raises `LedgerError`.
    """
    found: dict[str, None] = {}
    with LedgerReader(folder) as reader:
        for job_id, file in reader.files():
            if ended():
                break
            if _is_missing(folder / file.path, file):
                found[job_id] = None
    return list(found)


def _is_missing(video: Path, file: StoredFile) -> bool:
    sidecar = video.with_name(video.name + SUFFIX)
    try:
        seen = sidecar.lstat()
    except FileNotFoundError:
        return video.exists()
    except OSError:
        return False
    if not stat.S_ISREG(seen.st_mode):
        return False
    try:
        stale = seen.st_mtime_ns < video.stat().st_mtime_ns
    except OSError:
        return False
    return seen.st_size == 0 or (stale and is_ours(sidecar, _HEAD) and not _tells_of(sidecar, file))


def _tells_of(sidecar: Path, file: StoredFile) -> bool:
    try:
        return bool(json.loads(sidecar.read_bytes())["file"]["sha256"] == file.sha256)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _write(folder: Path, story: Story, file: StoredFile, complain: Callable[[str], None]) -> None:
    video = folder / file.path
    sidecar = video.with_name(video.name + SUFFIX)
    try:
        if not is_ours(sidecar, _HEAD):
            complain(f"{file.path}{SUFFIX} is there and is no sidecar of ours; it stays as it is")
            return
        write_whole(sidecar, sidecar_text(story, file).encode(), mode=_MODE, durable=True)
    except OSError as error:
        complain(f"{file.path}{SUFFIX} cannot be written: {error.strerror or error}")
