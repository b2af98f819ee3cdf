"""A Checkout Session from its payment to its end: completion, late results of debits, expiry."""

from stripe_sandbox.contract.errors import StripeError, invalid, refused
from stripe_sandbox.contract.responses import Body, filled, resource_class
from stripe_sandbox.engine.work import Work
from stripe_sandbox.flows import paying
from stripe_sandbox.flows.collecting import release
from stripe_sandbox.resources.payment_methods import usable_method

EXPIRE = "checkout.session.expire"

_TAKEN = ("succeeded", "requires_capture", "processing")


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
    if not session["amount_total"]:
        _complete(work, session, "no_payment_required")
        return
    chosen = usable_method(work, method, billing=details)
    intent = _intent(work, session)
    paying.attempt(work, intent, chosen)
    _advance(work, session, intent)


def authenticate(work: Work, session: Body, *, succeeded: bool) -> None:
    """The customer answers the bank's challenge."""
    require_open(session)
    intent = work.find("payment_intent", session["payment_intent"])
    paying.authenticate(work, intent, succeeded=succeeded)
    _advance(work, session, intent)


def awaits_authentication(work: Work, session: Body) -> bool:
    intent = work.get("payment_intent", session["payment_intent"])
    return intent is not None and intent["status"] == "requires_action"


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
    intent = work.get("payment_intent", session["payment_intent"])
    if intent and intent["status"] in paying.CANCELABLE:
        release(work, intent, reason="expired")
    work.change(session, status="expired", url=None)
    work.emit("checkout.session.expired", session)


def require_open(session: Body) -> None:
    if session["status"] != "open":
        raise _closed(session)


def success_url(session: Body) -> str:
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _advance(work: Work, session: Body, intent: Body) -> None:
    if intent["status"] not in _TAKEN:
        return
    if intent["status"] == "processing":
        work.remember(session["id"], late=True)
    _complete(work, session, "paid" if intent["status"] == "succeeded" else "unpaid")


def _complete(work: Work, session: Body, payment_status: str) -> None:
    work.unschedule(EXPIRE, session)
    work.change(session, status="complete", payment_status=payment_status, url=None)
    event = work.emit("checkout.session.completed", session)
    work.remember(session["id"], completed=event["id"])


def _intent(work: Work, session: Body) -> Body:
    """The session's intent; the first attempt makes it, later ones use it again."""
    existing = work.get("payment_intent", session["payment_intent"])
    if existing:
        return existing
    data = work.note(session["id"])["intent_data"]
    if not session["customer"] and (
        session["customer_creation"] == "always" or data.get("setup_future_usage")
    ):
        work.change(session, customer=_customer(work, session)["id"])
    intent = paying.new_intent(
        work,
        amount=session["amount_total"],
        currency=session["currency"],
        customer=session["customer"],
        payment_method_types=session["payment_method_types"],
        **data,
    )
    work.remember(intent["id"], session=session["id"])
    work.change(session, payment_intent=intent["id"])
    return intent


def _customer(work: Work, session: Body) -> Body:
    details = session["customer_details"]
    customer = work.create("customer", email=details["email"], name=details["name"])
    work.emit("customer.created", customer)
    return customer


def _details(known: Body) -> Body:
    everything = {"address": {}, "tax_exempt": "none", "tax_ids": [], **known}
    whole = filled(resource_class("checkout.session"), {"customer_details": everything})
    details: Body = whole["customer_details"]
    return details


def _closed(session: Body) -> StripeError:
    return invalid(f"This Checkout Session has a status of `{session['status']}`; it is not open.")
