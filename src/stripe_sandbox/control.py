"""The switches of the sandbox itself, under `/_sandbox`."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.contract.responses import Body
from stripe_sandbox.engine.chaos import Chaos, Story
from stripe_sandbox.engine.faults import Fault
from stripe_sandbox.engine.permissions import KeyRule
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import DELIVERY, JOB
from stripe_sandbox.resources import webhook_endpoints
from stripe_sandbox.resources.disputes import win_late

_Model = TypeVar("_Model", bound=BaseModel)


class Roll(BaseModel):
    """A new signing secret; the old one lives on for a while (seconds)."""

    model_config = ConfigDict(extra="forbid")

    expires_after: float = Field(default=24 * 3600, ge=0)


class Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [
            Route("/_sandbox/reset", self.reset, methods=["POST"]),
            Route("/_sandbox/health", self.health, methods=["GET"]),
            Route("/_sandbox/settle", self.settle, methods=["POST"]),
            Route("/_sandbox/disputes/{dispute}/win", self.win_dispute, methods=["POST"]),
            Route("/_sandbox/faults", self.add_fault, methods=["POST"]),
            Route("/_sandbox/faults", self.clear_faults, methods=["DELETE"]),
            Route("/_sandbox/chaos", self.show_chaos, methods=["GET"]),
            Route("/_sandbox/chaos", self.set_chaos, methods=["POST"]),
            Route("/_sandbox/chaos", self.end_chaos, methods=["DELETE"]),
            Route("/_sandbox/keys", self.add_key, methods=["POST"]),
            Route("/_sandbox/keys", self.clear_keys, methods=["DELETE"]),
            Route("/_sandbox/webhook_endpoints/{endpoint}/roll", self.roll, methods=["POST"]),
            Route("/_sandbox/webhooks/pause", self.pause, methods=["POST"]),
            Route("/_sandbox/webhooks/resume", self.resume, methods=["POST"]),
        ]

    async def health(self, _: Request) -> Response:
        state = self._sandbox.state
        return JSONResponse(
            {
                "status": "ok",
                "waiting_deliveries": len(state.rows(DELIVERY)),
                "waiting_jobs": len(state.rows(JOB)),
                "webhooks_paused": self._sandbox.courier.paused,
            }
        )

    async def reset(self, _: Request) -> Response:
        self._sandbox.reset()
        return Response(status_code=204)

    async def settle(self, _: Request) -> Response:
        return JSONResponse({"settled": self._sandbox.settle()})

    async def win_dispute(self, request: Request) -> Response:
        try:
            with self._sandbox.work() as work:
                return JSONResponse(win_late(work, request.path_params["dispute"]))
        except StripeError as error:
            return JSONResponse({"error": error.error}, error.status)

    async def add_fault(self, request: Request) -> Response:
        return await _add(request, Fault, self._sandbox.faults.add)

    async def clear_faults(self, _: Request) -> Response:
        self._sandbox.faults.clear()
        return Response(status_code=204)

    async def show_chaos(self, _: Request) -> Response:
        return JSONResponse(self._sandbox.story.chaos.model_dump())

    async def set_chaos(self, request: Request) -> Response:
        return await _add(request, Chaos, self._begin)

    async def end_chaos(self, _: Request) -> Response:
        self._begin(Chaos())
        return Response(status_code=204)

    async def add_key(self, request: Request) -> Response:
        return await _add(request, KeyRule, self._sandbox.permissions.add)

    async def clear_keys(self, _: Request) -> Response:
        self._sandbox.permissions.clear()
        return Response(status_code=204)

    async def roll(self, request: Request) -> Response:
        def run(wish: Roll) -> Body:
            with self._sandbox.work() as work:
                id = request.path_params["endpoint"]
                return webhook_endpoints.roll(work, id, expires_after=wish.expires_after)

        return await _add(request, Roll, run)

    async def pause(self, _: Request) -> Response:
        self._sandbox.courier.pause()
        return JSONResponse({"webhooks_paused": True})

    async def resume(self, _: Request) -> Response:
        self._sandbox.courier.resume()
        return JSONResponse({"webhooks_paused": False})

    def _begin(self, chaos: Chaos) -> None:
        self._sandbox.story = Story(chaos)


async def _add(
    request: Request, model: type[_Model], add: Callable[[_Model], Body | None]
) -> Response:
    """Take what the body describes, or say what is wrong with it."""
    try:
        given = model.model_validate_json(await request.body() or b"{}")
        made = add(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return JSONResponse({"errors": problems}, 400)
    except StripeError as error:
        return JSONResponse({"error": error.error}, error.status)
    return JSONResponse(made or given.model_dump(), 201)
