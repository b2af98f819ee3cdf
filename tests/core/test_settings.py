"""Settings: what is refused where, and what is never shown."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from payments.domains.checkout.redirects import return_urls
from payments.settings import Settings, Unregistered, UnsafeSettings, load

ROOT = Path(__file__).resolve().parents[2]
LIVE = {
    "environment": "production",
    "database_url": "postgresql://u:pass@db/payments",
    "stripe_secret_key": "sk_live_abc",
    "stripe_webhook_secret": "whsec_abc",
    "secret_key": "k" * 32,
    "frontend_urls": "https://shop.example",
}
STAGED = LIVE | {"environment": "staging", "stripe_secret_key": "sk_test_abc"}


def made(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_laptop_needs_nothing() -> None:
    settings = load()
    assert settings.environment == "development"
    assert settings.database_url is None
    assert settings.webhook_secrets == ()
    assert not settings.live


@pytest.mark.parametrize("values", [LIVE, STAGED], ids=["production", "staging"])
def test_a_complete_server_starts(values: dict[str, Any]) -> None:
    assert made(**values).environment == values["environment"]
    by_keys = {**values, "secret_key": None, "jwks_url": "https://id.example/jwks"}
    assert made(**by_keys).jwks_url == "https://id.example/jwks"
    by_own = {**values, "secret_key": None, "authenticate": "your_users:authenticate"}
    assert callable(made(**by_own).authenticate)


def test_only_what_registers_the_webhook_endpoint_does_without_its_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in STAGED.items():
        monkeypatch.setenv(name.upper(), value)
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET")
    assert load(Unregistered).webhook_secrets == ()
    with pytest.raises(UnsafeSettings, match="STRIPE_WEBHOOK_SECRET"):
        load()


REFUSALS = [
    ({"database_url": None}, "DATABASE_URL"),
    ({"stripe_secret_key": None}, "STRIPE_SECRET_KEY"),
    ({"stripe_webhook_secret": None}, "STRIPE_WEBHOOK_SECRET"),
    ({"stripe_webhook_secret": ""}, "STRIPE_WEBHOOK_SECRET"),
    ({"stripe_webhook_secret": " , "}, "STRIPE_WEBHOOK_SECRET"),
    ({"secret_key": None}, "SECRET_KEY"),
    ({"secret_key": "short"}, "SECRET_KEY"),
    ({"stripe_api_base": "http://127.0.0.1:12111"}, "STRIPE_API_BASE"),
    ({"stripe_secret_key": "sk_test_sandbox"}, "STRIPE_SECRET_KEY"),
    ({"database_url": "postgresql://payments:password@db/payments"}, "DATABASE_URL"),
    ({"frontend_urls": "http://shop.example"}, "FRONTEND_URLS"),
    ({"frontend_urls": "https://shop.example,http://localhost:3000"}, "FRONTEND_URLS"),
    ({"frontend_urls": ","}, "FRONTEND_URLS"),
    ({"stripe_secret_key": "pk_test_abc"}, "STRIPE_SECRET_KEY"),
    ({"stripe_secret_key": "sk_sandbox"}, "STRIPE_SECRET_KEY"),
]


@pytest.mark.parametrize("values", [LIVE, STAGED], ids=["production", "staging"])
@pytest.mark.parametrize(("unsafe", "name"), REFUSALS, ids=str)
def test_a_server_refuses_what_is_missing_or_unsafe_by_name(
    values: dict[str, Any], unsafe: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        made(**{**values, **unsafe})
    assert name in str(refused.value).upper()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({**LIVE, "stripe_secret_key": "sk_test_abc"}, "test Stripe key"),
        ({**LIVE, "stripe_secret_key": "rk_test_abc"}, "test Stripe key"),
        ({"stripe_secret_key": "sk_live_abc"}, "live Stripe key"),
        ({"stripe_secret_key": "rk_live_abc"}, "live Stripe key"),
        ({**LIVE, "stripe_live_mode": False}, "STRIPE_LIVE_MODE"),
        ({**STAGED, "stripe_live_mode": True}, "STRIPE_LIVE_MODE"),
    ],
)
def test_keys_fit_the_environment(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        made(**values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("PORT", "70000"),
        ("PORT", "http"),
        ("TRUSTED_PROXIES", "10.0.0.7,*"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
        ("REQUEST_TIMEOUT", "0"),
        ("DATABASE_POOLER", "statement"),
        ("DATABASE_POOL_SIZE", "1"),
        ("STRIPE_TIMEOUT", "0"),
        ("STRIPE_RATE", "-1"),
        ("STRIPE_LIVE_MODE", "perhaps"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("TIME_ZONE", "../../etc/passwd"),
        ("TIME_ZONE", "Europe"),
        ("DEFAULT_CURRENCY", "dollars"),
        ("FRONTEND_URLS", ","),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SECRET_KEY", "k" * 31),
        ("SMTP_URL", "mail.example"),
        ("SMTP_URL", "smtp://shop:half/half@mail.example"),
        ("MESSAGES", "dispute,birthday"),
        ("EFFECTS_SINCE", "2031-12-25"),
        ("STRIPE_PRICE_PRO", "29.99"),
        ("AUTOMATIC_TAX", "perhaps"),
        ("PORTAL_HEADLINE", "x" * 61),
    ],
)
def test_a_malformed_variable_stops_the_start_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UnsafeSettings, match=name) as refused:
        load()
    assert "\n" not in str(refused.value).strip()
    if name == "SECRET_KEY":
        assert value not in str(refused.value)


def test_every_problem_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    with pytest.raises(UnsafeSettings) as refused:
        load()
    told = str(refused.value)
    for name in (
        "DATABASE_URL",
        "STRIPE_SECRET_KEY",
        "STRIPE_WEBHOOK_SECRET",
        "SECRET_KEY",
        "FRONT",
    ):
        assert name in told


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_SECRET_KEY", "STRIPE_LIVE_MODE", "PORT", "METRICS_TOKEN", "JWKS_URL"):
        monkeypatch.setenv(name, "")
    settings = load()
    assert (settings.stripe_secret_key, settings.port, settings.metrics_token) == (None, 8000, None)


def test_the_environment_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=8020\nTIME_ZONE=Europe/Berlin\nNOT_OURS=1\n")
    monkeypatch.setenv("PORT", "9000")
    settings = load()
    assert (settings.port, settings.zone.key) == (9000, "Europe/Berlin")


def test_settings_do_not_change() -> None:
    settings = made()
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # that is the point


def test_secrets_are_not_in_any_spelling_of_the_settings() -> None:
    secrets = {
        "database_url": "postgresql://u:secret-1@db/x",
        "database_url_listen": "postgresql://u:secret-2@db/x",
        "database_url_sync": "postgresql://u:secret-3@db/x",
        "stripe_secret_key": "sk_test_secret4",
        "stripe_webhook_secret": "whsec_secret5",
        "stripe_webhook_secret_2": "whsec_secret8",
        "stripe_connect_webhook_secret": "whsec_secret9",
        "secret_key": "secret-6" * 4,
        "metrics_token": "secret-7",
        "smtp_url": "smtp://u:secret-8@mail.example",
        "apprise_urls": "json://secret-9@host",
    }
    held = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field)}
    assert held == set(secrets)
    settings = made(**secrets, mail_from="shop@example.com")
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "secret-" not in text
        assert "secret4" not in text
        assert "secret5" not in text
    assert isinstance(settings.secret_key, SecretStr)


def test_lists_are_read_with_their_blanks() -> None:
    settings = made(
        stripe_webhook_secret=" whsec_a, whsec_b ,,",
        frontend_urls=" https://a.example/ ,https://b.example",
    )
    assert settings.webhook_secrets == ("whsec_a", "whsec_b")
    assert settings.frontends == ("https://a.example", "https://b.example")


def test_a_front_end_under_a_path_is_refused_or_its_pages_are_allowed() -> None:
    page = "https://shop.example/app/thanks"
    try:
        settings = made(frontend_urls="https://shop.example/app")
    except ValidationError:
        return
    assert return_urls(settings, page, None)[0] == page


def test_the_example_names_every_variable_once_and_no_other() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = [found[1] for line in lines if (found := re.match(r"#? ?([A-Z][A-Z_0-9]+)=", line))]
    of_compose = ["DOMAIN", "POSTGRES_PASSWORD"]
    of_s4 = [f"STRIPE_PRICE_{key}" for key in ("STARTER", "PRO", "PREMIUM_SUB", "ENTERPRISE_SUB")]
    ours = [name.upper() for name in Settings.model_fields if name != "stripe_price"]
    assert sorted(named) == sorted([*ours, *of_s4, *of_compose])


def test_a_price_is_named_by_its_key_in_the_environment_or_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("STRIPE_PRICE_STARTER=price_1\nSTRIPE_PRICE_PRO=price_2\n")
    monkeypatch.setenv("STRIPE_PRICE_PRO", "price_3")
    monkeypatch.setenv("STRIPE_PRICE_PREMIUM_SUB", "price_4")
    monkeypatch.setenv("STRIPE_PRICE_ENTERPRISE_SUB", "")
    named = {"starter": "price_1", "pro": "price_3", "premium_sub": "price_4"}
    assert load().stripe_price == named
    monkeypatch.setenv("STRIPE_PRICE_PRO", "prod_5")
    with pytest.raises(UnsafeSettings, match="STRIPE_PRICE_PRO"):
        load()


def test_the_example_shows_the_defaults_and_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    matches = (re.match(r"#([A-Z_]+)=(.+)", line) for line in lines)
    shown = {found[1]: found[2] for found in matches if found}
    for name, value in shown.items():
        default = Settings.model_fields[name.lower()].default
        assert str(default).lower().removesuffix(".0") == value.lower(), name
    assert not re.search(r"(sk|rk|whsec)_(test|live)?_?\w{8}", "\n".join(lines))
