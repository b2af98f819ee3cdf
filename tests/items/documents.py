"""The product's documents, as a test reads them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "STRIPE_INTEGRATION.md"


def anchors(path: Path) -> set[str]:
    """What a link may name behind its #, as GitHub spells a heading."""
    titles = re.findall(r"^#{1,6} +(.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def section(path: Path, title: str) -> str:
    """What stands under a heading, up to the next one that is not below it."""
    text = path.read_text()
    heading = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert heading is not None, f"{path.name} has no section {title!r}"
    rest = text[heading.end() :]
    following = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def dead_links(path: Path, text: str | None = None) -> Iterator[str]:
    """The links to files of the repository that lead nowhere."""
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text() if text is None else text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link
