"""`report.html` written whole or not at all, from one moment of the ledger, also while a run goes on."""

import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline.core.errors import FolderError, PipelineError
from pipeline.ledger import LedgerReader
from pipeline.views.report.batch import SHOWN, Standing, Told, batch_facts
from pipeline.views.report.cards import CardMaker
from pipeline.views.report.links import FileLinks
from pipeline.views.report.page import HEAD, page
from pipeline.views.whole import is_of_the_batch, is_ours

REPORT_NAME = "report.html"


def write_report(folder: Path, target: Path | None = None) -> Path:
    """Write the report of the batch in a folder, and return where it is: `report.html` in it, or `target`.

    Raises `UsageError` where the folder holds no batch, `FolderError` where nothing can be written, and nothing that
    is no `PipelineError`: who tells of a batch must not be able to fail it.
    """
    path = target or folder / REPORT_NAME
    try:
        _require_room(folder, path)
        _write_whole(path, _pieces(folder, path))
    except PipelineError:
        raise
    except OSError as error:
        raise FolderError(f"{path} cannot be written: {error.strerror or error}") from error
    except Exception as error:
        raise PipelineError(f"{path} was not written: a bug: {type(error).__name__}: {error}") from error
    return path


def _pieces(folder: Path, path: Path) -> Iterable[str]:
    """The page as of now. Only so many jobs are held as the gallery shows, each in few bytes."""
    cards: dict[int, str] = {}
    told, maker = Told(), CardMaker(FileLinks(folder, path))
    with LedgerReader(folder) as reader:
        standing = Standing.of(reader)
        all_shown = sum(standing.counts.values()) <= SHOWN  # then nobody has to ask which are the newest
        wanted = () if all_shown else frozenset(reader.newest(SHOWN))
        for seq, sketch in reader.sketches():
            moment = told.hear(seq, sketch)
            if all_shown or seq in wanted:
                cards[seq] = maker.card(seq, sketch, moment)
    return page(batch_facts(folder, standing, told, at=time.time()), (cards[seq] for seq in sorted(cards)))


def _require_room(folder: Path, path: Path) -> None:
    """Raise `FolderError` where the report would take the place of something that is no report."""
    if path.is_dir():
        raise FolderError(f"{path} is a folder; name a file")
    if is_of_the_batch(path, folder):
        raise FolderError(f"{path} is a place of the batch itself; name another file with -o")
    if not is_ours(path, HEAD):
        raise FolderError(f"{path} is there and is no report of ours; remove it, or name another file with -o")


def _write_whole(path: Path, pieces: Iterable[str]) -> None:
    """Beside the place first, then onto it: whoever opens the report sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # For its owner alone, as the results file is: prompts and prices are nobody else's business until somebody says so.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123 - a descriptor has no path
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
