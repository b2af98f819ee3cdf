"""A proof prints its figures, whatever pytest captures."""

import sys
from collections.abc import Callable

import pytest

pytest.register_assert_rewrite("converge.hearing", "converge.oracle", "converge.stories")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def print_line(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return print_line
