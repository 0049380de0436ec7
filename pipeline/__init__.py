"""A manifest of video jobs in, finished videos and a results file out.

From a program:

    async with pipeline.run("shots.yaml") as batch:
        async for result in batch:
            print(result.job_id, result.status, *result.files)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as below, for readers and type checkers; nothing heavy is imported at start
    from pipeline.api import Result, Run, run
    from pipeline.core.errors import PipelineError
    from pipeline.engine.batch import Summary
    from pipeline.manifest import Manifest, open_manifest
    from pipeline.settings import Settings

__version__ = "0.1.0"

__all__ = ["Manifest", "PipelineError", "Result", "Run", "Settings", "Summary", "__version__", "open_manifest", "run"]

_HOMES = {
    "Manifest": "pipeline.manifest",
    "PipelineError": "pipeline.core.errors",
    "Result": "pipeline.api",
    "Run": "pipeline.api",
    "Settings": "pipeline.settings",
    "Summary": "pipeline.engine.batch",
    "open_manifest": "pipeline.manifest",
    "run": "pipeline.api",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
