"""The templates of one job filled in: its id, every text under `input`, and what of its output is known already."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from msgspec.structs import replace

from pipeline.catalog import nearest, plain
from pipeline.core.patterns import pattern
from pipeline.manifest.digests import sha256
from pipeline.manifest.outputs import DEFAULT_TEMPLATE
from pipeline.manifest.rows import Problems, Row
from pipeline.manifest.templates import (
    SECTIONS,
    Scope,
    TemplateError,
    as_id,
    as_name,
    as_text,
    escaped,
    field_names,
    fill,
    pieces,
    written,
)

SEED = "parameters.seed"
TAKE = "take"
MOST_TEXT = 64_000_000
"""Characters that the filled texts of one job may have together."""

_WORD = pattern(r"[^\W\d][\w-]*")


class Filling:
    """Fills one job.

    A text under `input` is a template where the job has a `matrix` (`strict`), or where it names a value that the job
    has or could have; any other text stays as it is, braces and all. Ids and outputs are always templates.
    """

    def __init__(
        self,
        row: Row,
        request: Mapping[str, Any],
        own: Mapping[str, Any],
        aliases: Mapping[str, str],
        problems: Problems,
        *,
        defaults: Row,
        columns: Collection[str],
        strict: bool,
    ) -> None:
        """`request` is the row over the defaults; `own` and `aliases` are what a sweep adds to the names."""
        self._row = row
        self._request = request
        self._own = own
        self._aliases = aliases
        self._problems = problems
        self._defaults = defaults
        self._columns = columns
        self._strict = strict
        self._sound = row.sound
        self._length = 0
        # A text that is a template itself is no value for another: nothing is ever filled twice.
        solid = {name: text for name, text in request["input"].items() if not (isinstance(text, str) and "{" in text)}
        self._scope = Scope({**request, "input": solid}, {"model": request["model"], **own}, aliases)
        self._job_id: str | None = None

    def made(self, listed: Mapping[str, str], added: Mapping[str, str]) -> Row:
        """The row with everything filled in; what cannot be filled is reported and stays as it is.

        `listed` are the variant's values from the lists of its matrix, `added` are those that `include` brings, both
        in canonical form by the place that `Scope.place` gives them.
        """
        values = dict(self._row.values)
        if isinstance(raw := values.get("id"), str):
            values["id"] = self._job_id = self._id(raw, listed, added)
            if self._job_id is not None:
                self._scope = replace(self._scope, own={**self._scope.own, "id": self._job_id})
        given = self._request["input"]
        texts = self._texts(given, "input")
        if texts != given:
            values["input"] = texts
        template = self._request.get("output", DEFAULT_TEMPLATE)
        if isinstance(template, str) and (self._own or self._aliases):
            values["output"] = self._output(template, {**self._request, "input": texts})
        return replace(self._row, values=values, sound=self._sound)

    def _id(self, raw: str, listed: Mapping[str, str], added: Mapping[str, str]) -> str | None:
        """The id, with a digest of the listed values that it does not name, and the number of the take.

        A variant that has no listed value is told apart by what `include` says, where the id names nothing of it. No
        part of an id depends on how many values or takes there are, so that ids stay when some are added.
        """
        names = {self._scope.place(name) for name in field_names(raw)}
        try:
            made = fill(raw, self._scope, as_id) if "{" in raw else raw
        except TemplateError as error:
            self._add("id", str(error))
            return None
        marks = listed or ({} if names & added.keys() else added)
        unnamed = {place: text for place, text in marks.items() if place not in names}
        if unnamed:
            made += f"-{sha256(json.dumps(unnamed, sort_keys=True).encode()).hexdigest()[:12]}"
        take = self._own.get(TAKE, 1)
        return made if take == 1 or names & {TAKE, SEED} else f"{made}-{TAKE}{take}"

    def _texts(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, Mapping):
            return {name: self._texts(inner, f"{path}.{name}") for name, inner in value.items()}
        if isinstance(value, list):
            return [self._texts(inner, f"{path}.{place}") for place, inner in enumerate(value)]
        return value

    def _text(self, text: str, path: str) -> str:
        if "{" not in text and not (self._strict and "}" in text):
            return text
        if self._length > MOST_TEXT or not (self._strict or self._is_template(text, path)):
            return text
        try:
            made = fill(text, self._scope, as_text)
        except TemplateError as error:
            self._add(path, str(error))
            return text
        self._length += len(made)
        if self._length > MOST_TEXT:
            self._add(path, f"makes the texts of the job longer than {MOST_TEXT // 10**6} million characters")
        return made

    def _is_template(self, text: str, path: str) -> bool:
        names = dict.fromkeys(field_names(text))
        if any(self._is_meant(name) for name in names):
            return True
        for name in filter(_WORD.fullmatch, names):
            near = nearest(name, self._scope.bare_names)
            hint = f"; did you mean {plain(near)}?" if near else ""
            message = f"the job has no {{{plain(name)}}} to fill in, so the text keeps it as it stands{hint}"
            if self._problems.first_time(path, message):
                self._problems.warn(self._line(path)[0], message, job_id=self._job_id, path=path)
        return False

    def _is_meant(self, name: str) -> bool:
        section, dot, _ = name.partition(".")
        return (dot and section in SECTIONS) or name in self._columns or self._scope.place(name) is not None

    def _output(self, template: str, request: Mapping[str, Any]) -> str:
        """The template with the sweep's own names filled in; the others wait for the job to be built."""
        scope = Scope(request, {"id": "", "line": 0, **self._scope.own}, self._aliases)
        filled = []
        try:
            for piece in pieces(template):
                value = scope.value(piece.text) if piece.is_field else None
                if piece.is_field and (piece.text in self._own or piece.text in self._aliases):
                    filled.append(escaped(written(piece.text, value, as_name)))
                else:
                    filled.append(f"{{{piece.text}}}" if piece.is_field else escaped(piece.text))
        except TemplateError as error:
            self._add("output", str(error))
            return DEFAULT_TEMPLATE
        return "".join(filled)

    def _add(self, path: str, message: str) -> None:
        self._sound = False
        line, path = self._line(path)
        self._problems.add(line, message, job_id=self._job_id, path=path, variant=self._row.variant)

    def _line(self, path: str) -> tuple[int, str]:
        """The line of a value, and the path that leads to it in the file."""
        if path not in self._row.lines and path in self._defaults.lines:
            return self._defaults.lines[path], f"defaults.{path}"
        return self._row.line_of(path), path
