"""Who am I; and development tokens, so that a laptop needs no identity provider."""

from datetime import UTC, datetime, timedelta
from typing import Final

import jwt
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from payments.context import Ctx
from payments.core import errors
from payments.core.errors import NotImplementedHere
from payments.core.principal import Authenticated, Principal, Role
from payments.core.schemas import Body, Email
from payments.settings import Settings

router = APIRouter(prefix="/auth", tags=["auth"])

LIFETIME: Final = timedelta(hours=1)


class Login(Body):
    """Whom to become, in development."""

    user_id: str = Field(min_length=1, max_length=200, examples=["u-1"])
    email: Email | None = Field(None, examples=["jenny@example.com"])
    role: Role = "user"


class Token(BaseModel):
    """A bearer token for the Authorization header."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int


@router.get("/me", responses=errors.problems(errors.Unauthenticated))
async def me(who: Authenticated) -> Principal:
    """The principal that this service sees in your token."""
    return who


@router.post(
    "/login",
    responses=errors.problems(errors.BodyTooLarge, errors.Invalid, errors.NotImplementedHere),
)
async def login(body: Login, ctx: Ctx) -> Token:
    """A development token. Elsewhere your identity provider issues tokens, and this answers 501."""
    if ctx.settings.environment != "development" or ctx.settings.secret_key is None:
        raise NotImplementedHere("tokens come from your identity provider, not from here")
    expires = LIFETIME
    token = issue(
        ctx.settings, user_id=body.user_id, email=body.email, role=body.role, lifetime=expires
    )
    return Token(access_token=token, expires_in=int(expires.total_seconds()))


@router.post(
    "/logout",
    status_code=204,
    responses=errors.problems(errors.Unauthenticated, errors.NotImplementedHere),
)
async def logout(who: Authenticated, ctx: Ctx) -> Response:  # noqa: ARG001 - a principal is needed
    """Nothing is kept on the server: drop the token. Elsewhere than in development: 501."""
    if ctx.settings.environment != "development":
        raise NotImplementedHere("sessions end at your identity provider, not here")
    return Response(status_code=204)


def issue(
    settings: Settings, *, user_id: str, email: str | None, role: Role, lifetime: timedelta
) -> str:
    """Sign a token with SECRET_KEY, in the claims that the settings name.

    Raises:
        NotImplementedHere: there is no SECRET_KEY to sign with.
    """
    if settings.secret_key is None:
        raise NotImplementedHere("SECRET_KEY is not set; with JWKS_URL your provider issues tokens")
    claims = {
        settings.jwt_user_claim: user_id,
        settings.jwt_role_claim: role,
        "exp": datetime.now(UTC) + lifetime,
        **({settings.jwt_email_claim: email} if email else {}),
        **({"aud": settings.jwt_audience} if settings.jwt_audience else {}),
        **({"iss": settings.jwt_issuer} if settings.jwt_issuer else {}),
    }
    return jwt.encode(claims, settings.secret_key.get_secret_value(), "HS256")
