"""Host names become addresses in threads of their own, those of result hosts and that of the service each in theirs.

The library would ask in the event loop's default threads, which are few: a handful of result hosts whose names nobody
answers for would then hold up the questions and submits that need a name as well. And the end of a loop waits for its
threads, so that a name server that does not answer would hold up every stop.
"""

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.videos.threads import OwnThreads

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class OwnResolver(AbstractResolver):
    """The system's resolver. Errors are the system's: `socket.gaierror`, an `OSError`."""

    def __init__(self, threads: str) -> None:
        self._threads = OwnThreads(threads)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of a host; those of links carry their zone."""
        return await self._threads.start(_addresses, host, port, family)

    async def close(self) -> None:
        """End the threads; one whose question is still open ends with the answer, and nobody waits for it."""
        self._threads.close()


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [_result(host, kind, protocol, address) for kind, _, protocol, _, address in found]


def _result(host: str, family: int, protocol: int, address: tuple[object, ...]) -> ResolveResult:
    numeric, port = socket.getnameinfo(address, _NUMERIC)  # type: ignore[arg-type]  # as getaddrinfo gave it
    return ResolveResult(
        hostname=host,
        host=numeric,
        port=int(port),
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
