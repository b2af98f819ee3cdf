"""The search of the logs finds what it is for."""

import logging

import pytest
import structlog
from structlog.stdlib import ProcessorFormatter

from leaks import SHOWN, WATCH
from world import KEY, SECRET

SECRETS = (
    KEY,
    SECRET,
    "sk_test_sandbox",
    "rk_live_51Habc",
    "pi_3SAbCd_secret_xYz9",
    "cs_test_1_secret_fidpamZkaWAn",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1LTEifQ.x",
    "postgresql+asyncpg://payments:hunter2@db/payments",
)
HARMLESS = (
    "sk_test_***", "pi_1_secret_***", "Bearer ***", "pk_test_abc", "postgresql://db/payments",
    "postgresql:///x?host=/tmp", "evt_1", "the secret of a good cook",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_a_line_with_a_secret_fails_the_test_that_wrote_it(secret: str) -> None:
    record = logging.LogRecord("somebody", logging.INFO, "", 0, f"a {secret} b", (), None)
    ProcessorFormatter(structlog.dev.ConsoleRenderer(colors=False)).format(record)
    [found] = WATCH.take()
    assert found.startswith("somebody wrote ")


def test_what_is_blotted_out_or_no_secret_is_let_through() -> None:
    assert not [text for text in HARMLESS if SHOWN.search(text)]
