"""Who a caller is and what he may see, without HTTP."""

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.requests import Request

from payments.core.principal import Principal, bearer, claim, strongest


def request(*headers: bytes) -> Request:
    return Request({"type": "http", "headers": [(b"authorization", value) for value in headers]})


def test_a_user_sees_his_own_and_the_privileged_see_all() -> None:
    user = Principal(user_id="u-1")
    assert user.sees("u-1")
    assert not user.sees("u-2")
    assert not user.sees(None)
    assert not user.privileged
    for role in ("service", "admin"):
        someone = Principal.model_validate({"user_id": "x", "role": role})
        assert someone.privileged
        assert someone.sees("u-2")
        assert someone.sees(None)


def test_a_principal_cannot_be_changed_and_has_a_role_of_ours() -> None:
    user = Principal(user_id="u-1")
    with pytest.raises(ValidationError):
        user.role = "admin"  # type: ignore[misc]  # that is the point
    with pytest.raises(ValidationError):
        Principal.model_validate({"user_id": "u-1", "role": "root"})


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"bearer  abc ", "abc"),
        (b"BEARER a.b.c", "a.b.c"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Basic abc", None),
        (b"abc", None),
        (b"", None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header: bytes, token: str | None) -> None:
    assert bearer(request(header)) == token
    assert bearer(request()) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sub", "u"),
        ("a.b", 1),
        ("https://x.example/role", "admin"),
        ("a.c", None),
        ("a.b.c", None),
        ("missing", None),
        ("sub.x", None),
        ("", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_by_descending(path: str, value: Any) -> None:
    claims = {"sub": "u", "a": {"b": 1}, "https://x.example/role": "admin"}
    assert claim(claims, path) == value


def test_the_strongest_role_counts() -> None:
    assert strongest(["user", "service", "admin"]) == "admin"
    assert strongest(["service"]) == "service"
    others: list[Any] = [None, "", [], "Admin", {"admin": 1}, 5, True]
    assert {strongest(other) for other in others} == {"user"}
