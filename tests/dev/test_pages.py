"""The demo's pages are whole, need nothing from elsewhere, and give away nothing else."""

import re

import httpx2
import pytest

from payments.app import create_app
from payments.dev.shop.pages import router as shop
from service.variants import served
from world import World

LOADED = re.compile(r"""(?:href|src|from) ?=? ?["']([^"'{}$]+\.(?:css|js))["']""")


@pytest.mark.parametrize("page", ["/demo", "/demo/plans", "/demo/admin"])
async def test_a_page_and_all_it_loads_are_served_from_here(world: World, page: str) -> None:
    async with served(create_app(world.settings, routers=[shop])) as api:
        seen: set[str] = set()
        await load(api, page, seen)
        markup = (await api.get(page)).text
    assert {page, "/demo/shop.css", "/demo/api.js", "/demo/page.js"} <= seen
    assert not re.search(r"\s(?:on\w+|style)=", markup), "its policy forbids what stands in a tag"


async def load(api: httpx2.AsyncClient, path: str, seen: set[str]) -> None:
    """Fetch a file and what it names, as a browser does."""
    seen.add(path)
    answer = await api.get(path)
    assert answer.status_code == 200, path
    for name in LOADED.findall(answer.text):
        assert name.startswith(("/demo/", "./")), f"{path} loads {name} from elsewhere"
        found = f"/demo/{name.removeprefix('/demo/').removeprefix('./')}"
        if found not in seen:
            await load(api, found, seen)


@pytest.mark.parametrize("name", ["pages.py", "nothing.js", "__init__.py"])
async def test_nothing_but_the_pages_files_is_served(world: World, name: str) -> None:
    async with served(create_app(world.settings, routers=[shop])) as api:
        answer = await api.get(f"/demo/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert name in answer.json()["detail"]
