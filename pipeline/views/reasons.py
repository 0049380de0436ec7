"""Why jobs failed, and which wait for a decision: a line for each. Pure."""

from pipeline.core.clock import iso
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.views.text import cut, printable

_MESSAGE_CELLS = 120


def failure_line(group: FailureGroup) -> str:
    """One reason: how many, what, and the first job with its message."""
    message = cut(printable(group.message), _MESSAGE_CELLS)
    return f"{group.count:>6,} × {printable(group.code)} at {group.stage}, first {group.job_id}: {message}"


def unknown_line(unknown: UnknownJob) -> str:
    """One job that waits for a decision, with what helps to find its task at the vendor's."""
    facts = [f"sent {iso(unknown.intent_at)}"] if unknown.intent_at else []
    facts += [f"body sha256 {unknown.body_digest[:16]}…"] if unknown.body_digest else []
    facts += [f"our id {printable(unknown.record.external_id)}"] if unknown.record.external_id else []
    facts += [f"task {printable(unknown.record.task.task_id)}"] if unknown.record.task else []
    failure = unknown.record.outcome.failure if unknown.record.outcome else None
    reason = f": {cut(printable(failure.message), _MESSAGE_CELLS)} ({printable(failure.code)})" if failure else ""
    return f"       {unknown.record.job.job_id}, {', '.join(facts)}{reason}"
