"""What exists in development alone is not to be had anywhere else."""

import pytest
from typer.testing import CliRunner

from payments.cli.main import app
from payments.cli.serving import is_loopback
from payments.dev.surroundings import TOKENS
from payments.settings import Settings, UnsafeSettings
from service.variants import application, served
from world import KEY, World


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
async def test_no_server_knows_the_fixed_tokens(world: World, environment: str) -> None:
    assert {"dev-token", "admin-token"} <= set(TOKENS)
    async with served(application(world, environment=environment)) as api:
        for token in TOKENS:
            headers = {"Authorization": f"Bearer {token}"}
            assert (await api.get("/api/v1/auth/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "told", [(("--host", "0.0.0.0"), {}), ((), {"HOST": "::"}), (("--host", "db.internal"), {})]
)
def test_a_development_server_is_not_reachable_from_elsewhere(
    told: tuple[tuple[str, ...], dict[str, str]],
) -> None:
    options, env = told
    clean = dict.fromkeys((name.upper() for name in Settings.model_fields), None)
    given = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "SECRET_KEY": KEY, **env}
    ran = CliRunner().invoke(app, ["serve", *options], env={**clean, **given})
    assert isinstance(ran.exception, UnsafeSettings)
    assert "set ENVIRONMENT to staging or production" in str(ran.exception)


def test_a_loopback_address_is_one_in_every_spelling() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "", "10.0.0.1", "localhost.example"):
        assert not is_loopback(host)
