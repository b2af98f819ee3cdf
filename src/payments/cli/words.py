"""What commands say: on one line, whatever people wrote, and moments in UTC."""

from datetime import datetime


def printable(text: str) -> str:
    """On one line, whatever people wrote: neither breaks nor orders to the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "-"
