"""One typed tree of settings: built-in values, then a TOML file, then the environment, then the command line.

Environment names are ``RESTORIUM_`` and the member's path joined by two underscores, in capitals:
``RESTORIUM_HTTP__LISTEN=127.0.0.1:9398``. Lists are written as JSON.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from restorium.vocabulary.errors import InvalidInput

_PREFIX = "RESTORIUM_"
_DELIMITER = "__"


class _Section(BaseModel):
    """A table of the TOML file. Members that are not known are errors, not ignored."""

    model_config = ConfigDict(extra="forbid")


class HttpSettings(_Section):
    """The listener and what it trusts."""

    listen: str = "0.0.0.0:9398"
    allowed_hosts: list[str] = Field(default_factory=list)
    """Names that a Host header may hold beside addresses and this machine's own names."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses whose X-Forwarded-Proto and X-Forwarded-Host are believed."""
    certificate: Path | None = None
    """PEM certificate chain; made at first start where absent."""
    certificate_key: Path | None = None


class EmSettings(_Section):
    """The Enterprise Manager face."""

    json_camel_case: bool = False
    """Write JSON member names as release 13 does; PascalCase, as releases up to 12 do, otherwise."""
    logon_idle: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0))
    """Seconds, or an ISO 8601 duration, after which an unused logon session ends."""
    max_body_bytes: int = Field(default=1024 * 1024, gt=0)


class WebhookSettings(_Section):
    """What the server tells others of by itself."""

    targets: Literal["public", "network", "any"] = "network"
    """Where receivers may be: at public addresses; in networks of one's own too, but neither on this machine nor at
    addresses that a machine alone reaches, such as a cloud's metadata; or anywhere."""


class MetricsSettings(_Section):
    """Who may read ``/metrics``."""

    access: Literal["accounts", "open", "off"] = "accounts"
    """Accounts with the role Portal User or Portal Administrator, and whoever has the token; anybody; nobody."""
    token: SecretStr | None = None
    """What a scraper may send as a bearer token in place of an account."""


class VaultSettings(_Section):
    """How hard the data path works."""

    threads: int = Field(default=0, ge=0)
    """Threads that hash, compress and encrypt; 0 means one a core."""


class Settings(BaseSettings):
    """Everything that can be set. ``load`` reads it; the constructor takes what it is given."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter=_DELIMITER,
        extra="forbid",
    )

    data: Path = Path("restorium-data")
    database_url: str | None = None
    """SQLAlchemy URL of a PostgreSQL database; SQLite in the data folder where absent."""
    admin_password: SecretStr | None = None
    server_name: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    flows_per_repository: int = Field(default=2, ge=1)
    """Backups and restores that run at once on one repository; more wait."""
    keep_flow_records: timedelta = Field(default=timedelta(days=7), ge=timedelta(0))
    """How long the durable engine keeps the steps of a finished flow, for those who look for a fault."""
    prune_interval: timedelta = Field(default=timedelta(days=1), ge=timedelta(0))
    """Seconds, or an ISO 8601 duration, between two prunes of a repository by the server; 0 for none."""
    http: HttpSettings = Field(default_factory=HttpSettings)
    em: EmSettings = Field(default_factory=EmSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    vault: VaultSettings = Field(default_factory=VaultSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The constructor's own values only: ``load`` is where other sources come in."""
        return (init_settings,)

    @classmethod
    def load(cls, config: Path | None = None, **overrides: object) -> Settings:
        """Settings from ``config`` and the environment, with ``overrides`` (the command line) on top.

        Raises InvalidInput naming the file, the environment variable or the member that is wrong.
        """
        document = {} if config is None else _read(config)
        try:
            values = _merged(_merged(document, EnvSettingsSource(cls)()), overrides)
            return cls(**values)
        except SettingsError:
            nested = [name for name in os.environ if name.startswith(_PREFIX) and _DELIMITER in name]
            raise InvalidInput(
                f"the environment has a value that is not JSON, among {', '.join(sorted(nested))}",
                hint='Lists are written as JSON: ["a", "b"].',
            ) from None
        except ValidationError as error:
            raise InvalidInput(
                "; ".join(_complaint(each["loc"], each["msg"], config, document) for each in error.errors()),
                hint="docs/operators.md lists the settings.",
            ) from None


def _read(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(
            f"the configuration {config} cannot be read: {error.strerror}", hint="Check the path."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the configuration {config} is not TOML: {error}") from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(below)
    for name, value in above.items():
        under = both.get(name)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            both[name] = _merged(under, value)
        else:
            both[name] = value
    return both


def _complaint(
    path: tuple[int | str, ...], message: str, config: Path | None, document: dict[str, Any]
) -> str:
    """What is wrong with a member, and where it was set; not its value, which may be secret."""
    names = [str(part) for part in path]
    variable = _PREFIX + _DELIMITER.join(names).upper()
    if variable in os.environ:
        return f"{variable}: {message}"
    member = ".".join(names)
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return f"{member} in {config}: {message}" if found is not None else f"{member}: {message}"
