"""The report of a batch, live on this machine's own address while the batch runs."""

from pipeline.views.watch.server import Watch

__all__ = ["Watch"]
