"""What the dashboard reads: lists with a filter, objects with links, how a delivery stands."""

import re
from itertools import islice

import orjson
from markupsafe import Markup, escape

from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.table import Row, value_of
from stripe_sandbox.engine.work import DELIVERY, LOST, Work
from stripe_sandbox.flows.money import display

PAGE = 50
_STRING = re.compile(r"&#34;([^&\s]+)&#34;")
_TITLES = ("type", "name", "email", "description", "nickname", "code", "url", "display_name")
_AMOUNTS = ("amount", "amount_total", "total", "unit_amount", "net")


def counts(work: Work) -> dict[str, int]:
    """How many there are of each kind of object."""
    kinds = sorted(kind for kind in work.state.kinds() if not kind.startswith("~"))
    return {kind: size for kind in kinds if (size := len(work.state.rows(kind)))}


def objects(work: Work, kind: str, *, wanted: str, before: str) -> list[Body]:
    """One page of a kind, newest first, and one more if there is another page.

    Args:
        work: where they are.
        kind: which they are.
        wanted: words that their JSON holds, or `field=value`.
        before: the id after which the page begins.
    """
    table = work.state.table(kind)
    found = table.scan(end=table.position(before) if before else None)
    return list(islice((row for row in found if _fits(row, wanted.split())), PAGE + 1))


def events_about(work: Work, id: str) -> list[Body]:
    found = (e for e in work.every("event") if e["data"]["object"].get("id") == id)
    return [listed(work, event) for event in islice(found, PAGE)]


def linked(work: Work, body: Body) -> Markup:
    """Its JSON, in which each id leads to its object and each page of the sandbox opens."""

    def link(match: re.Match[str]) -> str:
        text = match.group(1)
        if text.startswith(f"{work.config.base_url}/"):
            return f'&#34;<a href="{text}">{text}</a>&#34;'
        if text == body.get("id") or work.find_anywhere(text) is None:
            return match.group()
        return f'&#34;<a href="/dashboard/objects/id/{text}">{text}</a>&#34;'

    json = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
    return Markup(_STRING.sub(link, str(escape(json))))  # noqa: S704  # escaped, then linked


def listed(work: Work, body: Body) -> Body:
    """What a line about an object says."""
    event = body["object"] == "event"
    return {
        "id": body["id"],
        "title": next((str(body[name]) for name in _TITLES if body.get(name)), ""),
        "amount": _amount(body),
        "status": delivery(work, body) if event else _status(body),
        "created": body.get("created"),
        "about": body["data"]["object"].get("id") if event else None,
    }


def deliveries_of(work: Work, event: Body) -> list[Row]:
    """What is still to be delivered of an event, the soonest first."""
    rows = work.state.table(DELIVERY).scan(("event", [event["id"]]))
    return sorted(rows, key=lambda row: float(row["due"]))


def delivery(work: Work, event: Body) -> str:
    """How the delivery of an event stands, in a word."""
    if not event["pending_webhooks"]:
        return "delivered" if any(work.every("webhook_endpoint")) else "no endpoint"
    lost = next(work.state.table(LOST).scan(("event", [event["id"]])), None)
    return "given up" if lost else "waiting"


def _fits(row: Row, words: list[str]) -> bool:
    json = "" if all("=" in word for word in words) else orjson.dumps(row).decode().lower()
    return all(_has(row, json, word) for word in words)


def _has(row: Row, json: str, word: str) -> bool:
    name, equals, value = word.partition("=")
    if not equals:
        return word.lower() in json
    return str(value_of(row, name)).lower() == value.lower()


def _amount(body: Body) -> str:
    found = (body[name] for name in _AMOUNTS if isinstance(body.get(name), int))
    currency = body.get("currency")
    return next((display(amount, currency) for amount in found if currency), "")


def _status(body: Body) -> str:
    return "deleted" if body.get("deleted") else str(body.get("status") or "")
