"""How long to wait before an unpaid call is made again. Pure."""

import random

from pipeline.core.values import Value, made


class Backoff(Value):
    """Doubling delays with a ceiling; the capped value is randomised, so that clients at the ceiling still spread."""

    first: float = 1.0
    maximum: float = 60.0
    rng: random.Random = made(default_factory=random.Random)

    def delay(self, failures: int, at_least: float = 0.0) -> float:
        """Seconds before the next call, after `failures` (from 1) failures in a row.

        Between half of the capped delay and all of it, and never shorter than `at_least`.
        """
        capped = min(self.maximum, self.first * 2.0 ** min(failures - 1, 64))
        return max(at_least, capped * self.rng.uniform(0.5, 1.0))
