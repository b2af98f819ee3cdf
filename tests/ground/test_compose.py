"""compose.yaml: what it asks for, what it exposes, and what the service is given by it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from payments.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
OURS = ("migrate", "api", "worker")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^}]*))?\}")
FILLED = {
    "ENVIRONMENT": "production",
    "POSTGRES_PASSWORD": "6d4f",
    "STRIPE_SECRET_KEY": "sk_live_x",
    "STRIPE_WEBHOOK_SECRET": "whsec_x",
    "SECRET_KEY": "k" * 32,
    "FRONTEND_URLS": "https://shop.example",
}


class Missing(Exception):
    """A variable that Compose would stop at."""


def composed(env: dict[str, str]) -> dict[str, Any]:
    """The file as Compose reads it: an empty variable counts as a missing one."""

    def value(found: re.Match[str]) -> str:
        name, kind, said = found.groups()
        if env.get(name) or kind == ":-":
            return env.get(name) or str(said)
        raise Missing(f"{name}: {said}")

    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    services: dict[str, Any] = yaml.safe_load(VARIABLE.sub(value, "\n".join(lines)))
    return services


def env_file(**changes: str) -> dict[str, str]:
    """`.env` as the example leaves it, with some lines filled in."""
    lines = re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE)
    return dict(lines) | changes


def given(service: dict[str, Any], env: dict[str, str]) -> dict[str, str]:
    """What a process finds in its environment: the image's, the file's, and Compose's own."""
    image = (ROOT / "Dockerfile").read_text().rpartition("ENV ")[2].partition("\n\n")[0]
    set_there: dict[str, str] = dict(re.findall(r"([A-Z]+)=(\S+)", image))
    return {**set_there, **env, **service["environment"]}


def test_the_example_filled_in_makes_a_server_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    env = env_file(**FILLED)
    for name in OURS:
        service = composed(env)["services"][name]
        assert service["env_file"] == ".env"
        for variable, said in given(service, env).items():
            if variable != "PATH":
                monkeypatch.setenv(variable, said)
        settings = Settings(_env_file=None)
        assert (settings.environment, settings.host, settings.port) == (
            "production",
            "0.0.0.0",
            8000,
        )
        assert settings.database_url is not None
        assert settings.database_url.get_secret_value().endswith(":6d4f@postgres:5432/payments")
        assert settings.proxies


@pytest.mark.parametrize(
    "name", sorted(set(FILLED) - {"SECRET_KEY"})
)  # JWKS_URL may take its place
def test_what_is_missing_is_named_with_what_to_set(name: str) -> None:
    with pytest.raises(Missing, match=rf"{name}: set it in \.env: \S"):
        composed(env_file(**FILLED | {name: ""}))


def test_every_variable_of_the_file_is_explained_in_the_example() -> None:
    asked = {name for name, _, _ in VARIABLE.findall(TEXT)} - {"PAYMENTS_IMAGE"}
    explained = set(re.findall(r"^#?(\w+)=", EXAMPLE, re.MULTILINE))
    assert asked <= explained


def test_only_the_proxy_is_open_to_the_world_and_the_database_to_nobody() -> None:
    services = composed(env_file(**FILLED))["services"]
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {
        "api": ["127.0.0.1:8000:8000"],
        "caddy": ["80:80", "443:443", "443:443/udp"],
    }
    assert services["caddy"]["profiles"] == ["tls"]
    assert services["postgres"]["networks"] == ["data"]
    assert composed(env_file(**FILLED))["networks"]["data"] == {"internal": True}


def test_processes_wait_for_the_migration_come_back_and_cannot_write() -> None:
    services = composed(env_file(**FILLED))["services"]
    done = {"migrate": {"condition": "service_completed_successfully"}}
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == done
        assert services[name]["restart"] == "unless-stopped"
        grace = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert grace > Settings.model_fields["request_timeout"].default
    assert services["migrate"]["restart"] == "no"
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in OURS:
        assert services[name]["command"][0] == "payments"
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_every_volume_and_file_that_is_mounted_exists() -> None:
    file = composed(env_file(**FILLED))
    mounted = [
        volume.split(":")[0]
        for service in file["services"].values()
        for volume in service.get("volumes", ())
    ]
    for source in mounted:
        assert source in file["volumes"] or (ROOT / source).is_file(), source
    assert "api:8000" in (ROOT / "deploy/Caddyfile").read_text()
