"""A Checkout Session from its total to its end: promotion codes, payment, late results, expiry."""

from stripe_sandbox.contract.errors import StripeError, invalid, refused
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import discounts, intents, paying, setting_up
from stripe_sandbox.flows.checkout_completion import complete
from stripe_sandbox.flows.collecting import release
from stripe_sandbox.flows.lines import priced_lines
from stripe_sandbox.flows.reckoning import Reckoning, reckon
from stripe_sandbox.resources.customers import new_customer
from stripe_sandbox.resources.payment_methods import usable_method

EXPIRE = "checkout.session.expire"

_TAKEN = ("succeeded", "requires_capture", "processing")


def retotal(work: Work, session: Body) -> None:
    """Sum up the lines, with the discounts, taxes and shipping of the session."""
    note = work.note(session["id"])
    taxed = session["automatic_tax"]["enabled"]
    bill = reckon(work, note["lines"], off=note["discounts"], taxed=taxed)
    shipping = (session["shipping_cost"] or {}).get("amount_total", 0)
    total = bill.total + shipping
    work.remember(session["id"], lines=priced_lines(work, note["lines"], bill))
    work.change(
        session,
        amount_subtotal=bill.subtotal,
        amount_total=total,
        discounts=[_shown_discount(work.find("discount", id)) for id in note["discounts"]],
        payment_status="unpaid" if total else "no_payment_required",
        total_details=_details_of(bill, shipping),
    )
    intent = intent_of(work, session)
    if intent and intent["object"] == "payment_intent" and intent["status"] in intents.OPEN:
        work.change(intent, amount=total)


def not_due_in_trial(lines: list[Body], data: Body) -> list[Body]:
    """A subscription that begins with a trial costs nothing yet."""
    if not {"trial_end", "trial_period_days"} & data.keys():
        return lines
    return [
        {**line, "amount_subtotal": 0} if line["price"]["recurring"] else line for line in lines
    ]


def redeem_code(work: Work, session: Body, text: str) -> None:
    """The customer types a promotion code.

    Raises:
        StripeError: there is no such code, or it does not hold here.
    """
    require_open(session)
    typed = text.strip().upper()
    codes = work.every("promotion_code", active=True)
    code = next((c for c in codes if c["code"].upper() == typed), None)
    if code is None or not session["allow_promotion_codes"]:
        raise invalid("This code is invalid.", param="promotion_code")
    apply_discounts(work, session, [{"promotion_code": code["id"]}])


def apply_discounts(work: Work, session: Body, wanted: list[Body]) -> None:
    """They are redeemed when the session completes."""
    rows = discounts.offer(
        work,
        wanted,
        currency=session["currency"],
        customer=session["customer"],
        checkout_session=session["id"],
    )
    work.remember(session["id"], discounts=[row["id"] for row in rows], wanted=wanted)
    retotal(work, session)


def pay(work: Work, session: Body, method: str, *, email: str = "", name: str = "") -> None:
    """The customer presses "Pay". The session completes, or waits for the 3DS step.

    The method is the id of one, a test method, a token, a card number or an IBAN.

    Raises:
        CardDeclined: the attempt failed; the session stays open and payable.
    """
    require_open(session)
    known = (session["customer_details"] or {}).get("email")
    fixed = session["customer"] or session["customer_email"]
    details = {"email": (known if fixed else email) or email or None, "name": name or None}
    work.change(session, customer_details=_details(details))
    if not takes_method(session):
        _give_customer(work, session)
        _complete(work, session, None)
        return
    chosen = usable_method(work, method, billing=details)
    intent = intent_of(work, session) or _new_intent(work, session)
    flow = paying if intent["object"] == "payment_intent" else setting_up
    flow.attempt(work, intent, chosen)
    _advance(work, session, intent)


def takes_method(session: Body) -> bool:
    """Nothing due needs no method, unless one is to be kept for later."""
    keeps = session["mode"] == "subscription" and session["payment_method_collection"] == "always"
    return bool(session["amount_total"]) or session["mode"] == "setup" or keeps


def authenticate(work: Work, session: Body, *, succeeded: bool) -> None:
    """The customer answers the bank's challenge."""
    require_open(session)
    intent = intent_of(work, session)
    if intent is None:
        raise _closed(session)
    flow = paying if intent["object"] == "payment_intent" else setting_up
    flow.authenticate(work, intent, succeeded=succeeded)
    _advance(work, session, intent)


def awaits_authentication(work: Work, session: Body) -> bool:
    intent = intent_of(work, session)
    return intent is not None and intent["status"] == "requires_action"


def intent_of(work: Work, session: Body) -> Body | None:
    """The payment or setup intent that the session has made."""
    id = work.note(session["id"]).get("intent")
    return work.get("payment_intent", id) or work.get("setup_intent", id)


def begin_setup(work: Work, session: Body, **fields: object) -> Body:
    """The setup intent behind a session."""
    types = session["payment_method_types"]
    intent = setting_up.new_setup_intent(
        work, customer=session["customer"], payment_method_types=types, **fields
    )
    _own(work, session, intent)
    return intent


def follow_intent(work: Work, intent: Body) -> None:
    """What came of an intent later shows on the session that made it."""
    session = work.get("checkout.session", work.note(intent["id"]).get("session"))
    if session is None or session["status"] != "complete":
        return
    late = work.note(session["id"]).get("late", False)
    if intent["status"] == "succeeded":
        work.change(session, payment_status="paid")
        if late:
            work.emit("checkout.session.async_payment_succeeded", session)
    elif late:
        work.emit("checkout.session.async_payment_failed", session)


def expire(work: Work, session: Body) -> None:
    """Close an open session and the intent it may have begun."""
    if session["status"] != "open":
        raise refused(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout'
            f" Session has a status of `{session['status']}`."
        )
    work.unschedule(EXPIRE, session)
    intent = intent_of(work, session)
    if intent and intent["object"] == "setup_intent":
        setting_up.cancel(work, intent, reason="abandoned")
    elif intent and intent["status"] in paying.CANCELABLE:
        release(work, intent, reason="expired")
    work.change(session, status="expired", url=None)
    work.emit("checkout.session.expired", session)


def require_open(session: Body) -> None:
    if session["status"] != "open":
        raise _closed(session)


def success_url(session: Body) -> str:
    url: str = session["success_url"] or session["return_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _advance(work: Work, session: Body, intent: Body) -> None:
    if intent["status"] in _TAKEN:
        if intent["status"] == "processing":
            work.remember(session["id"], late=True)
        _complete(work, session, intent)


def _complete(work: Work, session: Body, intent: Body | None) -> None:
    work.unschedule(EXPIRE, session)
    complete(work, session, intent)


def _new_intent(work: Work, session: Body) -> Body:
    """The session's intent; the first attempt makes it, later ones use it again."""
    data = work.note(session["id"])["data"] if session["mode"] == "payment" else {}
    _give_customer(work, session, keeps_method=bool(data.get("setup_future_usage")))
    if not session["amount_total"]:
        return begin_setup(work, session)
    if session["mode"] == "subscription":
        data = {"description": "Subscription creation", "setup_future_usage": "off_session"}
    intent = paying.new_intent(
        work,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        payment_method_types=session["payment_method_types"],
        **data,
    )
    _own(work, session, intent)
    if session["mode"] == "payment":
        work.change(session, payment_intent=intent["id"])
    return intent


def _own(work: Work, session: Body, intent: Body) -> None:
    work.remember(intent["id"], session=session["id"])
    work.remember(session["id"], intent=intent["id"])


def _give_customer(work: Work, session: Body, *, keeps_method: bool = False) -> None:
    """Make the customer that a session needs and has not got."""
    always = session["customer_creation"] == "always" or session["mode"] == "subscription"
    if session["customer"] or not (always or keeps_method):
        return
    details = session["customer_details"]
    customer = new_customer(work, email=details["email"], name=details["name"])
    work.change(session, customer=customer["id"])


def _shown_discount(discount: Body) -> Body:
    return {
        "coupon": discount["source"]["coupon"],
        "promotion_code": discount["promotion_code"],
    }


def _details_of(bill: Reckoning, shipping: int) -> Body:
    return {
        "amount_discount": bill.discount,
        "amount_shipping": shipping,
        "amount_tax": bill.tax,
        "breakdown": None,
    }


def _details(known: Body) -> Body:
    everything = {"address": {}, "tax_exempt": "none", "tax_ids": [], **known}
    whole = filled(resource_class("checkout.session"), {"customer_details": everything})
    details: Body = whole["customer_details"]
    return details


def _closed(session: Body) -> StripeError:
    return invalid(f"This Checkout Session has a status of `{session['status']}`; it is not open.")
