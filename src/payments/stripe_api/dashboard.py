"""Pages of Stripe's dashboard, where the long analyses are."""

from typing import Final

HOME: Final = "https://dashboard.stripe.com"


def page(path: str, *, live: bool) -> str:
    """`page("customers", live=False)`: the test mode has addresses of its own."""
    return f"{HOME}/{path}" if live else f"{HOME}/test/{path}"
