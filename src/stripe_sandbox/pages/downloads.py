"""The public addresses of file links."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.contract.errors import StripeError
from stripe_sandbox.engine.sandbox import Sandbox
from stripe_sandbox.pages.rendering import notice
from stripe_sandbox.resources.files import open_link


class Downloads:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        return [Route("/links/{key}", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        try:
            with self._sandbox.work() as work:
                file = open_link(work, request.path_params["key"])
        except StripeError:
            return notice("Not found", "This link has expired, or never was.", status=404)
        return Response(file.content, media_type=file.media_type)
