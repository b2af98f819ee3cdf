"""Billing periods: where they begin and end, counted from an anchor in the calendar of UTC."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from stripe_sandbox.contract.responses import Body

_SECONDS = {"day": 86_400, "week": 7 * 86_400}
_MONTHS = {"month": 1, "year": 12}

Period = tuple[int, int]


def period_around(anchor: int, recurring: Body, moment: int) -> Period:
    """The period that has begun by then and not ended; before the anchor they count backwards."""
    number = _estimate(anchor, recurring, moment)
    while boundary(anchor, recurring, number) > moment:
        number -= 1
    while boundary(anchor, recurring, number + 1) <= moment:
        number += 1
    return boundary(anchor, recurring, number), boundary(anchor, recurring, number + 1)


def boundary(anchor: int, recurring: Body, number: int) -> int:
    """Where the period of this number begins.

    A month that is too short for the anchor's day ends early; the next one is long again.
    """
    interval, count = recurring["interval"], recurring["interval_count"] * number
    if interval in _SECONDS:
        return anchor + int(count) * _SECONDS[interval]
    return add_months(anchor, count * _MONTHS[interval])


def add_months(moment: int, months: int) -> int:
    began = datetime.fromtimestamp(moment, UTC)
    year, month = divmod(began.year * 12 + began.month - 1 + months, 12)
    day = min(began.day, monthrange(year, month + 1)[1])
    return int(began.replace(year=year, month=month + 1, day=day).timestamp())


def _estimate(anchor: int, recurring: Body, moment: int) -> int:
    interval, count = recurring["interval"], recurring["interval_count"]
    if interval in _SECONDS:
        return int((moment - anchor) // (_SECONDS[interval] * count))
    begin = datetime.fromtimestamp(anchor, UTC)
    end = datetime.fromtimestamp(moment, UTC) + timedelta(days=1)
    months = (end.year - begin.year) * 12 + end.month - begin.month
    return int(months // (_MONTHS[interval] * count))
