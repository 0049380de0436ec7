"""What must be true after any crash, looked at from outside: the service's own book, the files, the commands' words."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.ledger import rebuild

FOLDER = "outputs/shots"
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def finish(lab: Any, command: Sequence[object], prompts: Sequence[str], bought: Callable[[], Counter[str]]) -> set[str]:
    """Run the ordinary command to the end of the batch, and assert the promises; returns the jobs that were unknown.

    `bought` counts, by prompt, the tasks that the service accepted. Every job of the batch can succeed.
    """
    ended = lab.run(*command)
    unknown = unknown_jobs(lab)
    assert ended.code == (5 if unknown else 0), ended.out + ended.err
    paid = {prompt.replace(" ", "-"): bought()[prompt] for prompt in prompts}
    assert all(paid[job] == 1 for job in paid if job not in unknown), paid
    assert all(paid[job] <= 1 for job in unknown), paid
    if unknown:
        again = lab.run(*command, "--resubmit-unknown")
        assert again.code == 0, again.out + again.err
        assert bought() == {prompt: paid[job] + (job in unknown) for job, prompt in zip(paid, prompts, strict=True)}
    check_results(lab, {job: 1 + (job in unknown) for job in paid})
    check_folder(lab, len(prompts))
    return unknown


def unknown_jobs(lab: Any) -> set[str]:
    """The jobs that wait for a decision, each listed with what is known of its paid request."""
    listed = json.loads(lab.run("status", FOLDER, "--json").out)["unknown"]
    shown = lab.run("status", FOLDER).out if listed else ""
    for job in listed:
        assert _STAMP.fullmatch(job["sent_at"])
        assert re.fullmatch("[0-9a-f]{64}", job["body_sha256"])
        assert job["error"]["code"]
        assert f"{job['job_id']}, sent {job['sent_at']}, body sha256 {job['body_sha256'][:16]}…" in shown
        assert job["error"]["message"][:60] in shown
    return {job["job_id"] for job in listed}


def check_results(lab: Any, attempts: dict[str, int]) -> None:
    """One line for every attempt that ended, the last of each job a success, and all as the ledger has them."""
    file = lab.path / FOLDER / "results.jsonl"
    found = Counter((line["job_id"], line["attempts"], line["status"]) for line in lab.results())
    wanted = [(job, number, "unknown") for job, last in attempts.items() for number in range(1, last)]
    wanted += [(job, last, "succeeded") for job, last in attempts.items()]
    assert found == Counter(wanted)
    before = file.read_bytes()
    rebuild(file.parent)
    assert file.read_bytes() == before


def check_folder(lab: Any, videos: int) -> None:
    """Every file is what its record says, and nothing unfinished is left."""
    verified = lab.run("verify", FOLDER)
    assert re.fullmatch(rf"{FOLDER}: {videos} files? checked, 0 differ from the record\n", verified.out), verified.out
    assert list((lab.path / FOLDER / "videos/.parts").iterdir()) == []
    assert len(list((lab.path / FOLDER / "videos").glob("*.mp4"))) == videos
