"""Keeps one PostgreSQL running while any process holds the users' lock; run as a module."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

PATIENCE = 30.0  # seconds for a fast shutdown; then an immediate one: the next start recovers


def supervise(order: dict[str, Any]) -> int:
    """Runs the server of `order` to its end and returns the server's exit status.

    A lock of the kernel is what kill -9 cannot leave behind: the users' lock is free for us at
    the moment when the last user is gone, in whatever way it went, and while we hold it a new
    user waits for us to finish. Our own lock tells others that the server is being looked after;
    it is given back first, so that nobody takes an ending server for a running one.
    """
    os.setsid()  # Ctrl-C in a user's terminal is that user's affair
    users = Path(order["users_lock"]).open("a")  # noqa: SIM115 - held until this process is gone
    with Path(order["own_lock"]).open("a") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)  # waits only for those who look whether it is held
        server = subprocess.Popen(  # noqa: S603 - the command is built by payments.dev.postgres
            order["command"], stdin=subprocess.DEVNULL, cwd=order["cwd"], **order["identity"]
        )
        signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
        last_user = threading.Thread(target=_await_last_user, args=(users, server), daemon=True)
        last_user.start()
        status = server.wait()
        if order["discard"]:
            shutil.rmtree(order["discard"], ignore_errors=True)
        return status


def _await_last_user(users: IO[str], server: subprocess.Popen[bytes]) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    server.send_signal(signal.SIGINT)
    try:
        server.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)


if __name__ == "__main__":
    sys.exit(supervise(json.loads(sys.argv[1])))
