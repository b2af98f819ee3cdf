"""The API of the development stack: the product, with fixed tokens and the demo shop beside it."""

from fastapi import FastAPI, Request

from payments import app
from payments.core.principal import JWTAuthenticator, Principal, bearer
from payments.dev.shop.pages import router as shop
from payments.dev.surroundings import TOKENS
from payments.settings import UnsafeSettings, load


def create_app() -> FastAPI:
    settings = load()
    if settings.environment != "development":
        raise UnsafeSettings("the development API has fixed tokens: unset ENVIRONMENT")
    fixed = {token: Principal.model_validate(who) for token, who in TOKENS.items()}
    verified = settings.authenticate or JWTAuthenticator(settings)

    async def authenticate(request: Request) -> Principal | None:
        return fixed.get(bearer(request) or "") or await verified(request)

    return app.create_app(settings, authenticate=authenticate, routers=[shop])
