"""Where settings come from: arguments, the environment, a ``.env`` file, keyring, Colab - in this order."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from kiegen_nb.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

KIE_BASE_URL = "https://api.kie.ai"
KIE_UPLOAD_URL = "https://kieai.redpandaai.co"
SANDBOX_KEY = "sandbox"  # the key a local sandbox is called with; it is no secret
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_KEYRING_SERVICE = "kie.ai"
_KEYRING_USER = "KIE_API_KEY"


class Settings(BaseSettings):
    """Everything that can be configured; each field names its environment variable.

    Attributes:
        api_key: ``KIE_API_KEY``.
        base_url: ``KIEGEN_BASE_URL``, the jobs API.
        upload_url: ``KIEGEN_UPLOAD_URL``, the upload host.
        database_url: ``KIEGEN_DATABASE_URL``, an SQLAlchemy URL or a path to an SQLite file.
        output_dir: ``KIEGEN_OUTPUT_DIR``, where result files go.
        embed: ``KIEGEN_EMBED``, whether PNG files are saved with the text of how they were made.
        poll_interval: ``KIEGEN_POLL_INTERVAL``, seconds between two looks at a pending task.
        create_limit: ``KIEGEN_CREATE_LIMIT``, requests per window that make a task; 0 is no limit. Kie allows 20.
        create_window: ``KIEGEN_CREATE_WINDOW``, that window's seconds.
        look_limit: ``KIEGEN_LOOK_LIMIT``, looks per second; 0 is no limit. Kie's strictest figure is 10.
    """

    model_config = SettingsConfigDict(
        env_prefix="KIEGEN_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
    )

    # The alias only: the field's own name would read API_KEY, which is some other program's.
    api_key: SecretStr | None = Field(default=None, validation_alias="KIE_API_KEY")
    base_url: str | None = None
    upload_url: str | None = None
    database_url: str | None = Field(default=None, repr=False)  # it may hold a password
    output_dir: Path = Path("kiegen_output")
    embed: bool = False
    poll_interval: float = Field(default=3.0, gt=0)
    create_limit: int = Field(default=20, ge=0)
    create_window: float = Field(default=10.0, gt=0)
    look_limit: float = Field(default=9.0, ge=0)

    @field_validator("base_url", "upload_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"{value!r} is not an address such as {KIE_BASE_URL}"
            raise ValueError(message)
        if parts.username or parts.password:
            message = "put the key into KIE_API_KEY, not into the address"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        key = value.get_secret_value().strip()
        if not key.isascii() or any(character.isspace() for character in key):
            message = "the key holds spaces or other characters no key has; copy it again"
            raise ValueError(message)
        return SecretStr(key) if key else None


def load_settings(**arguments: object) -> Settings:
    """Read the settings; arguments that are not None win over the environment.

    Raises:
        ConfigurationError: one sentence per unusable setting; a key is never repeated in it.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    if "api_key" in given:
        given["KIE_API_KEY"] = given.pop("api_key")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        # Without the input: it may be the key.
        problems = [
            f"{problem['loc'][0]}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False)
        ]
        raise ConfigurationError(f"A setting cannot be used; nothing was sent. {'; '.join(problems)}.") from None
    if settings.api_key is None:
        settings.api_key = _key_from_keyring() or _key_from_colab()
    return settings


def is_loopback(url: str) -> bool:
    """Whether an address names this machine itself."""
    return (urlsplit(url).hostname or "") in LOOPBACK_HOSTS


def upload_host(base_url: str, upload_url: str | None) -> str | None:
    """Return where an account's files are uploaded to, None if no host was named that may be sent its key.

    Args:
        base_url: the jobs API; on this machine it takes files itself.
        upload_url: what was configured.
    """
    if upload_url is not None or is_loopback(base_url):
        return (upload_url or base_url).rstrip("/")
    host = urlsplit(base_url).hostname or ""
    # Another service's key is none of Kie's business.
    return KIE_UPLOAD_URL if host == "kie.ai" or host.endswith(".kie.ai") else None


def certificates(*, trust_env: bool) -> ssl.SSLContext:
    """Return the certificates that connections trust, read once: that takes longer than a request.

    Args:
        trust_env: whether ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` may name others than certifi's.
    """
    named = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")] if trust_env else []
    return _certificates(trust_env, *named)


@cache
def _certificates(trust_env: bool, *_named: str | None) -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 - slow to import, and reading settings needs none of it

    return httpx.create_ssl_context(trust_env=trust_env)


def data_folder() -> Path:
    """Return the user's data folder for the default stores, made if missing."""
    return user_data_path("kiegen_nb", appauthor=False, ensure_exists=True)


def _key_from_keyring() -> SecretStr | None:
    # Only a keyring the user already loads or installs: it is not a dependency.
    try:
        import keyring  # noqa: PLC0415
    except ImportError:
        return None
    try:
        value = keyring.get_password(_KEYRING_SERVICE, _KEYRING_USER)
    except Exception:  # noqa: BLE001 - a locked or missing backend raises its own kinds; then there is no key here
        return None
    return SecretStr(value) if value else None


def _key_from_colab() -> SecretStr | None:
    if "google.colab" not in sys.modules:
        return None
    from google.colab import userdata  # noqa: PLC0415

    try:
        value = userdata.get("KIE_API_KEY")
    except Exception:  # noqa: BLE001 - absent or denied, each with a class of its own
        return None
    return SecretStr(value) if value else None
