"""Ports for servers that a test starts by number."""

import random
import socket
from typing import Final

BELOW_EPHEMERAL: Final = range(20_000, 32_000)
"""Where Linux (from 32768) and macOS (from 49152) take no port for an outgoing connection."""


def free_port() -> int:
    """A port that is free, and that no connection takes until the server listens on it."""
    for port in random.sample(BELOW_EPHEMERAL, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports are taken")
