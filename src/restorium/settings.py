"""One typed tree of settings: built-in values, then a TOML file, then the environment.

Environment names are ``RESTORIUM_`` and the member's path joined by two underscores, in capitals:
``RESTORIUM_HTTP__LISTEN=127.0.0.1:9398``.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class HttpSettings(BaseModel):
    """The listener and what it trusts."""

    listen: str = "0.0.0.0:9398"
    allowed_hosts: list[str] = Field(default_factory=list)
    """Names that a Host header may hold beside addresses and this machine's own names."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses whose X-Forwarded-Proto and X-Forwarded-Host are believed."""
    certificate: Path | None = None
    """PEM certificate chain; made at first start where absent."""
    certificate_key: Path | None = None


class EmSettings(BaseModel):
    """The Enterprise Manager face."""

    json_camel_case: bool = False
    """Write JSON member names as release 13 does; PascalCase, as releases up to 12 do, otherwise."""
    logon_idle: timedelta = timedelta(minutes=15)
    max_body_bytes: int = 1024 * 1024


class VaultSettings(BaseModel):
    """How hard the data path works."""

    threads: int = Field(default=0, ge=0)
    """Threads that hash, compress and encrypt; 0 means one a core."""


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="RESTORIUM_",
        env_nested_delimiter="__",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    data: Path = Path("restorium-data")
    database_url: str | None = None
    """SQLAlchemy URL of a PostgreSQL database; SQLite in the data folder where absent."""
    admin_password: SecretStr | None = None
    server_name: str | None = None
    log_level: str = "info"
    flows_per_repository: int = Field(default=2, ge=1)
    """Backups and restores that run at once on one repository; more wait."""
    http: HttpSettings = Field(default_factory=HttpSettings)
    em: EmSettings = Field(default_factory=EmSettings)
    vault: VaultSettings = Field(default_factory=VaultSettings)

    @classmethod
    def load(cls, config: Path | None = None, **overrides: object) -> Settings:
        """Settings from ``config`` and the environment, with ``overrides`` (the command line) on top."""

        class _WithFile(cls):  # type: ignore[misc, valid-type]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                if config is None:
                    return init_settings, env_settings
                return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config)

        return _WithFile(**overrides)
