"""CSV is taken up a block of bytes at a time: wherever the blocks end, the records and their lines are the same."""

import csv
import io
import random

import pytest

from pipeline.manifest import csv_reader, source
from pipeline.manifest.rows import BrokenFileError

CELLS = ("a", "two words", "", '"quoted"', '"with ""quotes"""', '"one\ntwo"', '"three\n\nlines"', "ü", '"x,y"')
PLAIN = ("a", "two words", "ü", "4", "", "https://example.com/a.jpg")


def a_file(seed: int) -> str:
    """Stretches of plain rows, of quoted ones, and blank lines between them."""
    draw = random.Random(seed)
    lines = []
    for _ in range(draw.randint(1, 30)):
        cells = draw.choice((PLAIN, CELLS))
        lines += [",".join(draw.choices(cells, k=3)) + "\n" for _ in range(draw.randint(1, 12))]
        lines += ["\n"] * draw.choice((0, 0, 1))
    return "".join(lines)


def read(text: str) -> list[tuple[int, list[str]]]:
    """The records with the numbers of their first lines."""
    found = csv_reader._records(io.BytesIO(text.encode()))
    return [pair for numbers, records in found for pair in zip(numbers, records, strict=True)]


@pytest.mark.parametrize("block", [1, 7, 64, 500, 131_072])
def test_records_are_those_of_the_library_wherever_a_block_ends(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks without a quote are read in one go, the others row by row: neither shows in what is read."""
    monkeypatch.setattr(source, "_BLOCK", block)
    for seed in range(40):
        text = a_file(seed)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        wanted, before = [], 0
        for cells in reader:
            if cells:
                wanted.append((before + 1, cells))
            before = reader.line_num
        assert read(text) == wanted


@pytest.mark.parametrize("block", [1, 64, 131_072])
def test_the_rows_before_a_broken_one_are_read_when_its_block_has_no_quote(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before the fault is checked all the same, and the fault has its line."""
    monkeypatch.setattr(source, "_BLOCK", block)
    read_so_far: list[list[str]] = []

    def read_all() -> None:
        for _, records in csv_reader._records(io.BytesIO(b"a,b\nc,d\ne\rf,g\nh,i\n")):
            read_so_far.extend(records)

    with pytest.raises(BrokenFileError) as broken:
        read_all()
    assert read_so_far == [["a", "b"], ["c", "d"]]
    assert broken.value.line == 3
