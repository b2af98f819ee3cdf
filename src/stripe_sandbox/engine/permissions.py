"""Keys that may not do everything: restricted ones, and ones that were revoked."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stripe_sandbox.config import ACCOUNT
from stripe_sandbox.contract.errors import StripeError, unauthorized

# Stripe names a permission after the resource, with these exceptions.
_STEMS = {
    "account": "accounts_kyc_basic",
    "accounts": "accounts_kyc_basic",
    "balance_transactions": "balance",
    "billing_portal": "customer_portal",
    "checkout": "checkout_session",
    "payment_pages": "checkout_session",
    "prices": "plan",
    "refunds": "charge",
    "webhook_endpoints": "webhook",
}


class KeyRule(BaseModel):
    """What one key may do.

    Attributes:
        allow: `customers:write`, `charges:read` and the like, by the first word of the paths;
            writing includes reading.
        revoked: it may do nothing at all.
    """

    model_config = ConfigDict(extra="forbid")

    key: str = Field(pattern=r"^(sk|rk)_test_\w+$")
    allow: list[str] = Field(default=[])
    revoked: bool = False

    @field_validator("allow")
    @classmethod
    def _are_pairs(cls, allow: list[str]) -> list[str]:
        wrong = [entry for entry in allow if not entry.endswith((":read", ":write"))]
        if wrong:
            raise ValueError(f"{wrong[0]} is not like customers:read or customers:write")
        return allow

    def permits(self, permission: str) -> bool:
        held = {_permission(*entry.split(":", 1)) for entry in self.allow}
        return permission in held or permission.replace("_read", "_write") in held


class Permissions:
    """The rules for the keys that have one; every other test key may do everything."""

    def __init__(self) -> None:
        self._rules: dict[str, KeyRule] = {}

    def add(self, rule: KeyRule) -> None:
        self._rules[rule.key] = rule

    def clear(self) -> None:
        self._rules.clear()

    def require(self, key: str, verb: str, path: str) -> None:
        """Let the request pass.

        Raises:
            StripeError: 401 for a revoked key, 403 for one that lacks the permission.
        """
        rule = self._rules.get(key)
        if rule is None:
            return
        shown = f"{key[:8]}***"
        if rule.revoked:
            raise unauthorized(f"Invalid API Key provided: {shown}")
        permission = _permission(path.split("/")[2], "read" if verb == "get" else "write")
        if not rule.permits(permission):
            raise StripeError(
                403,
                "invalid_request_error",
                f"The provided key '{shown}' does not have the required permissions for this"
                f" endpoint on account '{ACCOUNT}'. Having the '{permission}' permission would"
                " allow this request to continue.",
                executed=False,
            )


def _permission(resource: str, access: str) -> str:
    return f"rak_{_STEMS.get(resource, resource.removesuffix('s'))}_{access}"
