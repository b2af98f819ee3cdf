"""The dashboard at `/`: what the sandbox holds, what happened to it, and its switches."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError, refused
from stripe_sandbox.engine.calls import Call, perform
from stripe_sandbox.engine.chaos import Chaos, Story
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.engine.work import CLOCK, DELIVERY, JOB, Origin
from stripe_sandbox.pages import browsing
from stripe_sandbox.pages.rendering import form_values, notice, render, see_other
from stripe_sandbox.resources import webhook_endpoints

Values = dict[str, str]
_LATEST = 8
_DAY = 24 * 3600


class Dashboard:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        shown = {
            "/": self.overview,
            "/dashboard/find": self.find,
            "/dashboard/objects/id/{id:path}": self.one,
            "/dashboard/objects/{kind}": self.objects,
            "/dashboard/requests": self.requests,
            "/dashboard/requests/{request}": self.request,
            "/dashboard/webhooks": self.webhooks,
            "/dashboard/clocks": self.clocks,
            "/dashboard/switches": self.switches,
            "/dashboard/reset": self.ask_to_reset,
        }
        routes = [Route(path, show, methods=["GET"]) for path, show in shown.items()]
        return [*routes, Route("/dashboard/do/{action}", self.act, methods=["POST"])]

    async def overview(self, _: Request) -> Response:
        with self._sandbox.work() as work:
            return self._page(
                "overview",
                "Overview",
                counts=browsing.counts(work),
                events=[browsing.listed(work, e) for e in islice(work.every("event"), _LATEST)],
                calls=list(islice(reversed(self._sandbox.requests), _LATEST)),
            )

    async def find(self, request: Request) -> Response:
        id = request.query_params.get("id", "").strip()
        return see_other(f"/dashboard/objects/id/{id}")

    async def objects(self, request: Request) -> Response:
        kind, wanted = request.path_params["kind"], request.query_params.get("wanted", "")
        before = request.query_params.get("before", "")
        with self._sandbox.work() as work:
            if kind not in browsing.counts(work) and kind not in work.catalogue.resources:
                return notice("No such kind of object", kind, link=("Overview", "/"), status=404)
            found = browsing.objects(work, kind, wanted=wanted, before=before)
            return self._page(
                "objects",
                kind,
                kind=kind,
                wanted=wanted,
                found=[browsing.listed(work, body) for body in found[: browsing.PAGE]],
                more=len(found) > browsing.PAGE,
            )

    async def one(self, request: Request) -> Response:
        id = request.path_params["id"]
        with self._sandbox.work() as work:
            body = work.find_anywhere(id)
            if body is None:
                text = f"Nothing here has the id {id}."
                return notice("No such object", text, link=("Overview", "/"), status=404)
            of_event = body["object"] == "event"
            return self._page(
                "object",
                id,
                body=body,
                json=browsing.linked(work, body),
                events=[] if of_event else browsing.events_about(work, id),
                delivery=browsing.delivery(work, body) if of_event else "",
                attempts=[a for a in reversed(self._sandbox.courier.attempts) if a.event == id],
                waiting=browsing.deliveries_of(work, body) if of_event else [],
                endpoints=list(work.every("webhook_endpoint", status="enabled")),
                now=time.time(),
            )

    async def requests(self, _: Request) -> Response:
        return self._page("requests", "Requests", calls=list(reversed(self._sandbox.requests)))

    async def request(self, request: Request) -> Response:
        id = request.path_params["request"]
        call = next((call for call in self._sandbox.requests if call.id == id), None)
        if call is None:
            text = "Only the last 500 calls are kept, and only while the sandbox runs."
            link = ("Requests", "/dashboard/requests")
            return notice("No such request", text, link=link, status=404)
        return self._page("request", id, call=call)

    async def webhooks(self, _: Request) -> Response:
        courier = self._sandbox.courier
        with self._sandbox.work() as work:
            return self._page(
                "webhooks",
                "Webhooks",
                endpoints=list(work.every("webhook_endpoint")),
                secret=lambda endpoint: work.note(endpoint["id"])["secret"],
                paused=courier.paused,
                waiting=len(work.state.rows(DELIVERY)),
                attempts=list(islice(reversed(courier.attempts), browsing.PAGE // 2)),
            )

    async def clocks(self, _: Request) -> Response:
        with self._sandbox.work() as work:
            return self._page("clocks", "Test clocks", clocks=list(work.every(CLOCK)))

    async def switches(self, _: Request) -> Response:
        rates = {name: rate for name, rate in self._sandbox.story.chaos.rates.items() if rate}
        return self._page(
            "switches",
            "Switches",
            rates=rates,
            seed=self._sandbox.story.chaos.seed,
            names=list(Chaos().rates),
            waiting=len(self._sandbox.state.rows(JOB)),
        )

    async def ask_to_reset(self, _: Request) -> Response:
        return self._page("reset", "Reset")

    async def act(self, request: Request) -> Response:
        action = self._actions().get(request.path_params["action"])
        if action is None:
            return notice("No such action", "The dashboard has no such button.", status=404)
        values = await form_values(request)
        try:
            return see_other(action(values))
        except (StripeError, ValueError, KeyError) as error:
            link = ("Back to the dashboard", "/")
            return notice("That did not work", str(error), link=link, status=400)

    def _actions(self) -> dict[str, Callable[[Values], str]]:
        """What each button does; the answer is where it leads."""
        return {
            "resend": self._resend,
            "add": self._add_endpoint,
            "enable": lambda values: self._switch(values, disabled="false"),
            "disable": lambda values: self._switch(values, disabled="true"),
            "roll": self._roll,
            "pause": lambda _: self._then(self._sandbox.courier.pause, "webhooks"),
            "resume": lambda _: self._then(self._sandbox.courier.resume, "webhooks"),
            "advance": self._advance,
            "chaos": self._begin_chaos,
            "settle": lambda _: self._then(self._sandbox.settle, "switches"),
            "reset": lambda _: self._then(self._sandbox.reset, ""),
        }

    def _resend(self, values: Values) -> str:
        event = values["event"]
        self._ask(f"events/{event}/retry", webhook_endpoint=values["endpoint"])
        return f"/dashboard/objects/id/{event}"

    def _add_endpoint(self, values: Values) -> str:
        types = values.get("types", "").replace(",", " ").split() or ["*"]
        listed = {str(n): type for n, type in enumerate(types)}
        self._ask("webhook_endpoints", url=values["url"], enabled_events=listed)
        return "/dashboard/webhooks"

    def _switch(self, values: Values, *, disabled: str) -> str:
        self._ask(f"webhook_endpoints/{values['endpoint']}", disabled=disabled)
        return "/dashboard/webhooks"

    def _roll(self, values: Values) -> str:
        with self._sandbox.work() as work:
            hours = float(values["hours"])
            webhook_endpoints.roll(work, values["endpoint"], expires_after=hours * 3600)
        return "/dashboard/webhooks"

    def _advance(self, values: Values) -> str:
        clock = values["clock"]
        if "days" in values:
            frozen = (self._sandbox.state.get(CLOCK, clock) or {}).get("frozen_time", 0)
            target = frozen + int(values["days"]) * _DAY
        else:
            target = int(datetime.fromisoformat(values["to"]).replace(tzinfo=UTC).timestamp())
        self._ask(f"test_helpers/test_clocks/{clock}/advance", frozen_time=str(target))
        return "/dashboard/clocks"

    def _begin_chaos(self, values: Values) -> str:
        seed = values.get("seed", "").strip()
        chaos = Chaos.read(values["rates"].strip() or "0", seed=int(seed) if seed else None)
        self._sandbox.story = Story(chaos)
        return "/dashboard/switches"

    @staticmethod
    def _then(do: Callable[[], object], page: str) -> str:
        do()
        return f"/dashboard/{page}" if page else "/"

    def _ask(self, path: str, **params: Any) -> None:
        """A call of the API, as any client would make it."""
        answer = perform(self._sandbox, Call("post", f"/v1/{path}", params, Origin()))
        if answer.status != HTTPStatus.OK:
            raise refused(orjson.loads(answer.content)["error"]["message"])

    def _page(self, template: str, title: str, **values: Any) -> Response:
        config = self._sandbox.config
        return render(f"dashboard/{template}.html", title=title, config=config, **values)
