"""What the development stack runs on: ports, folders, secrets, and its children's environment."""

import fcntl
import hashlib
import json
import os
import secrets
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import SecretStr

import payments
from payments.settings import Settings
from payments.settings.refusals import SANDBOX_KEY

SANDBOX_ACCOUNT = "acct_sandbox"
SANDBOX_PUBLISHABLE_KEY = "pk_test_sandbox"
STRIPE = "https://api.stripe.com"
HOME = Path(".payments")
WEBHOOK = "/api/v1/stripe/webhook"
TOKENS = {  # the principal that each stands for
    "dev-token": {"user_id": "dev-user", "email": "dev@example.com"},
    "other-token": {"user_id": "other-user", "email": "other@example.com"},
    "service-token": {"user_id": "dev-service", "role": "service"},
    "admin-token": {"user_id": "dev-admin", "email": "admin@example.com", "role": "admin"},
}


class StackRefused(Exception):
    """The stack cannot start as asked; the message names the way out."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for on the command line."""

    port: int
    sandbox_port: int
    data_dir: Path | None
    fresh: bool
    demo: bool


@dataclass(frozen=True)
class Plan:
    """What was asked for, and what the user's own settings provide."""

    wishes: Wishes
    settings: Settings
    data_dir: Path

    @property
    def port(self) -> int:
        return self.wishes.port

    @property
    def sandboxed(self) -> bool:
        return self.settings.stripe_secret_key is None

    @property
    def polls(self) -> bool:
        """Whether events are asked for: without a secret Stripe cannot have been told to post."""
        return not self.sandboxed and not self.settings.webhook_secrets

    @property
    def embedded(self) -> bool:
        return self.settings.database_url is None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.wishes.sandbox_port}"

    @property
    def sandbox_state(self) -> Path:
        return self.data_dir / "sandbox.sqlite"

    @property
    def commands(self) -> Path:
        """The environment of commands that are run beside the stack, for a shell to read."""
        return self.data_dir / "stack.env"

    def check(self) -> None:
        """Refuses early, in one line, what would fail later in many."""
        if self.settings.environment != "development":
            raise StackRefused("`payments dev` is for development alone: unset ENVIRONMENT.")
        if self.wishes.fresh and not self.embedded:
            raise StackRefused("--fresh empties only the embedded database; DATABASE_URL is yours.")
        _require_free(self.port, "--port")
        if self.sandboxed:
            _require_free(self.wishes.sandbox_port, "--sandbox-port")

    def forget_sandbox(self) -> None:
        for path in self.data_dir.glob(f"{self.sandbox_state.name}*"):
            path.unlink()
        self._setup_note.unlink(missing_ok=True)

    def set_up(self, env: Mapping[str, str]) -> bool:
        """Whether all of this was done for this database already, which saves seconds at each
        start.
        """
        note = self._setup_note
        return note.exists() and note.read_text() == _setup_digest(env)

    def note_setup(self, env: Mapping[str, str]) -> None:
        self._setup_note.write_text(_setup_digest(env))

    @property
    def _setup_note(self) -> Path:
        return self.data_dir / "setup.done"


@dataclass(frozen=True)
class Secrets:
    """The random secrets of one data directory."""

    webhook: str
    tokens: str


def kept_secrets(data_dir: Path) -> Secrets:
    """Reads the secrets of a data directory, or draws them at the first start."""
    path = data_dir / "secrets.json"
    if not path.exists():
        drawn = {"webhook": f"whsec_{secrets.token_hex(32)}", "tokens": secrets.token_hex(32)}
        _keep(path, json.dumps(drawn))
    return Secrets(**json.loads(path.read_text()))


def _keep(path: Path, text: str) -> None:
    """Write a file whole or not at all, for this user's eyes alone."""
    unfinished = path.with_suffix(".new")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    unfinished.rename(path)


@contextmanager
def sole_stack(data_dir: Path) -> Iterator[None]:
    """Keeps a second stack off the same data directory."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "stack.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackRefused(
                f"Another `payments dev` runs on {data_dir}: stop it, or choose another --data-dir."
            ) from None
        yield


def environment(plan: Plan, *, database_url: str) -> dict[str, str]:
    """The environment of the children: what the user set stays, the rest is filled in, and kept as
    a file that a shell may read for commands beside the stack.
    """
    settings, drawn = plan.settings, kept_secrets(plan.data_dir)
    filled = {"DATABASE_URL": database_url, "ENVIRONMENT": "development", "PORT": str(plan.port)}
    if plan.sandboxed:
        filled |= {
            "STRIPE_SECRET_KEY": SANDBOX_KEY,
            "STRIPE_PUBLISHABLE_KEY": SANDBOX_PUBLISHABLE_KEY,
            "STRIPE_API_BASE": plan.sandbox_url,
            "STRIPE_WEBHOOK_SECRET": drawn.webhook,
        }
    elif plan.polls:
        filled["STRIPE_WEBHOOK_SECRET"] = drawn.webhook
    if settings.secret_key is None and settings.jwks_url is None:
        filled["SECRET_KEY"] = drawn.tokens
    if "frontend_urls" not in settings.model_fields_set:
        filled["FRONTEND_URLS"] = f"http://localhost:{plan.port},{plan.url}"
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in filled.items())
    _keep(plan.commands, "".join(lines))
    return {**os.environ, **filled}


async def draw_up(wishes: Wishes, settings: Settings) -> Plan:
    """Settles the data directory: each Stripe account has its own."""
    if wishes.data_dir is not None:
        return Plan(wishes, settings, wishes.data_dir)
    key = settings.stripe_secret_key
    account = SANDBOX_ACCOUNT
    if key is not None:
        account = await _ask_account(settings.stripe_api_base or STRIPE, key)
    return Plan(wishes, settings, HOME / account)


async def _ask_account(base: str, key: SecretStr) -> str:
    try:
        async with httpx2.AsyncClient(base_url=base, timeout=10) as stripe:
            headers = {"Authorization": f"Bearer {key.get_secret_value()}"}
            answer = await stripe.get("/v1/account", headers=headers)
    except httpx2.TransportError as error:
        raise StackRefused(
            f"Stripe cannot be reached at {base} ({str(error) or type(error).__name__}), so it is "
            "unknown which account the key belongs to: name a --data-dir, or unset "
            "STRIPE_SECRET_KEY to use the offline Stripe."
        ) from error
    if answer.is_error:
        raise StackRefused(
            f"Stripe does not accept STRIPE_SECRET_KEY for GET /v1/account ({answer.status_code}): "
            "check the key, or name a --data-dir."
        )
    return str(answer.json()["id"])


def _setup_digest(env: Mapping[str, str]) -> str:
    catalogue = Path(payments.__file__).parent / "domains/catalog/catalog.toml"
    return hashlib.sha256(catalogue.read_bytes() + env["DATABASE_URL"].encode()).hexdigest()


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise StackRefused(
                f"Port {port} is in use: stop what listens there, or choose another with {option}."
            ) from None
