"""The report of a batch: one HTML file with its figures, its charts and its videos, which needs no network."""

from pipeline.views.report.writing import REPORT_NAME, write_report

__all__ = ["REPORT_NAME", "write_report"]
