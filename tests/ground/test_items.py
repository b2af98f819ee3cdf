"""The table of items is whole, and what it calls a proof exists."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from items.documents import ROOT, dead_links

TABLE = ROOT / "docs/ITEMS.md"
LAST = {"0": 28, "1": 54, "2": 23, "3": 42, "4": 22, "M": 4}
"""The last item of each document; all count from one."""

ITEMS = {f"{document}.{number + 1}" for document, last in LAST.items() for number in range(last)}
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"`([\w./-]+)`")
LINK = re.compile(r"\[[^\]]+\]\([^)\s]+\)")


class Row(NamedTuple):
    item: str
    asked: str
    proofs: list[str]
    state: str


def rows() -> list[Row]:
    found = re.findall(
        r"^\| ([\dM]\.\d+) \| (.+) \|(.*)\| (.+) \|$", TABLE.read_text(), re.MULTILINE
    )
    return [
        Row(item, asked, [proof.strip() for proof in proofs.split("<br>") if proof.strip()], state)
        for item, asked, proofs, state in found
    ]


@cache
def named_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text()).body if (ROOT / path).is_file() else []
    return {node.name for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def stands(proof: str) -> bool:
    """Whether a proof is a test, a file or a section that exists."""
    if found := TEST.fullmatch(proof):
        return found[2] in named_in(found[1])
    if found := FILE.fullmatch(proof):
        return (ROOT / found[1]).is_file()
    return bool(LINK.fullmatch(proof)) and not list(dead_links(TABLE, proof))


def test_every_item_has_one_row() -> None:
    counted = Counter(row.item for row in rows())
    assert counted == Counter(ITEMS)
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    assert len(lines) == len(ITEMS) + len(LAST), "a row is malformed"


def test_every_proof_exists() -> None:
    assert [(row.item, proof) for row in rows() for proof in row.proofs if not stands(proof)] == []
    assert not stands("`tests/ground/test_items.py::test_nothing`")
    assert not stands("[nowhere](../README.md#nowhere)")


def test_a_state_says_what_the_proofs_allow() -> None:
    for row in rows():
        word, _, missing = row.state.partition(": ")
        assert word in {"done", "partly", "not yet"}, row
        assert bool(row.proofs) is (word != "not yet"), row
        assert bool(missing) is (word == "partly"), row


def test_a_test_that_is_named_after_an_item_proves_it() -> None:
    proofs = {row.item: row.proofs for row in rows()}
    for path in sorted(Path(ROOT / "tests/items").glob("test_*.py")):
        name = str(path.relative_to(ROOT))
        for test in named_in(name):
            if found := re.match(r"test_([0-9m])_(\d+)_", test):
                assert f"`{name}::{test}`" in proofs[f"{found[1].upper()}.{found[2]}"]
