"""The walk as the Python SDK makes it; how a call is made is the only difference between two."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import stripe

from sandbox.walk.steps import Json, Step

Perform = Callable[[Step, list[str], Json], Awaitable[Json]]


class Walk:
    """One story; what is not as it should be is collected, one sentence each."""

    def __init__(self, perform: Perform, http: httpx2.AsyncClient) -> None:
        self.problems: list[str] = []
        self._perform = perform
        self._http = http
        self._known: Json = {}

    async def take(self, steps: list[Step]) -> list[str]:
        for number, step in enumerate(steps, 1):
            where = f"{number}. {step.call}"
            try:
                answer = await self._answer(step)
            except KeyError as error:
                return [*self.problems, f"{where}: nothing is known of {error}"]
            self._known[step.called] = answer
            for path, wanted in step.sees.items():
                found = look(answer, path)
                if not fits(found, self._resolved(wanted)):
                    self.problems.append(f"{where}: {path} is {found!r}, not {wanted!r}")
        return self.problems

    async def _answer(self, step: Step) -> Json:
        words = [self._resolved(word) for word in step.call.split()]
        params = self._resolved(step.params)
        try:
            answer = await self._made(step, words, params)
        except stripe.StripeError as error:
            if not step.fails:
                self.problems.append(f"{step.call} failed: {error}")
            return described(error)
        if step.fails:
            self.problems.append(f"{step.call} did not fail")
        return answer

    async def _made(self, step: Step, words: list[str], params: Json) -> Json:
        if words == ["settle"]:
            return dict((await self._http.post("/_sandbox/settle")).json())
        if words[0] == "download":
            answer = await self._http.get(words[1])
            kind = answer.headers["content-type"]
            return {"status": answer.status_code, "text": answer.text, "type": kind}
        return await self._perform(step, words, params)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._resolved(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._resolved(member) for member in value]
        if not isinstance(value, str):
            return value
        if value.startswith("$"):
            return self._known_as(value)
        return re.sub(r"\{(\$[\w.]+)\}", lambda found: str(self._known_as(found[1])), value)

    def _known_as(self, reference: str) -> Any:
        name, _, path = reference[1:].partition(".")
        found = look(self._known[name], path) if path else self._known[name]
        if found is None:
            raise KeyError(reference)
        return found


def look(answer: Any, path: str) -> Any:
    """What stands at a dotted path; None where there is nothing."""
    for part in path.split("."):
        if part == "#":
            return len(answer or [])
        if isinstance(answer, list):
            answer = answer[int(part)] if int(part) < len(answer) else None
        else:
            answer = answer.get(part) if isinstance(answer, dict) else None
    return answer


def fits(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and wanted.startswith("~"):
        return isinstance(found, str) and re.search(wanted[1:], found) is not None
    return bool(found == wanted)


def described(error: stripe.StripeError) -> Json:
    body = error.error.to_dict() if error.error else {}
    return {**body, "class": type(error).__name__, "status": error.http_status}


def asynchronous(client: stripe.StripeClient) -> Perform:
    async def perform(step: Step, words: list[str], params: Json) -> Json:
        if words[0] in ("GET", "POST", "DELETE"):
            answer = await client.raw_request_async(words[0].lower(), words[1], **params)
            return plain(client, answer)
        if words[0] == "all":
            page = await method(client, f"{words[1]}_async")(params)
            return {"data": [found.to_dict() async for found in page.auto_paging_iter()]}
        call = method(client, f"{words[0]}_async")
        return dict((await call(*words[1:], params, step.options)).to_dict())

    return perform


def synchronous(client: stripe.StripeClient) -> Callable[[Step, list[str], Json], Json]:
    def perform(step: Step, words: list[str], params: Json) -> Json:
        if words[0] in ("GET", "POST", "DELETE"):
            return plain(client, client.raw_request(words[0].lower(), words[1], **params))
        if words[0] == "all":
            page = method(client, words[1])(params)
            return {"data": [found.to_dict() for found in page.auto_paging_iter()]}
        return dict(method(client, words[0])(*words[1:], params, step.options).to_dict())

    return perform


def plain(client: stripe.StripeClient, answer: Any) -> Json:
    return client.deserialize(answer, api_mode="V1").to_dict()


def method(client: stripe.StripeClient, name: str) -> Any:
    found: Any = client.v1
    for part in name.split("."):
        found = getattr(found, part)
    return found
