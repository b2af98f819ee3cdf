"""What is for development alone is never loaded in production."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("process", ["payments.app", "payments.worker"])
def test_production_loads_nothing_of_development(process: str) -> None:
    script = f"""
import sys
import {process}
print([name for name in sys.modules if name.startswith(("payments.dev", "stripe_sandbox"))])
"""
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
