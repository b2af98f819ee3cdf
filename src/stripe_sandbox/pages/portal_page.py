"""The customer portal: a customer's details, payment methods and bills."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError, invalid
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import Work
from stripe_sandbox.pages import portal_plans
from stripe_sandbox.pages.checkout_page import test_numbers
from stripe_sandbox.pages.rendering import form_values, notice, render, see_other
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
    name, action = _ACTIONS.get(values.get("action", ""), ("", None))
    feature = _features(work, session).get(name, {})
    if action is None or not feature["enabled"]:
        raise invalid("The portal's settings do not allow this.")
    action(work, session["customer"], values, feature)


def _update_details(work: Work, customer: str, values: Values, feature: Body) -> None:
    allowed = values.keys() & {"email", "name"} & set(feature["allowed_updates"])
    new: Body = {name: values[name].strip() for name in sorted(allowed)}
    if "email" in new and "@" not in new["email"]:
        raise invalid(f"Invalid email address: {new['email']}", param="email")
    customers.update(work, new, customer=customer)


def _add_method(work: Work, customer: str, values: Values, feature: Body) -> None:
    """A new card pays from now on, as it does on Stripe's page."""
    body = work.find("customer", customer)
    billing = {"name": values.get("holder") or None, "email": body["email"]}
    card = {"type": "card", "card": {"number": values.get("number", "")}}
    method = payment_methods.method_from_data(work, {**card, "billing_details": billing})
    payment_methods.attach(work, method, body)
    _make_default(work, customer, {"method": method["id"]}, feature)


def _make_default(work: Work, customer: str, values: Values, _: Body) -> None:
    method = payment_methods.one_of_customer(
        work, customer=customer, payment_method=values.get("method", "")
    )
    settings = {"default_payment_method": method["id"]}
    customers.update(work, {"invoice_settings": settings}, customer=customer)


def _remove_method(work: Work, customer: str, values: Values, _: Body) -> None:
    method = payment_methods.one_of_customer(
        work, customer=customer, payment_method=values.get("method", "")
    )
    payment_methods.detach(work, method)


_ACTIONS: dict[str, tuple[str, Callable[[Work, str, Values, Body], None]]] = {
    **portal_plans.ACTIONS,
    "details": ("customer_update", _update_details),
    "add": ("payment_method_update", _add_method),
    "default": ("payment_method_update", _make_default),
    "remove": ("payment_method_update", _remove_method),
}


_COMPLETING = ("add", "cancel", "details", "switch")


def _portal(
    work: Work, session: Body, *, problem: str = "", typed: Values | None = None
) -> Response:
    customer = work.find("customer", session["customer"])
    features = _features(work, session)
    name, email = customer["name"] or "", customer["email"] or ""
    return render(
        "portal.html",
        title="Customer portal",
        session=session,
        customer=customer,
        headline=_configuration(work, session)["business_profile"]["headline"]
        or f"Your account with {NAME}",
        problem=problem,
        shown=_shown(session, features),
        features=features,
        subscriptions=portal_plans.plans_of(work, customer["id"], features),
        invoices=portal_plans.bills_of(work, customer["id"]),
        typed={"number": "", "holder": name, "name": name, "email": email, **(typed or {})},
        methods=[
            _method(customer, m) for m in work.every("payment_method", customer=customer["id"])
        ],
        numbers=test_numbers(["card"]),
        changeable={"email", "name"} & set(features["customer_update"]["allowed_updates"]),
    )


def _shown(session: Body, features: Body) -> set[str]:
    """The sections that the configuration allows; a flow is about one of them alone."""
    flow = (session["flow"] or {}).get("type")
    enabled = {name for name, feature in features.items() if feature["enabled"]}
    return enabled & {flow} if flow else enabled


def _method(customer: Body, method: Body) -> Body:
    details = method[method["type"]]
    kind = details.get("display_brand") or method["type"].replace("_", " ")
    return {
        "id": method["id"],
        "what": f"{kind.capitalize()} ending in {details['last4']}",
        "is_default": method["id"] == customer["invoice_settings"]["default_payment_method"],
    }


def _configuration(work: Work, session: Body) -> Body:
    return work.find("billing_portal.configuration", session["configuration"])


def _features(work: Work, session: Body) -> Body:
    features: Body = _configuration(work, session)["features"]
    return features


def _after(session: Body, action: str) -> str:
    """Back to the portal, or to where a completed flow leads."""
    redirect = session["flow"] and session["flow"]["after_completion"]["redirect"]
    if redirect and action in _COMPLETING:
        return str(redirect["return_url"])
    return f"/p/session/{session['id']}"


def _gone(work: Work, request: Request) -> Response:
    session = work.get("billing_portal.session", request.path_params["session"])
    if session is None:
        text = "The address is wrong, or the sandbox was emptied."
        return notice("No such portal", text, status=404)
    text = "Links to the portal last a short time. Go back and open it again."
    return notice("This link has expired", text, link=("Back", session["return_url"]), status=410)
