"""The customer portal: a customer's details, payment methods and bills."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError, invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import Work
from stripe_sandbox.pages.checkout_page import test_numbers
from stripe_sandbox.pages.rendering import Html, fill, form_values, notice, page, see_other
from stripe_sandbox.resources import customers, payment_methods
from stripe_sandbox.resources.account import NAME
from stripe_sandbox.resources.billing_portal import visit

Values = dict[str, str]


class PortalPage:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/p/session/{session}", self.show, methods=["GET"]),
            Route("/p/session/{session}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        with self._sandbox.work() as work:
            session = _enter(work, request)
            return _portal(work, session) if session else _gone(work, request)

    async def act(self, request: Request) -> Response:
        values = await form_values(request)
        with self._sandbox.work() as work:
            session = _enter(work, request)
            if session is None:
                return _gone(work, request)
        try:
            with self._sandbox.work() as work:
                _perform(work, session, values)
        except StripeError as error:
            with self._sandbox.work() as work:
                return _portal(work, session, problem=str(error), typed=values)
        return see_other(_after(session, values["action"]))


def _enter(work: Work, request: Request) -> Body | None:
    session = work.get("billing_portal.session", request.path_params["session"])
    return session if session and visit(work, session) else None


def _perform(work: Work, session: Body, values: Values) -> None:
    """What a button of the page asks for, as far as the configuration allows it."""
    feature, action = _ACTIONS.get(values.get("action", ""), ("", None))
    if action is None or not _features(work, session)[feature]["enabled"]:
        raise invalid("The portal's settings do not allow this.")
    action(work, session["customer"], values)


def _update_details(work: Work, customer: str, values: Values) -> None:
    new = {name: values[name].strip() for name in ("email", "name") if name in values}
    if "email" in new and "@" not in new["email"]:
        raise invalid(f"Invalid email address: {new['email']}", param="email")
    customers.update(work, new, customer=customer)


def _add_method(work: Work, customer: str, values: Values) -> None:
    """A new card pays from now on, as it does on Stripe's page."""
    body = work.find("customer", customer)
    billing = {"name": values.get("holder") or None, "email": body["email"]}
    card = {"type": "card", "card": {"number": values.get("number", "")}}
    method = payment_methods.method_from_data(work, {**card, "billing_details": billing})
    payment_methods.attach(work, method, body)
    _make_default(work, customer, {"method": method["id"]})


def _make_default(work: Work, customer: str, values: Values) -> None:
    method = payment_methods.one_of_customer(
        work, customer=customer, payment_method=values.get("method", "")
    )
    settings = {"default_payment_method": method["id"]}
    customers.update(work, {"invoice_settings": settings}, customer=customer)


def _remove_method(work: Work, customer: str, values: Values) -> None:
    id = values.get("method", "")
    payment_methods.one_of_customer(work, customer=customer, payment_method=id)
    payment_methods.detach(work, payment_method=id)


_ACTIONS: dict[str, tuple[str, Callable[[Work, str, Values], None]]] = {
    "details": ("customer_update", _update_details),
    "add": ("payment_method_update", _add_method),
    "default": ("payment_method_update", _make_default),
    "remove": ("payment_method_update", _remove_method),
}


def _portal(
    work: Work, session: Body, *, problem: str = "", typed: Values | None = None
) -> Response:
    customer = work.find("customer", session["customer"])
    headline = _configuration(work, session)["business_profile"]["headline"]
    body = fill(
        "portal",
        back=fill("back", url=session["return_url"]) if session["return_url"] else Html(),
        headline=headline or f"Your account with {NAME}",
        who=customer["email"] or customer["name"] or customer["id"],
        alert=fill("alert", message=problem) if problem else Html(),
        sections=_sections(work, session, customer, typed or {}),
    )
    return page(body, title="Customer portal")


def _sections(work: Work, session: Body, customer: Body, typed: Values) -> Html:
    """All that the configuration shows; a flow is about one of them alone."""
    features = _features(work, session)
    flow = (session["flow"] or {}).get("type")
    shown: dict[str, Callable[[], Html]] = {
        "payment_method_update": lambda: _methods(work, customer, typed),
        "customer_update": lambda: _details(features["customer_update"], customer, typed),
        "invoice_history": lambda: fill("portal_billing"),
    }
    return Html(
        "".join(
            section()
            for feature, section in shown.items()
            if features[feature]["enabled"] and flow in (None, feature)
        )
    )


def _methods(work: Work, customer: Body, typed: Values) -> Html:
    of_customer = [m for m in work.every("payment_method") if m["customer"] == customer["id"]]
    default = customer["invoice_settings"]["default_payment_method"]
    rows = "".join(_method(method, is_default=method["id"] == default) for method in of_customer)
    return fill(
        "portal_methods",
        rows=Html(rows) or fill("nothing", text="No payment method is saved."),
        number=typed.get("number", ""),
        holder=typed.get("holder", customer["name"] or ""),
        cards=test_numbers(["card"]),
    )


def _method(method: Body, *, is_default: bool) -> Html:
    details = method[method["type"]]
    kind = details.get("display_brand") or method["type"].replace("_", " ")
    choose = Html() if is_default else fill("portal_default", method=method["id"])
    return fill(
        "portal_method",
        what=f"{kind.capitalize()} ending in {details['last4']}",
        mark=Html("<em>Default</em>") if is_default else choose,
        method=method["id"],
    )


def _details(feature: Body, customer: Body, typed: Values) -> Html:
    """The fields that may be changed are sent; the others are only shown."""
    allowed = feature["allowed_updates"]
    state = {f"{n}_state": Html("" if n in allowed else "disabled") for n in ("email", "name")}
    known = {name: typed.get(name, customer[name] or "") for name in ("email", "name")}
    changes = {"email", "name"} & set(allowed)
    return fill("portal_details", button=fill("save") if changes else Html(), **known, **state)


def _configuration(work: Work, session: Body) -> Body:
    return work.find("billing_portal.configuration", session["configuration"])


def _features(work: Work, session: Body) -> Body:
    features: Body = _configuration(work, session)["features"]
    return features


def _after(session: Body, action: str) -> str:
    """Back to the portal, or to where a completed flow leads."""
    redirect = session["flow"] and session["flow"]["after_completion"]["redirect"]
    if redirect and action in ("add", "details"):
        return str(redirect["return_url"])
    return f"/p/session/{session['id']}"


def _gone(work: Work, request: Request) -> Response:
    session = work.get("billing_portal.session", request.path_params["session"])
    if session is None:
        text = "The address is wrong, or the sandbox was emptied."
        return notice("No such portal", text, status=404)
    text = "Links to the portal last a short time. Go back and open it again."
    return notice("This link has expired", text, link=("Back", session["return_url"]), status=410)
