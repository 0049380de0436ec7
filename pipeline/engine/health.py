"""Whether it is wise to buy now: finished videos must find room, and questions must find answers. Pure."""

from dataclasses import dataclass

from pipeline.core.values import Value


class HealthRules(Value):
    """The limits beyond which submitting pauses."""

    min_free_bytes: int
    max_backlog: int
    status_failures: int = 10
    """Questions in a row, over all tasks, without an answer."""
    download_failures: int = 10
    """Downloads in a row that were given up."""


class Complaint(Value):
    """Why submitting should pause; `reason` is what it is called where the run stops over it."""

    reason: str
    message: str


@dataclass(slots=True)
class Health:
    """What the crew has seen lately."""

    rules: HealthRules
    backlog: int = 0
    """Finished tasks whose videos are not on disk yet."""
    failed_questions: int = 0
    """In a row, over all tasks."""
    failed_downloads: int = 0
    """In a row, over all jobs."""

    def complaint(self, *, free_bytes: int, watched: int) -> Complaint | None:
        """Why submitting should pause now, or None.

        Without a watched task no question is asked, so old failures say nothing any more.
        """
        if free_bytes < self.rules.min_free_bytes:
            return Complaint("disk", f"only {free_bytes / 1e6:,.0f} MB are free for videos")
        if self.backlog > self.rules.max_backlog:
            return Complaint("downloads", f"{self.backlog} finished tasks wait for their download")
        if self.failed_downloads >= self.rules.download_failures:
            return Complaint("downloads", f"{self.failed_downloads} downloads in a row failed")
        if watched and self.failed_questions >= self.rules.status_failures:
            return Complaint("outage", f"{self.failed_questions} status calls in a row failed")
        return None
