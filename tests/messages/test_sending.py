"""At least once, whatever happens on the way; and nobody's fault is another's."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from core.test_cli import run
from messages.conftest import ADMINS, Configure
from messages.post_office import FULL, GONE, PostOffice
from payments.messages import post
from payments.messages.mail import server
from payments.messages.post import Post
from payments.settings import UnsafeSettings
from payments.sync.outbox import Message, enqueue
from world import Json, World

ANN, BOB = ADMINS
FACTS: Json = {
    "refund": "re_1", "payment": "pi_1", "reference": "booking:bk_1", "amount": 5000,
    "currency": "usd", "reason": None,
}  # fmt: skip


async def tell(world: World, n: int = 1) -> str:
    key = f"refund_failed:re_{n}"
    told = Message(key, "refund_failed", "admin", about="pi_1", facts=FACTS)
    async with world.ctx.db.transaction() as tx:
        await enqueue(tx, [told])
        await enqueue(tx, [told])
    return key


def opened(world: World) -> Post:
    return post.open_post(world.settings, world.ctx.sync)


async def row(world: World, key: str) -> Json:
    return dict(await world.db.fetchrow("select * from outbox where id = $1", key))


async def later(world: World) -> None:
    """Leases and delays have passed."""
    await world.db.execute("update outbox set not_before = now() where not_before is not null")


async def test_a_mail_server_that_is_away_delays_messages_and_loses_none(
    mailing: World, office: PostOffice
) -> None:
    await office.close()
    keys = [await tell(mailing, n) for n in range(7)]
    await mailing.work()
    for key in keys:
        left = await row(mailing, key)
        assert (left["attempts"], left["outcome"], left["delivered"]) == (0, None, ["log:"])
        assert left["not_before"] is not None
    await office.open()
    await later(mailing)
    await mailing.work()
    assert len(office.to(ANN)) == len(office.to(BOB)) == 7
    assert {(await row(mailing, key))["outcome"] for key in keys} == {"sent"}


async def test_a_worker_killed_after_sending_sends_again_with_the_same_message_id(
    mailing: World, office: PostOffice, configure: Configure
) -> None:
    configure(admin_emails=ANN)
    key = await tell(mailing)
    sending = asyncio.create_task(post.drain(opened(mailing)))

    async def kill() -> None:
        sending.cancel()
        office.taken = answer
        for _ in range(10):  # the task hears that it is over, then its connection is
            await asyncio.sleep(0)
        office.hang_up()

    answer, office.taken = office.taken, kill
    with suppress(asyncio.CancelledError):
        await sending
    left = await row(mailing, key)
    assert (left["outcome"], left["error"], left["delivered"]) == (None, None, [])
    await mailing.work()
    assert len(office.letters) == 1, "its lease keeps others away"
    await later(mailing)
    await mailing.work()
    first, second = office.letters
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]
    assert (await row(mailing, key))["outcome"] == "sent"


@pytest.mark.parametrize("answer", [GONE, FULL])
async def test_an_address_that_is_refused_keeps_nothing_from_the_others(
    mailing: World, office: PostOffice, answer: str
) -> None:
    office.refused[ANN] = answer
    key = await tell(mailing)
    for attempt in (1, 2):
        await mailing.work()
        left = await row(mailing, key)
        assert (left["attempts"], left["delivered"]) == (attempt, ["log:", f"mail:{BOB}"])
        await later(mailing)
    office.refused.clear()
    await mailing.work()
    assert (len(office.to(ANN)), len(office.to(BOB))) == (1, 1)
    assert (await row(mailing, key))["outcome"] == "sent"


async def test_a_message_is_dead_after_12_attempts_and_72_hours_and_is_alerted(
    mailing: World, office: PostOffice
) -> None:
    kind = {"kind": "dead_message"}
    before = REGISTRY.get_sample_value("payments_alerts_total", kind) or 0
    office.refused[ANN] = GONE
    key = await tell(mailing)
    await mailing.db.execute("update outbox set attempts = 11")
    await mailing.work()
    assert (await row(mailing, key))["outcome"] is None, "72 h have not passed"
    await mailing.db.execute("update outbox set received_at = now() - interval '73 hours'")
    await later(mailing)
    await mailing.work()
    dead = await row(mailing, key)
    assert (dead["outcome"], dead["not_before"]) == ("dead", None)
    assert "no such user here" in dead["error"]
    assert REGISTRY.get_sample_value("payments_alerts_total", kind) == before + 1


async def test_a_password_is_not_sent_in_the_open_nor_written_down(
    capfd: pytest.CaptureFixture[str], mailing: World, office: PostOffice, configure: Configure
) -> None:
    url = f"smtp://shop:hunter2@127.0.0.1:{office.port}"
    configure(smtp_url=SecretStr(url))
    key = await tell(mailing)
    await mailing.work()
    left = await row(mailing, key)
    assert (left["attempts"], left["delivered"]) == (0, ["log:"])
    assert "STARTTLS" in left["error"]
    assert office.letters == []
    said = capfd.readouterr()
    assert "STARTTLS" in said.err
    assert "hunter2" not in said.err + said.out + str(left) + repr(mailing.settings)


async def test_a_command_lists_what_was_given_up_and_sends_it_after_all(
    mailing: World, office: PostOffice
) -> None:
    url = mailing.settings.database_url
    assert url is not None
    said = partial(run, "messages", DATABASE_URL=url.get_secret_value())
    dead, waiting = await tell(mailing, 1), await tell(mailing, 2)
    await mailing.db.execute(
        "update outbox set attempts = 12, error = 'no such user', not_before = "
        "case when id = $1 then null else now() end, outcome = case when id = $1 then 'dead' end",
        dead,
    )
    listed = (await said("list")).stdout.splitlines()
    assert sorted(listed) == [
        f"dead      {dead}  12 attempts  no such user",
        f"pending   {waiting}  12 attempts  no such user",
    ]
    refused = await said("resend", waiting)
    assert refused.exit_code == 1
    assert f"not among the dead: {waiting}" in refused.output
    assert (await said("resend")).stdout == f"sent again  {dead}\n"
    await mailing.work()
    assert len(office.to(ANN)) == len(office.to(BOB)) == 2
    [entry] = await mailing.rows("select act, subject from audit_log")
    assert tuple(entry) == ("message.resent", dead)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("smtps://shop:p%40ss@mail.example", (465, "p@ss", True, False)),
        ("smtp://shop:p%3Ass@mail.example", (587, "p:ss", False, True)),
        ("smtp://mail.example:25", (25, None, False, None)),
    ],
)
def test_a_password_has_tls_around_it_from_the_start_or_by_starttls(
    url: str, found: tuple[object, ...]
) -> None:
    taken = server(url)
    assert taken["hostname"] == "mail.example"
    assert tuple(taken[name] for name in ("port", "password", "use_tls", "start_tls")) == found


def test_services_without_their_library_stop_the_start_and_name_it(
    world: World, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(apprise_urls=SecretStr("json://127.0.0.1"))
    monkeypatch.setitem(sys.modules, "payments.messages.services", None)
    with pytest.raises(UnsafeSettings, match=r"payments\[notify\]"):
        opened(world)


class Chat:
    """A service that takes a POST of JSON, as Apprise sends it to `json://…`."""

    def __init__(self) -> None:
        self.told: list[Json] = []
        self.status = "200 OK"

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        self.told.append(json.loads(await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def chat(configure: Configure) -> AsyncIterator[Chat]:
    heard = Chat()
    server = await asyncio.start_server(heard.hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    configure(apprise_urls=SecretStr(f"json://bot:hunter2@127.0.0.1:{port}"))
    yield heard
    server.close()
    await server.wait_closed()


# The library still imports it when it loads a service.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_a_service_tells_the_admins_and_is_asked_again_when_it_fails(
    capfd: pytest.CaptureFixture[str], world: World, chat: Chat
) -> None:
    chat.status = "500 Broken"
    key = await tell(world)
    await world.work()
    left = await row(world, key)
    assert (left["attempts"], left["outcome"]) == (1, None)
    chat.status = "200 OK"
    await later(world)
    await world.work()
    assert (await row(world, key))["outcome"] == "sent"
    assert [told["title"] for told in chat.told] == ["A refund of $50.00 failed"] * 2
    said = capfd.readouterr()
    assert "hunter2" not in said.err + said.out + str(await row(world, key))
