"""Promotion codes: what a customer types to redeem a coupon."""

import secrets
from string import ascii_uppercase, digits

from stripe_sandbox.contract.errors import refused
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.changes import changes, given
from stripe_sandbox.engine.registry import Resource
from stripe_sandbox.engine.work import Work

promotion_codes = Resource(
    "promotion_code",
    id_prefix="promo",
    label="promotion code",
    param="promotion_code",
    filters={
        "code": lambda code, wanted: bool(str(code["code"]).casefold() == str(wanted).casefold()),
        "coupon": lambda code, wanted: bool(code["promotion"]["coupon"] == wanted),
    },
)

_FIELDS = "customer expires_at max_redemptions metadata"
_EXPIRE = "promotion_code.expire"


@promotion_codes.on("post", "/v1/promotion_codes", takes=f"{_FIELDS} code promotion")
def create(work: Work, params: Body) -> Body:
    if "customer" in params:
        work.find("customer", params["customer"], param="customer")
    coupon = params["promotion"].get("coupon", "")
    work.find("coupon", coupon, param="promotion[coupon]")
    text = params.get("code") or "".join(secrets.choice(ascii_uppercase + digits) for _ in range(8))
    _require_free(work, text)
    code = work.create(
        "promotion_code",
        **given(params, _FIELDS),
        active=True,
        code=text,
        promotion={"type": "coupon", "coupon": coupon},
        restrictions={"first_time_transaction": False},
    )
    if code["expires_at"]:
        work.schedule(_EXPIRE, code, at=code["expires_at"])
    work.emit("promotion_code.created", code)
    return code


@promotion_codes.on("post", "/v1/promotion_codes/{promotion_code}", takes="active metadata")
def update(work: Work, params: Body, promotion_code: str) -> Body:
    code = work.find("promotion_code", promotion_code)
    if params.get("active") and not code["active"]:
        _require_free(work, code["code"])
    work.announce("promotion_code.updated", code, **changes(code, params, "active metadata"))
    return code


@promotion_codes.job(_EXPIRE)
def expire(work: Work, subject: str) -> None:
    work.announce("promotion_code.updated", work.find("promotion_code", subject), active=False)


def _require_free(work: Work, text: str) -> None:
    """Customers type it in either case."""
    if any(c["code"].upper() == text.upper() for c in work.every("promotion_code", active=True)):
        raise refused(
            f"An active promotion code with `code: {text}` already exists.",
            code="resource_already_exists",
            param="code",
        )
