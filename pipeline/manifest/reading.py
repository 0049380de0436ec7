"""One reading of a manifest: its rows, block by block, made jobs."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from pipeline.catalog import Catalog
from pipeline.manifest.alike import Alike, Made
from pipeline.manifest.block import Block, parts_of
from pipeline.manifest.build import DEFAULT_MODEL, Builder, Built
from pipeline.manifest.media import MediaReader
from pipeline.manifest.plain import has_brace, is_plain
from pipeline.manifest.rows import BrokenFileError, Head, Problems
from pipeline.manifest.source import Kind, Source

if TYPE_CHECKING:  # rows that stand for themselves do without
    from pipeline.manifest.expansion import Expander


class Reading:
    """Reads a manifest once, from its first row to its last."""

    def __init__(
        self,
        source: Source,
        head: Head,
        catalog: Catalog,
        media: MediaReader,
        problems: Problems,
        *,
        jobs_wanted: bool,
    ) -> None:
        """Without `jobs_wanted`, rows that are judged together are only judged."""
        self._source = source
        self._head = head
        self._catalog = catalog
        self._problems = problems
        self._builder = Builder(source.file, head.defaults, catalog, media, problems, jobs_wanted=jobs_wanted)
        self._alike = Alike(source.file, catalog, self._builder, problems, jobs_wanted=jobs_wanted)
        given = head.defaults.values.get("input") if head.defaults else None
        self._fills_all = isinstance(given, dict) and has_brace(given)
        """Every row has a template from `defaults`."""
        self._expander: Expander | None = None

    def made(self) -> Iterator[Made]:
        """What becomes of the rows, in the order of the file; what is wrong goes to the problems."""
        self._builder.check_defaults()
        try:
            with self._source.open() as stream:
                for block in self._blocks(stream):
                    if block.lines:
                        yield from self._made(block)
        except BrokenFileError as broken:
            self._problems.add(broken.line, broken.message)

    def _blocks(self, stream: BinaryIO) -> Iterator[Block]:
        if self._source.kind is Kind.YAML:
            from pipeline.manifest import yaml_reader  # its library is slow to import, and two formats go without

            return yaml_reader.read_blocks(stream, self._problems, self._head)
        if self._source.kind is Kind.CSV:
            from pipeline.manifest import csv_reader  # each format does without the others'

            return csv_reader.read_blocks(stream, self._problems, self._catalog, DEFAULT_MODEL)
        from pipeline.manifest import jsonl_reader

        return jsonl_reader.read_blocks(stream, self._problems)

    def _made(self, block: Block) -> Iterator[Made]:
        """All rows at once where that can be; else in parts, down to the row that is not like the others."""
        made = self._alike.made(block)
        if made:
            yield made
        elif len(block.lines) > 1:
            for part in parts_of(block):
                yield from self._made(part)
        else:
            yield from self._made_of_one(block)

    def _made_of_one(self, block: Block) -> Iterator[Made]:
        row = block.row()
        if row is None:
            return
        plain = is_plain(row.values) and not self._fills_all
        for one in (row,) if plain else self._expanding(block.header).expanded(row):
            built = self._builder.build(one)
            if one is row:
                self._alike.learn(block, built)
            yield _alone(built)

    def _expanding(self, columns: Iterable[str]) -> "Expander":
        if self._expander is None:
            from pipeline.manifest.expansion import Expander

            defaults = self._head.defaults
            self._expander = Expander(defaults, self._catalog, self._problems, DEFAULT_MODEL, columns)
        return self._expander


def _alone(built: Built) -> Made:
    jobs = (built.job,) if built.job else ()
    return Made((built.line,), (built.job_id,), (built.named,), (built.output,), built.sound, jobs, built.variant)
