"""The demo says why it did not get there."""

import subprocess
import sys

from ports import free_port


def test_an_api_that_does_not_run_is_named() -> None:
    api = f"http://127.0.0.1:{free_port()}"
    told = subprocess.run(
        [sys.executable, "-c", "from payments.cli import main; main()", "demo", "--api", api],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert f"{api}/api/v1/bookings cannot be reached" in told.stdout
    assert "Traceback" not in told.stderr
