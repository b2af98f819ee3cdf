"""Who asks: a principal from a JWT, or from the adopter's own `authenticate(request)`."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

import jwt
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict

from payments.core.errors import Forbidden, Unauthenticated, Unavailable
from payments.core.schemas import EMAIL_PATTERN
from payments.settings import Settings

EMAIL: Final = re.compile(EMAIL_PATTERN)

Role = Literal["user", "service", "admin"]


class Principal(BaseModel):
    """A caller. A user acts for himself; a service for any user it names and may set prices (no
    refunds); an admin for everybody.
    """

    model_config = ConfigDict(frozen=True)

    user_id: str
    email: str | None = None
    role: Role = "user"

    @property
    def privileged(self) -> bool:
        """Whether this caller may name amounts and act for others."""
        return self.role != "user"

    def sees(self, user_id: str | None) -> bool:
        """Whether an object of that user may be shown; where not, it is a 404."""
        return self.privileged or (user_id is not None and user_id == self.user_id)


def ensure_admin(who: Principal, said: str) -> None:
    """Let admins pass; everybody else is told why not.

    Raises:
        Forbidden: with what was said.
    """
    if who.role != "admin":
        raise Forbidden(said)


Authenticate = Callable[[Request], Awaitable[Principal | None]]


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


SCHEME = HTTPBearer(auto_error=False, description="a JWT of yours, or a development token")


async def caller(request: Request) -> Principal | None:
    """Who asks, or None. Found out once a request, an error too.

    Raises:
        Exception: what the way to a principal raised.
    """
    if not hasattr(request.state, "caller"):
        authenticate: Authenticate = request.app.state.authenticate
        try:
            request.state.caller = await authenticate(request)
        except Exception as exc:  # noqa: BLE001 - kept for whoever asks next
            request.state.caller = exc
    found: Principal | Exception | None = request.state.caller
    if isinstance(found, Exception):
        raise found
    return found


async def principal(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Security(SCHEME)] = None,
) -> Principal:
    """The caller of this request.

    Raises:
        Unauthenticated: no token, or one that does not verify.
    """
    found = await caller(request)
    if found is None:
        raise Unauthenticated("send `Authorization: Bearer <token>`")
    return found


Authenticated = Annotated[Principal, Depends(principal)]


def _signing_key(keys: jwt.PyJWKClient, token: str) -> jwt.PyJWK:
    """The key that a token names.

    Raises:
        PyJWTError: the token is malformed, or names a key that the provider does not have.
        PyJWKSetError: what the provider says is no key set.
    """
    try:
        keys.get_jwk_set()
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError) as exc:
        raise jwt.PyJWKSetError("the provider's answer is no key set") from exc
    return keys.get_signing_key_from_jwt(token)


class JWTAuthenticator:
    """Verifies a JWT by SECRET_KEY (HS256) or JWKS_URL; algorithms are pinned, exp and the user
    claim required.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = settings.secret_key.get_secret_value() if settings.secret_key else None
        self._jwks = jwt.PyJWKClient(settings.jwks_url, timeout=5) if settings.jwks_url else None

    async def __call__(self, request: Request) -> Principal | None:
        token = bearer(request)
        if token is None:
            return None
        try:
            claims = await self._claims(token)
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError) as exc:
            raise Unavailable("the identity provider does not give its keys") from exc
        except jwt.PyJWTError as exc:
            raise Unauthenticated(f"the token does not verify: {exc}") from exc
        return self._principal(claims)

    async def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        if self._jwks is not None:
            # The client fetches with urllib, so it goes to a thread; keys are cached there.
            key = (await asyncio.to_thread(_signing_key, self._jwks, token)).key
            algorithms = [name.strip() for name in settings.jwt_algorithms.split(",")]
        elif self._secret is not None:
            key, algorithms = self._secret, ["HS256"]
        else:
            raise Unauthenticated("no SECRET_KEY or JWKS_URL is set, so no token can be verified")
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            options={
                "require": ["exp"],
                "verify_sub": False,  # a number will do; the claim is checked below
                "verify_aud": settings.jwt_audience is not None,
            },
        )

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        user = text_of(claim(claims, self._settings.jwt_user_claim))
        if user is None:
            raise Unauthenticated(f"the token has no claim {self._settings.jwt_user_claim!r}")
        email = claim(claims, self._settings.jwt_email_claim)
        return Principal(
            user_id=user,
            email=email if isinstance(email, str) and EMAIL.match(email) else None,
            role=strongest(claim(claims, self._settings.jwt_role_claim)),
        )


def text_of(value: Any) -> str | None:
    """An id as text: providers send strings or numbers; None for what names nobody."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    named = str(value)
    return named if named and named.isprintable() else None


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The value at `a.b`, or at the literal name `a.b` (namespaced claims hold dots); else None."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def strongest(roles: Any) -> Role:
    """A claim holds a role or several; what is not ours makes a plain user."""
    listed = roles if isinstance(roles, list) else [roles]
    named = {role for role in listed if isinstance(role, str)}
    if "admin" in named:
        return "admin"
    return "service" if "service" in named else "user"
