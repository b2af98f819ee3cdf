"""The API over HTTP: authentication, idempotency keys, faults, and the headers of an answer."""

import asyncio
import base64
import binascii
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import nullcontext
from email.utils import formatdate
from http import HTTPStatus

import httpx2
import stripe
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stripe_sandbox.contract.errors import NO_KEY, StripeError, invalid, unauthorized
from stripe_sandbox.contract.forms import MalformedForm, parse_form, parse_multipart
from stripe_sandbox.contract.versions import in_todays_words, is_todays, version_of
from stripe_sandbox.engine import publishable
from stripe_sandbox.engine.calls import Answer, Call, find_route, perform
from stripe_sandbox.engine.faults import Fault, Plan
from stripe_sandbox.engine.request_log import KEPT, LoggedCall
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import Origin

log = logging.getLogger("stripe_sandbox.api")


_ONE_MORE_BYTE = [(b"content-length", b"1")]


class ConnectionCut(httpx2.RemoteProtocolError):
    """The sandbox hangs up. In process the client sees this very exception; over a socket, a
    connection that ends within the answer.
    """


class Api:
    """The ASGI application behind `/v1/`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = f"req_{secrets.token_hex(7)}"
        started = time.perf_counter()
        try:
            answer = await self._answer(request, request_id)
        except StripeError as error:
            answer = Answer.of_error(error)
        except ConnectionCut:
            self._note(request, request_id, Answer(0, b""), started)
            await send({"type": "http.response.start", "status": 200, "headers": _ONE_MORE_BYTE})
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.url.path)
            answer = Answer.of_error(StripeError(500, "api_error", "An unknown error occurred."))
        if getattr(request.state, "by_page", False):
            answer = publishable.redacted(answer)
        self._note(request, request_id, answer, started)
        log.info("%s %s %s %s", request.method, request.url.path, answer.status, request_id)
        headers = _headers(request, answer, request_id)
        response = Response(answer.content, answer.status, headers, answer.media_type)
        await response(scope, receive, send)

    def _note(self, request: Request, request_id: str, answer: Answer, started: float) -> None:
        self._sandbox.requests.append(
            LoggedCall(
                id=request_id,
                method=request.method,
                path=request.url.path,
                idempotency_key=request.headers.get("idempotency-key"),
                params=getattr(request.state, "params", {}),
                status=answer.status,
                content=answer.content[:KEPT],
                seconds=time.perf_counter() - started,
            )
        )

    async def _answer(self, request: Request, request_id: str) -> Answer:
        verb, path = request.method.lower(), request.url.path
        api_key = authenticate(request.headers.get("authorization"))
        route, ids = find_route(self._sandbox.catalogue, verb, path)
        self._sandbox.permissions.require(api_key, verb, path)
        key = request.headers.get("idempotency-key") if verb == "post" else None
        params = await _params(request)
        older = _is_older(request)
        params = in_todays_words(path, params) if older and verb == "post" else params
        request.state.params = params
        call = Call(verb, path, params, Origin(request_id, key), older=older)
        if api_key.startswith("pk_"):
            request.state.by_page = True
            with self._sandbox.work() as work:
                call = publishable.admit(work, call, route, ids)
        fault = self._sandbox.faults.spend(request.method, path)
        plan = Plan.of(fault or self._sandbox.story.strike(str(route)))
        request.state.clock_skew = plan.clock_skew
        with self._sandbox.keys.held(key) if key else nullcontext():
            if plan.before:
                await _suffer(plan.before)
            if not plan.after:
                return perform(self._sandbox, call)
            answer = perform(self._sandbox, call, instead=_error(plan.after))
            await _suffer(plan.after)
            return answer


def authenticate(header: str | None) -> str:
    """The test key, any one, given as Bearer token or as the user name of basic authentication.

    Raises:
        StripeError: there is no key, it looks like none, or it is a live one.
    """
    key = _key(header)
    if not key:
        raise unauthorized(NO_KEY)
    if key.startswith(("sk_live_", "rk_live_", "pk_live_")):
        raise unauthorized("This is an offline sandbox: it refuses live keys. Keep yours secret.")
    if not key.startswith(("sk_test_", "rk_test_", "pk_test_")):
        raise unauthorized(f"Invalid API Key provided: {key[:4]}{'*' * len(key[4:])}")
    return key


def _key(header: str | None) -> str:
    scheme, _, credentials = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _params(request: Request) -> dict[str, object]:
    kind = request.headers.get("content-type", "")
    multipart, _, boundary = kind.partition("; boundary=")
    if multipart == "multipart/form-data" and request.url.path == "/v1/files":
        return _parsed(parse_multipart, boundary.strip('"'), await request.body())
    if request.method == "POST" and kind.startswith(("multipart/", "application/json")):
        raise invalid(f"The v1 API reads form-encoded parameters, not {kind.partition(';')[0]}.")
    body = await request.body() if request.method == "POST" else b""
    return _parsed(parse_form, request.url.query, body)


def _parsed(parse: Callable[..., dict[str, object]], *form: object) -> dict[str, object]:
    try:
        return parse(*form)
    except MalformedForm as error:
        raise invalid(f"Invalid {error}", param=str(error)) from None


async def _suffer(fault: Fault) -> None:
    await asyncio.sleep(fault.delay_seconds)
    if fault.cut:
        raise ConnectionCut("the sandbox cut the connection, as it was told to")
    error = _error(fault)
    if error and fault.when == "before":
        raise error


def _error(fault: Fault) -> StripeError | None:
    if fault.status is None:
        return None
    kind = (
        "api_error" if fault.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    )
    code = "rate_limit" if fault.status == HTTPStatus.TOO_MANY_REQUESTS else None
    text = f"A fault of the sandbox: {fault.status} {fault.when} the work."
    return StripeError(fault.status, kind, text, code=code)


def _is_older(request: Request) -> bool:
    version = request.headers.get("stripe-version")
    if version is not None and not is_todays(version):
        log.warning("asked for version %s; the answers are of %s", version, stripe.api_version)
    return not is_todays(version_of(version))


def _headers(request: Request, answer: Answer, request_id: str) -> dict[str, str]:
    now = time.time() + getattr(request.state, "clock_skew", 0)
    headers = {
        "Date": formatdate(now, usegmt=True),
        "Request-Id": request_id,
        "Stripe-Version": version_of(request.headers.get("stripe-version")),
    }
    key = request.headers.get("idempotency-key")
    if key and request.method == "POST":
        headers["Idempotency-Key"] = key
        headers["Original-Request"] = answer.first_request or request_id
    if answer.replayed:
        headers["Idempotent-Replayed"] = "true"
    return headers
