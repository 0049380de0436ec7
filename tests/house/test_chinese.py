"""README.zh-CN.md tells what README.md tells: the same commands, parts, tables and links, in Chinese."""

import re

from tests.house.pages import CHINESE, README, Block, blocks, commands, headings, links, prose, read

ITSELF = {README, CHINESE}
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def bare(block: Block) -> str:
    """A block without its comments, which are in the page's language."""
    return "\n".join(re.sub(r"(^|\s+)#\s.*$", "", line) for line in block.text.splitlines())


def tables(page: str) -> list[list[str]]:
    """Of every table and row, what the first cell names: code, numbers and links."""
    found = re.findall(r"(?:^\|.*\n)+", prose(page), re.MULTILINE)
    names = re.compile(r"`[^`]+`|\]\([^)]+\)|\b\d+\b")
    return [[",".join(names.findall(row.split(" | ")[0])) for row in table.splitlines()[2:]] for table in found]


def test_the_commands_are_the_same_when_the_page_is_in_chinese() -> None:
    """What one types and what one sees stand there to the letter, in the same order; only comments are translated."""
    assert commands(CHINESE) == commands(README)
    assert [block.kind for block in blocks(CHINESE)] == [block.kind for block in blocks(README)]
    for ours, theirs in zip(blocks(README), blocks(CHINESE), strict=True):
        assert bare(theirs) == bare(ours)


def test_the_parts_are_the_same_when_the_page_is_in_chinese() -> None:
    """Heading for heading, each of its own text in Chinese."""
    assert [level for level, _ in headings(CHINESE)] == [level for level, _ in headings(README)]
    assert all(_CHINESE.search(text) for level, text in headings(CHINESE) if level > 1)


def test_the_tables_have_the_same_rows_when_the_page_is_in_chinese() -> None:
    """The first cell of each row names the same commands, codes and pages."""
    assert tables(CHINESE) == tables(README)
    assert sum(map(len, tables(README))) > 20


def test_the_links_lead_to_the_same_places_when_the_page_is_in_chinese() -> None:
    """In the same order, but for the one that changes the language."""
    ours, theirs = ([link for link in links(page) if link not in ITSELF] for page in (README, CHINESE))
    assert theirs == ours
    assert README in links(CHINESE)
    assert CHINESE in links(README)


def test_the_names_are_the_same_when_the_page_is_in_chinese() -> None:
    """Options, files and words of the program that running text names in one language, it names in the other."""
    ours, theirs = (set(re.findall(r"`[^`\n]+`", prose(page))) for page in (README, CHINESE))
    assert theirs == ours


def test_the_list_of_refusals_is_as_long_when_the_page_is_in_chinese() -> None:
    """Every item has its counterpart, in Chinese."""
    ours, theirs = (re.findall(r"^- \*.*$", read(page), re.MULTILINE) for page in (README, CHINESE))
    assert len(theirs) == len(ours) == 6
    assert all(_CHINESE.search(item) for item in theirs)
