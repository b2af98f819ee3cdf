"""Discounts: coupons and promotion codes redeemed, and what they take off which line."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from stripe_sandbox.contract.errors import invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.calls import require_simulated
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows.money import half_up
from stripe_sandbox.flows.periods import add_months

END = "discount.end"

_WAYS = frozenset({"coupon", "promotion_code", "discount"})


def redeem(work: Work, wanted: Any, **owner: Any) -> list[Body]:
    """New discounts out of the parameter `discounts`, counted as redemptions.

    Each element names a coupon, a promotion code or the discount to keep on. The `owner` is what
    `offer` takes.
    """
    discounts = offer(work, wanted, **owner)
    for discount in discounts:
        count(work, discount)
    return discounts


def offer(
    work: Work, wanted: Any, *, currency: str | None = None, **owner: str | None
) -> list[Body]:
    """Discounts that are not redeemed yet.

    Args:
        work: the unit of work.
        wanted: the parameter `discounts`; empty means none.
        currency: that of what is bought; a coupon of another one is refused.
        owner: the fields of a discount that say whose it is: `customer`, `subscription`,
            `checkout_session`, `invoice`, `invoice_item`, `subscription_item`.
    """
    rows = []
    for i, way in enumerate(wanted or ()):
        at = f"discounts[{i}]"
        require_simulated(way, _WAYS, where=at)
        if "discount" in way:
            rows.append(work.find("discount", way["discount"], param=f"{at}[discount]"))
            continue
        code = _promotion(work, way, at, owner.get("customer"))
        id = code["promotion"]["coupon"] if code else way.get("coupon", "")
        coupon = work.find("coupon", id, param=f"{at}[coupon]")
        _require_valid(coupon, currency, at)
        rows.append(_new_discount(work, coupon, code, owner))
    return rows


def count(work: Work, discount: Body) -> None:
    """Count a redemption; the last one that is allowed ends the coupon or the code."""
    coupon = work.get("coupon", discount["source"]["coupon"])
    code = work.get("promotion_code", discount["promotion_code"])
    for body, flag in ((coupon, "valid"), (code, "active")):
        if body is None or body.get("deleted"):
            continue
        times, most = body["times_redeemed"] + 1, body["max_redemptions"]
        work.change(body, times_redeemed=times)
        if most is not None and times >= most:
            work.change(body, **{flag: False})


def in_force(work: Work, owner: Body) -> list[Body]:
    """The discounts that a customer, a subscription or an item has and that are not over."""
    ids = owner["discounts"] if "discounts" in owner else [(owner["discount"] or {}).get("id")]
    rows = (work.get("discount", id) for id in ids)
    return [row for row in rows if row and (row["end"] is None or row["end"] > work.now)]


def inherited(work: Work, customer: Body, subscription: Body | None) -> list[str]:
    """The discounts of a new invoice: the subscription's, else the customer's."""
    found = in_force(work, subscription) if subscription else []
    return [discount["id"] for discount in found or in_force(work, customer)]


def use_up(work: Work, invoice: Body) -> None:
    """What applies once is over when an invoice has taken it off something."""
    for entry in invoice["total_discount_amounts"]:
        if entry["amount"] and work.note(entry["discount"])["duration"] == "once":
            end(work, work.find("discount", entry["discount"]))


def end(work: Work, discount: Body) -> None:
    """Take a discount from its subscription or customer."""
    work.unschedule(END, discount)
    subscription = work.get("subscription", discount["subscription"])
    customer = work.get("customer", discount["customer"])
    if subscription:
        left = [id for id in subscription["discounts"] if id != discount["id"]]
        work.change(subscription, discounts=left)
    elif customer and (customer.get("discount") or {}).get("id") == discount["id"]:
        work.change(customer, discount=None)
    else:
        return
    work.emit("customer.discount.deleted", discount)


def give_to_customer(work: Work, customer: Body, wanted: Any) -> None:
    """Give a customer a discount, or another in its place; nothing wanted takes it away."""
    held = customer["discount"]
    if not wanted:
        if held:
            end(work, work.find("discount", held["id"]))
        return
    (discount,) = redeem(work, wanted, customer=customer["id"])
    if held:
        work.unschedule(END, held)
    work.change(customer, discount=dict(discount))
    work.emit("customer.discount.updated" if held else "customer.discount.created", discount)


def deductions(work: Work, off: Iterable[str], lines: Sequence[Body]) -> list[list[Body]]:
    """For each line of an invoice or a session its `{discount, amount}`. The line's own discounts
    come first, then those with the ids in `off`; each applies to what those before it have left.
    """
    left = [amount_of(line) for line in lines]
    found: list[list[Body]] = [[] for _ in lines]
    own = [(id, [i]) for i, line in enumerate(lines) for id in _own(line)]
    shared = [(id, range(len(lines))) for id in off]
    for id, places in (*own, *shared):
        terms = work.note(id)
        eligible = [i for i in places if lines[i].get("discountable", True)]
        for i, share in zip(eligible, _shares(terms, [left[i] for i in eligible]), strict=True):
            left[i] -= share
            found[i].append({"amount": share, "discount": id})
    return found


def amount_of(line: Body) -> int:
    """What a line costs before discounts and taxes."""
    amount: int = line["amount"] if "amount" in line else line["amount_subtotal"]
    return amount


def _own(line: Body) -> list[str]:
    return [id for id in line.get("discounts") or () if isinstance(id, str)]


def summed(deducted: Iterable[list[Body]]) -> list[Body]:
    """The deductions of all lines by discount: `total_discount_amounts`."""
    totals: dict[str, int] = {}
    for entry in (entry for line in deducted for entry in line):
        totals[entry["discount"]] = totals.get(entry["discount"], 0) + entry["amount"]
    return [{"amount": amount, "discount": id} for id, amount in totals.items()]


def _shares(terms: Body, amounts: list[int]) -> list[int]:
    """What is taken off each amount; rounded so that the sum is the rounded share of the sum."""
    if terms["percent_off"] is not None:
        part = Fraction(str(terms["percent_off"])) / 100
    else:
        amounts = [max(0, amount) for amount in amounts]
        total = sum(amounts)
        part = Fraction(min(terms["amount_off"], total), total) if total else Fraction(0)
    shares, so_far, taken = [], 0, 0
    for amount in amounts:
        so_far += amount
        shares.append(half_up(part * so_far) - taken)
        taken += shares[-1]
    return shares


def _new_discount(
    work: Work, coupon: Body, code: Body | None, owner: dict[str, str | None]
) -> Body:
    """The terms stand beside the discount: they outlive the coupon."""
    ends = coupon["duration"] == "repeating"
    discount = work.create(
        "discount",
        **owner,
        source={"type": "coupon", "coupon": coupon["id"]},
        promotion_code=code["id"] if code else None,
        start=work.now,
        end=add_months(work.now, coupon["duration_in_months"]) if ends else None,
    )
    terms = {name: coupon[name] for name in ("amount_off", "duration", "percent_off")}
    work.remember(discount["id"], **terms)
    if ends:
        work.schedule(END, discount, at=discount["end"])
    return discount


def _promotion(work: Work, way: Body, at: str, customer: str | None) -> Body | None:
    if "promotion_code" not in way:
        return None
    param = f"{at}[promotion_code]"
    code = work.find("promotion_code", way["promotion_code"], param=param)
    if not code["active"]:
        raise invalid("This promotion code is not active.", param=param)
    if code["customer"] and code["customer"] != customer:
        raise invalid("This promotion code cannot be redeemed by this customer.", param=param)
    return code


def _require_valid(coupon: Body, currency: str | None, at: str) -> None:
    if not coupon["valid"]:
        raise invalid(f"Coupon {coupon['id']} is expired.", code="coupon_expired", param=at)
    if coupon["currency"] and currency and coupon["currency"] != currency:
        text = f"The coupon {coupon['id']} is in {coupon['currency']}, not in {currency}."
        raise invalid(text, param=at)
