"""Logs without secrets."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from payments.core import telemetry
from payments.core.telemetry import mask
from world import KEY, SECRET, Database, open_world

SECRETS = {
    "sk_test_51HabcDEF": "sk_test_***",
    "rk_live_abc123": "rk_live_***",
    "whsec_Abc0def": "whsec_***",
    "pi_1_secret_xYz9": "pi_1_secret_***",
    "cs_test_1_secret_fidpamZkaWAn": "cs_test_1_secret_***",
    "Bearer eyJhbGciOi.J9.abc-_": "Bearer ***",
    "bearer abc": "bearer ***",
}
PASSWORD, API_KEY = "hunter2", "sk_test_51HabcDEF"
NEEDLES = ("51HabcDEF", "abc123", "Abc0def", "xYz9", "fidpam", "eyJhbGciOi", "hunter2")


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def written(fmt: str, level: str = "debug") -> io.StringIO:
    telemetry.configure(level=level, fmt=fmt, stripe_debug=True)
    stream = io.StringIO()
    [handler] = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    return stream


@pytest.mark.parametrize(("secret", "masked"), SECRETS.items())
def test_a_secret_is_blotted_out_of_text(secret: str, masked: str) -> None:
    assert mask(secret) == masked
    for text in (f"a {secret} b", f"({secret})", f"key={secret}&x=1", f'"{secret}"'):
        assert not any(needle in mask(text) for needle in NEEDLES)


def test_ordinary_text_stays() -> None:
    for text in ("pi_3SAbCd", "cus_1", "pk_test_abc", "the secret of a good cook", "sketch", "é"):
        assert mask(text) == text
    assert mask({"n": 1, "f": 1.5, "none": None, "ok": True}) == {
        "n": 1,
        "f": 1.5,
        "none": None,
        "ok": True,
    }


def test_a_secret_is_blotted_out_however_deep_it_lies() -> None:
    deep = {"a": [{"b": ("sk_test_51HabcDEF",)}], "client_secret": "x", "Authorization": "Basic y"}
    assert mask(deep) == {
        "a": [{"b": ["sk_test_***"]}],
        "client_secret": "***",
        "Authorization": "***",
    }


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_no_line_shows_a_secret_whoever_writes_it(fmt: str, logging_as_before: None) -> None:
    stream = written(fmt)
    ours, theirs = structlog.get_logger("ours"), logging.getLogger("theirs")
    for secret in SECRETS:
        ours.info("message " + secret, value=secret, nested={"list": [secret]})
        theirs.warning("message %s", secret)
        theirs.warning("message %(key)s", {"key": secret})
    ours.info("login", password="hunter2", token="hunter2", secret_key="hunter2")
    text = stream.getvalue()
    assert text.count("message") == 3 * len(SECRETS)
    assert not [needle for needle in NEEDLES if needle in text]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_secret_in_a_value_that_is_no_text_is_blotted_out_too(
    fmt: str, logging_as_before: None
) -> None:
    stream = written(fmt)
    log = structlog.get_logger("ours")
    log.info("bytes", value=API_KEY.encode())
    log.info("exception", value=RuntimeError(API_KEY))
    log.info("set", value={API_KEY})
    assert not [needle for needle in NEEDLES if needle in stream.getvalue()]


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_exception_shows_neither_its_secrets_nor_its_variables(
    fmt: str, logging_as_before: None
) -> None:
    stream = written(fmt)

    def call(key: str) -> None:
        password = PASSWORD
        raise RuntimeError(f"refused {key}, {len(password)}")

    for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        try:
            call(API_KEY)
        except RuntimeError:
            log.exception("failed")
    text = stream.getvalue()
    assert "RuntimeError" in text
    assert not [needle for needle in NEEDLES if needle in text]


def test_a_machine_reads_one_object_a_line(logging_as_before: None) -> None:
    stream = written("json", "info")
    structlog.get_logger("ours").info("hello", n=1)
    structlog.get_logger("ours").debug("not this")
    logging.getLogger("theirs").warning("there\nthere")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["hello", "there\nthere"]
    assert {"timestamp", "level", "logger"} <= set(lines[0])


def test_an_alert_is_an_error_line_whatever_facts_it_has(logging_as_before: None) -> None:
    stream = written("json")
    telemetry.alert("dead_event", "given up", id="evt_1", type="refund.created")
    line = json.loads(stream.getvalue())
    assert (line["level"], line["alert"], line["id"]) == ("error", "dead_event", "evt_1")


@pytest.mark.parametrize("fmt", ["json", "console"])
async def test_the_logs_of_a_whole_payment_hold_no_secret(
    database: Database, fmt: str, logging_as_before: None
) -> None:
    await database.empty()
    async with open_world(
        database.url, log_level="debug", log_format=fmt, stripe_debug=True
    ) as loud:
        stream = written(fmt)
        booking = await loud.book()
        intent = await loud.intent(booking)
        await loud.confirm(intent, "pm_card_chargeDeclined", status=402)
        await loud.confirm(intent)
        await loud.pay(await loud.session(booking))
        await loud.deliver({"id": "evt_x", "type": "x"}, secret="whsec_wrong")
        await loud.converge()
        assert (await loud.booking(booking))["state"] == "paid"
        token = loud.bearer()["Authorization"].removeprefix("Bearer ")
    text = stream.getvalue()
    assert "request" in text
    secret = intent["client_secret"].rpartition("_secret_")[2]
    parts = (secret, SECRET.removeprefix("whsec_"), KEY, "sk_test_sandbox", token.split(".")[1])
    assert not [part for part in parts if part in text]
