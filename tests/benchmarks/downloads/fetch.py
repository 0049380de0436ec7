"""The product's video store, fetching many videos at once, with or without what vouches for a file.

    python -m tests.benchmarks.downloads.fetch BASE COUNT FOLDER [hash] [flush]

Prints JSON: seconds and CPU seconds from the first request to the last file, without starting Python.
"""

import asyncio
import json
import sys
from pathlib import Path

from pipeline.settings import FetchSettings
from pipeline.videos import Assurance, LocalVideoStore
from tests.benchmarks.peers.chunked_files import Stopwatch


class NoDigest:
    """Leaves the bytes alone."""

    def update(self, _data: bytes, /) -> None:
        """Nothing."""

    def hexdigest(self) -> str:
        return ""


def assurance(words: list[str]) -> Assurance:
    """What is asked for, and nothing else."""
    whole = Assurance()
    nothing = Assurance(NoDigest, lambda _file: None, lambda _folder: None)
    return Assurance(
        whole.digest if "hash" in words else nothing.digest,
        whole.flush if "flush" in words else nothing.flush,
        whole.flush_folder if "flush" in words else nothing.flush_folder,
    )


async def main() -> None:
    base, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    watch = Stopwatch()
    async with LocalVideoStore(folder, FetchSettings(), assurance=assurance(sys.argv[4:])) as store:
        await asyncio.gather(*(store.fetch(f"{base}/{number}.mp4", f"{number}.mp4") for number in range(count)))
    print(json.dumps(watch.read()))


if __name__ == "__main__":
    asyncio.run(main())
