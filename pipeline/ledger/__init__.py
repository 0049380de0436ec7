"""The only truth about a batch: one SQLite file per output folder, and results.jsonl as an export of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as below, for type checkers: whoever only looks waits for nothing that writes
    from pipeline.ledger.enrolment import ChangedJob, Enrolment, OnChanged, Reading
    from pipeline.ledger.ledger import Ledger
    from pipeline.ledger.overview import PRICES_KEY, FailureGroup, Overview, Run, UnknownJob
    from pipeline.ledger.purchases import Kept
    from pipeline.ledger.queries import Known, Story, Waiting
    from pipeline.ledger.reader import LedgerReader
    from pipeline.ledger.results import RESULTS_NAME, rebuild, refuse_orphans
    from pipeline.ledger.schema import LEDGER_NAME
    from pipeline.ledger.sketches import Sketch
    from pipeline.ledger.transitions import LedgerConflictError, Recovery
    from pipeline.ledger.writer import Committer, InlineCommitter

__all__ = [
    "LEDGER_NAME",
    "PRICES_KEY",
    "RESULTS_NAME",
    "ChangedJob",
    "Committer",
    "Enrolment",
    "FailureGroup",
    "InlineCommitter",
    "Kept",
    "Known",
    "Ledger",
    "LedgerConflictError",
    "LedgerReader",
    "OnChanged",
    "Overview",
    "Reading",
    "Recovery",
    "Run",
    "Sketch",
    "Story",
    "UnknownJob",
    "Waiting",
    "rebuild",
    "refuse_orphans",
]

_HOMES = {
    "ChangedJob": "pipeline.ledger.enrolment",
    "Committer": "pipeline.ledger.writer",
    "Enrolment": "pipeline.ledger.enrolment",
    "FailureGroup": "pipeline.ledger.overview",
    "InlineCommitter": "pipeline.ledger.writer",
    "Kept": "pipeline.ledger.purchases",
    "Known": "pipeline.ledger.queries",
    "LEDGER_NAME": "pipeline.ledger.schema",
    "Ledger": "pipeline.ledger.ledger",
    "LedgerConflictError": "pipeline.ledger.transitions",
    "LedgerReader": "pipeline.ledger.reader",
    "OnChanged": "pipeline.ledger.enrolment",
    "Overview": "pipeline.ledger.overview",
    "PRICES_KEY": "pipeline.ledger.overview",
    "RESULTS_NAME": "pipeline.ledger.results",
    "Reading": "pipeline.ledger.enrolment",
    "Recovery": "pipeline.ledger.transitions",
    "Run": "pipeline.ledger.overview",
    "Sketch": "pipeline.ledger.sketches",
    "Story": "pipeline.ledger.queries",
    "UnknownJob": "pipeline.ledger.overview",
    "Waiting": "pipeline.ledger.queries",
    "rebuild": "pipeline.ledger.results",
    "refuse_orphans": "pipeline.ledger.results",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline.ledger' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
