"""The page itself: a template, our style and script, and the chart library, put together into one text.

Everything that a batch says stands in two blocks of JSON, which the script puts on the screen as text; none of it is
ever HTML. A policy in the page's head allows exactly the scripts and the style that stand in it, by their hashes, and
no connection at all but to the files of the batch.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.views.report.cards import embedded

_HERE = Path(__file__).parent
_SCRIPTS = (
    *("format.js", "theme.js", "charts.js", "summary.js", "selection.js", "gallery.js", "lightbox.js", "reroll.js"),
    *("live.js", "app.js"),
)
"""In this order they make one script."""
HEAD = b'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy"'
"""How every page begins."""
_LIBRARY = "vendor/chart.umd.min.js"
_AT_ONCE = 100
"""Cards in a piece of the page."""


def page(batch: Mapping[str, Any], cards: Iterable[str], *, live: bool = False) -> Iterator[str]:
    """The pieces of the page, in order. `cards` are texts made by `CardMaker`; they are taken one by one."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    template = environment.get_template("page.html.jinja")
    return template.generate(
        title=batch["name"],
        policy=policy(live=live),
        style=_asset("assets/style.css"),
        library=_asset(_LIBRARY),
        script=_script(),
        batch=embedded(batch),
        cards=_lines(cards),
    )


def _lines(cards: Iterable[str]) -> Iterator[str]:
    """The items of a JSON list, so many in each piece that the template has little to do with each."""
    rest, before = iter(cards), ""
    while some := list(islice(rest, _AT_ONCE)):
        yield before + ",\n".join(some)
        before = ",\n"


def policy(*, live: bool) -> str:
    """What the page may do, in the words of a Content-Security-Policy."""
    files = "'self'" if live else "'self' file:"
    rules = {
        "default-src": "'none'",
        "script-src": f"{hash_of(_asset(_LIBRARY))} {hash_of(_script())}",
        "style-src": hash_of(_asset("assets/style.css")),
        "img-src": f"{files} data:",
        "media-src": files,
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").replace("//# sourceMappingURL=chart.umd.min.js.map", "")


@cache
def _script() -> str:
    return "\n".join(_asset(f"assets/{name}") for name in _SCRIPTS)


def hash_of(text: str) -> str:
    """How a policy names a script or a style that stands in the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
