"""Tells others how a run has ended: a webhook by HTTP, and any channel that apprise knows.

Whoever has a channel's address can write to it, so no address stands in an error: channels are named by their number.
"""

import asyncio
import logging
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pipeline import __version__
from pipeline.core.errors import PipelineError, UsageError
from pipeline.core.jobs import JobState
from pipeline.settings import Notify
from pipeline.views.facts import RunEnd, as_json, body_lines, headline, run_facts

WEBHOOK_SECONDS = 10.0
"""For one try; a broken connection is tried once more."""
APPRISE_SECONDS = 30.0
"""For all channels together."""
_INSTALL = "pip install 'video-batch-pipeline[notify]'"


class NotTold(PipelineError):  # noqa: N818 - it says what happened
    """Somebody could not be told."""


def check_channels(notify: Notify) -> None:
    """Refuse what can never work, before anything is submitted. Raises `UsageError`; no address stands in it.

    Looking at apprise's channels takes some tenths of a second.
    """
    if notify.webhook is not None and not _is_http(notify.webhook):
        raise UsageError("notify: webhook must be an http or https URL")
    if notify.apprise:
        _check_known(notify.apprise)


def wants(notify: Notify, end: RunEnd) -> bool:
    """Whether anybody is to be told of this end. A run that did nothing is told of only where it was stopped."""
    reasons = set(notify.on)
    did = end.moved or end.stopped_early
    return did and (
        "finish" in reasons
        or ("failure" in reasons and (end.stopped_early or bool(end.ended.get(JobState.FAILED))))
        or ("unknown" in reasons and bool(end.count(JobState.UNKNOWN)))
    )


# -- the webhook -------------------------------------------------------------------------------------------------------


async def post(url: str, end: RunEnd, seconds: float = WEBHOOK_SECONDS) -> None:
    """POST the facts of `run_facts` as JSON. Raises `NotTold`, which does not show the URL.

    Only a status of 2xx counts; a redirect is not followed. A transport error is tried once more. The environment's
    proxies and `.netrc` are not consulted.
    """
    import aiohttp

    from pipeline.videos.names import OwnResolver

    headers = {"Content-Type": "application/json", "User-Agent": f"video-batch-pipeline/{__version__}"}
    resolver = OwnResolver(
        "webhook-names"
    )  # the loop's own threads are waited for at exit, however long a name server is silent
    connector = aiohttp.TCPConnector(resolver=resolver)
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as session:
            status = await _status(session, url, as_json(run_facts(end)), seconds)
    finally:
        await resolver.close()
    if not 200 <= status < 300:
        redirected = ", and redirects are not followed" if 300 <= status < 400 else ""
        raise NotTold(f"the webhook answered with HTTP {status}{redirected}")


async def _status(session: Any, url: str, content: bytes, seconds: float) -> int:
    """The status of the answer; what is broken is tried once more. Raises `NotTold`."""
    import aiohttp

    broken = ""
    for _ in range(2):
        try:
            async with asyncio.timeout(seconds), session.post(url, data=content, allow_redirects=False) as response:
                return int(response.status)
        except TimeoutError:  # it may have been told all the same, so it is not told again
            raise NotTold(f"the webhook did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            broken = _broken(error)  # the library's words have the URL
    raise NotTold(f"the webhook {broken}")


def _broken(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientSSLError):
        return "cannot be trusted: TLS failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "cannot be reached"
    if isinstance(error, ValueError):
        return "has an address that cannot be used"
    return "broke the connection off, twice"


def _is_http(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in {"http", "https"} and bool(split.hostname) and url.isprintable() and " " not in url
    except ValueError:
        return False


# -- apprise -----------------------------------------------------------------------------------------------------------


class Channels:
    """The channels of apprise, told in threads of their own: one that hangs holds up nobody."""

    def __init__(self, urls: Sequence[str]) -> None:
        from pipeline.videos.threads import OwnThreads

        self._urls = tuple(urls)
        self._threads = OwnThreads("notify", most=4)

    async def tell(self, end: RunEnd, seconds: float = APPRISE_SECONDS) -> None:
        """Tell every channel. Raises `NotTold` with the numbers of those that could not be told."""
        await self._threads.start(_library)
        title, body = headline(end), "\n".join(body_lines(end))
        told = [self._threads.start(_tell, url, title, body) for url in self._urls]
        _, late = await asyncio.wait(told, timeout=seconds)
        for one in late:
            one.cancel()
        bad = [
            f"{number}{' (no answer in time)' if one in late else ''}"
            for number, one in enumerate(told, start=1)
            if one in late or one.exception() is not None or not one.result()
        ]
        if bad:
            raise NotTold(f"apprise could not tell channel {', '.join(bad)} of {len(told)}")

    def close(self) -> None:
        """End the threads, as soon as each has nothing to do."""
        self._threads.close()


def _tell(url: str, title: str, body: str) -> bool:
    """On a thread: whether the channel took it."""
    channel = _library().Apprise()
    return bool(channel.add(url)) and bool(channel.notify(body=body, title=title))


@cache
def _library() -> Any:
    """apprise, with its channels loaded and its log, which shows addresses, silenced. First called by one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of its channels use what Python is about to drop
        import apprise

        logging.getLogger(apprise.__name__).disabled = True
        apprise.Apprise.instantiate("json://localhost")
    return apprise


def _check_known(urls: Sequence[str]) -> None:
    try:
        library = _library()
    except ImportError:
        raise UsageError(f"notify: apprise needs its library: {_INSTALL}") from None
    for number, url in enumerate(urls, start=1):
        if library.Apprise.instantiate(url) is None:
            raise UsageError(f"notify: channel {number} of apprise is not one that apprise knows; its address is wrong")
