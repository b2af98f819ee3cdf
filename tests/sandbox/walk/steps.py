"""The language of the walk: calls as data, so that clients in two languages make the same ones."""

from dataclasses import asdict, dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One call and what its answer means.

    Attributes:
        call: a method of the SDK in Python's spelling and the ids it is given; "all …" pages
            through a list by itself; "POST /v1/…" is a raw request; "download …" fetches a file;
            "settle" lets happen what Stripe does later.
        params: a text that begins with $ names something in an earlier answer.
        sees: by dotted path into the answer; "#" is the length of a list, a text that begins
            with ~ is a pattern. Of an error: class, type, code, param, decline_code, status.
        called: the name under which later steps find the answer.
        options: of the request, such as an idempotency key.
    """

    call: str
    params: Json
    sees: Json
    called: str
    options: Json
    fails: bool


def do(
    call: str,
    params: Json | None = None,
    *,
    sees: Json | None = None,
    called: str = "",
    **options: Any,
) -> Step:
    return Step(call, params or {}, sees or {}, called, options, fails=False)


def fail(call: str, params: Json | None = None, *, sees: Json, **options: Any) -> Step:
    """A call that is refused."""
    return Step(call, params or {}, sees, "", options, fails=True)


def as_json(stories: dict[str, list[Step]]) -> dict[str, list[Json]]:
    return {name: [asdict(step) for step in steps] for name, steps in stories.items()}
