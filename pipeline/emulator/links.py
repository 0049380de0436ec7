"""Signed links to result files: an expiry and a signature in the query, valid for exactly these characters."""

import base64
import hmac
import math
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qsl, quote


@dataclass(frozen=True, slots=True)
class Links:
    """Makes and checks links with one secret."""

    secret: bytes

    def sign(self, path: str, expires: float) -> str:
        """The path with its query; `expires` is Unix seconds, rounded up to whole ones."""
        moment = math.ceil(expires)
        digest = hmac.digest(self.secret, f"{path}:{moment}".encode(), sha256)
        signature = quote(base64.b64encode(digest).decode(), safe="")
        return f"{path}?Expires={moment}&Signature={signature}&Key-Pair-Id=EMULATED"

    def refusal(self, path: str, query: str, now: float) -> str | None:
        """Why a link does not open its file, or None where it does.

        The query is compared as it was sent: a client that re-encodes or reorders a signed URL is refused, because
        result hosts may do so.
        """
        stated = dict(parse_qsl(query)).get("Expires", "")
        if not (stated.isascii() and stated.isdecimal() and len(stated) <= 12):
            return "MissingKey"
        if not hmac.compare_digest(self.sign(path, int(stated)).encode(), f"{path}?{query}".encode()):
            return "SignatureDoesNotMatch"
        return "Request has expired" if now >= int(stated) else None
