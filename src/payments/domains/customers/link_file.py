"""A file that says which Stripe customers your users are: `user_id,stripe_customer_id[,email]`."""

import csv
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from payments.context import Context
from payments.core.errors import Conflict, Invalid, explain
from payments.core.schemas import Body, Email
from payments.domains.customers.linking import Claim, CustomerId, link

NEEDED: Final = {"user_id", "stripe_customer_id"}
KNOWN: Final = NEEDED | {"email"}


class LinkFileInvalid(Exception):
    """The file cannot be used; the message says why."""


class Entry(Body):
    """What a line says."""

    user_id: str = Field(min_length=1, max_length=200)
    stripe_customer_id: CustomerId
    email: Email | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands in the file; `number` is what an editor shows."""

    number: int
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Linked:
    """What became of a line; `refused` says why nothing did."""

    line: Line
    done: str
    refused: str | None = None


def read(path: Path) -> list[Line]:
    """Read a file whose first line names the columns.

    Raises:
        LinkFileInvalid: no such file, not CSV in UTF-8, or other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [Line(reader.line_num, cells) for cells in reader]
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise LinkFileInvalid(f"{path}: {exc}") from exc
    if not NEEDED <= columns <= KNOWN:
        raise LinkFileInvalid(f"{path}: the first line must be user_id,stripe_customer_id[,email]")
    return lines


async def link_all(
    ctx: Context, lines: Sequence[Line], *, take_over: bool = False, dry_run: bool = False
) -> AsyncIterator[Linked]:
    """Link line by line; one that is refused changes nothing, and the next goes on.

    Args:
        ctx: what to work with.
        lines: of the file.
        take_over: links that contradict the file were mistakes and end; they are refused otherwise.
        dry_run: whether to find out only, and change nothing.

    Raises:
        Problem: Stripe cannot be asked. What was linked stays; start again with the same file.
    """
    before: dict[str, int] = {}
    for line in lines:
        try:
            entry = _entry(line, before)
            claim = Claim(
                user_id=entry.user_id, customer=entry.stripe_customer_id, email=entry.email,
                take_over=take_over,
            )  # fmt: skip
            done = await link(ctx, claim, who=None, relink=take_over, dry_run=dry_run)
            yield Linked(line, done)
        except (Conflict, Invalid) as exc:
            yield Linked(line, "refused", exc.detail)


def _entry(line: Line, before: dict[str, int]) -> Entry:
    """What a line says, unless an earlier one has said something of the same user or customer."""
    cells = {name: (value or "").strip() or None for name, value in line.cells.items() if name}
    if None in line.cells:
        raise Invalid("there are more fields than columns")
    try:
        entry = Entry.model_validate(cells)
    except ValidationError as exc:
        raise Invalid(explain([dict(error) for error in exc.errors()])) from None
    for said in (f"user {entry.user_id}", f"customer {entry.stripe_customer_id}"):
        if (first := before.setdefault(said, line.number)) != line.number:
            raise Invalid(f"{said} stands in line {first} already")
    return entry
