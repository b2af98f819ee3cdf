"""What is for development alone is never loaded in production."""

import subprocess
import sys

SCRIPT = """
import sys
import payments.app, payments.worker, payments.cli.main
print([name for name in sys.modules if name.startswith(("payments.dev", "stripe_sandbox"))])
"""


def test_production_loads_nothing_of_development() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
