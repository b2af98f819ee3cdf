"""Every line that the service writes during the tests is searched for secrets."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from structlog.stdlib import ProcessorFormatter

from world import KEY, SECRET

SHOWN = re.compile(
    r"(?:sk|rk)_(?:test|live)_\w{3,}"  # the keys of an account
    r"|whsec_\w{3,}"
    r"|_secret_\w{3,}"  # of a PaymentIntent, or of a page
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}"  # a token, with or without its Bearer
    r"|postgres\w*(?:\+\w+)?://[^\s:/@]*:[^\s@*]+@"  # a password in an address
    rf"|{re.escape(KEY)}|{re.escape(SECRET)}"
)


@dataclass
class Watch:
    """What was found since it was last asked, each with its logger."""

    found: list[str] = field(default_factory=list)

    def look(self, logger: str, text: str) -> None:
        self.found += [f"{logger} wrote {shown[0][:24]}…" for shown in SHOWN.finditer(text)]

    def take(self) -> list[str]:
        taken, self.found = self.found, []
        return taken


WATCH = Watch()


@contextmanager
def watching() -> Iterator[None]:
    """At the formatter that every handler of the service writes through."""
    unwatched = ProcessorFormatter.format

    def watched(self: ProcessorFormatter, record: logging.LogRecord) -> str:
        line = unwatched(self, record)
        WATCH.look(record.name, line)
        return line

    ProcessorFormatter.format = watched  # type: ignore[method-assign]  # for the whole run
    try:
        yield
    finally:
        ProcessorFormatter.format = unwatched  # type: ignore[method-assign]  # as it was
