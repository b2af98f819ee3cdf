"""Prints the longest modules and functions; `--check` fails where something is too long."""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
MODULE_LIMITS = {"src": 300, "tests": 500}
FUNCTION_LIMIT = 40
PACKAGES = ("src/payments", "src/stripe_sandbox")
SHOWN = 5

console = Console(highlight=False, soft_wrap=True, markup=False)


@dataclass(frozen=True, order=True)
class Piece:
    lines: int
    name: str
    limit: int


def modules(root: Path = ROOT) -> Iterator[Piece]:
    for folder, limit in MODULE_LIMITS.items():
        for path in sorted((root / folder).rglob("*.py")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            yield Piece(lines, str(path.relative_to(root)), limit)


def functions(root: Path = ROOT) -> Iterator[Piece]:
    """The functions of src, each from `def` to its last line, without its decorators."""
    for path in sorted((root / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                name = f"{path.relative_to(root)}:{node.lineno} {node.name}"
                yield Piece(node.end_lineno - node.lineno + 1, name, FUNCTION_LIMIT)


def code_lines(source: str) -> int:
    """What the formatter leaves, without blank lines, comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(lines - set(_docstring_lines(source)))


_NO_CODE = frozenset(
    {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
)


def _docstring_lines(source: str) -> Iterator[int]:
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            yield from range(text.lineno, (text.end_lineno or text.lineno) + 1)


def oversized(root: Path = ROOT) -> list[Piece]:
    return [piece for piece in (*modules(root), *functions(root)) if piece.lines > piece.limit]


def report(title: str, pieces: list[Piece]) -> None:
    console.print(
        f"{title}: {len(pieces)}, median {median(piece.lines for piece in pieces):.0f} lines"
    )
    for piece in sorted(pieces, reverse=True)[:SHOWN]:
        console.print(f"  {piece.lines:4}  {piece.name}")


def main() -> int:
    everything = list(modules())
    report("modules", [piece for piece in everything if piece.name.startswith("src/")])
    report("test modules", [piece for piece in everything if piece.name.startswith("tests/")])
    report("functions", list(functions()))
    for package in PACKAGES:
        paths = (ROOT / package).rglob("*.py")
        lines = sum(code_lines(path.read_text(encoding="utf-8")) for path in paths)
        console.print(f"{package}: {lines:,} lines of code")
    too_long = oversized()
    for piece in too_long:
        console.print(f"too long: {piece.name} has {piece.lines} lines, limit {piece.limit}")
    return int(bool(too_long) and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
