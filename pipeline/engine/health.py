"""Whether it is wise to buy now: finished videos must find room, and questions must find answers. Pure."""

from dataclasses import dataclass

from pipeline.core.values import Value


class HealthRules(Value):
    """The limits beyond which submitting pauses."""

    min_free_bytes: int
    max_backlog: int
    status_failures: int = 10
    """Questions in a row, over all tasks, without an answer."""


@dataclass(slots=True)
class Health:
    """What the crew has seen lately."""

    rules: HealthRules
    backlog: int = 0
    """Finished tasks whose videos are not on disk yet."""
    failed_questions: int = 0
    """In a row, over all tasks."""

    def complaint(self, *, free_bytes: int, watched: int) -> str | None:
        """Why submitting should pause now, or None.

        Without a watched task no question is asked, so old failures say nothing any more.
        """
        if free_bytes < self.rules.min_free_bytes:
            return f"only {free_bytes / 1e6:,.0f} MB are free for videos"
        if self.backlog > self.rules.max_backlog:
            return f"{self.backlog} finished tasks wait for their download"
        if watched and self.failed_questions >= self.rules.status_failures:
            return f"{self.failed_questions} status calls in a row failed"
        return None
