"""The only truth about a batch: one SQLite file per output folder, and results.jsonl as an export of it."""

from pipeline.ledger.enrolment import ChangedJob, Enrolment, OnChanged
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.queries import FailureGroup, Run, UnknownJob
from pipeline.ledger.reader import LedgerReader
from pipeline.ledger.results import RESULTS_NAME, rebuild
from pipeline.ledger.schema import LEDGER_NAME
from pipeline.ledger.transitions import LedgerConflictError, Recovery
from pipeline.ledger.writer import Committer, InlineCommitter

__all__ = [
    "LEDGER_NAME",
    "RESULTS_NAME",
    "ChangedJob",
    "Committer",
    "Enrolment",
    "FailureGroup",
    "InlineCommitter",
    "Ledger",
    "LedgerConflictError",
    "LedgerReader",
    "OnChanged",
    "Recovery",
    "Run",
    "UnknownJob",
    "rebuild",
]
