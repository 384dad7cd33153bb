"""Settings: what overrides what, and what is said of a wrong one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from restorium.settings import Settings
from restorium.vocabulary.errors import InvalidInput


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATA",
        "LOG_LEVEL",
        "HTTP__LISTEN",
        "HTTP__ALLOWED_HOSTS",
        "ADMIN_PASSWORD",
        "VAULT__THREADS",
    ):
        monkeypatch.delenv(f"RESTORIUM_{name}", raising=False)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "restorium.toml"
    path.write_text(text)
    return path


def test_the_documented_port_and_idle_time_are_built_in() -> None:
    settings = Settings.load()
    assert settings.http.listen == "0.0.0.0:9398"
    assert settings.em.logon_idle == timedelta(minutes=15)
    assert settings.data == Path("restorium-data")


def test_file_then_environment_then_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = _file(
        tmp_path,
        """
        log_level = "debug"
        [http]
        listen = "127.0.0.1:1"
        allowed_hosts = ["backup.example"]
        [em]
        logon_idle = 60
        [vault]
        threads = 3
        """,
    )
    monkeypatch.setenv("RESTORIUM_HTTP__LISTEN", "127.0.0.1:2")
    monkeypatch.setenv("RESTORIUM_VAULT__THREADS", "4")
    monkeypatch.setenv("RESTORIUM_ADMIN_PASSWORD", "sesame")
    settings = Settings.load(config, http={"listen": "127.0.0.1:3"}, data=tmp_path)
    assert settings.http.listen == "127.0.0.1:3"
    assert settings.http.allowed_hosts == ["backup.example"]
    assert settings.vault.threads == 4
    assert settings.log_level == "debug"
    assert settings.em.logon_idle == timedelta(minutes=1)
    assert settings.data == tmp_path
    assert settings.admin_password is not None
    assert settings.admin_password.get_secret_value() == "sesame"
    assert "sesame" not in repr(settings)


def test_lists_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORIUM_HTTP__ALLOWED_HOSTS", '["a.example", "b.example"]')
    assert Settings.load().http.allowed_hosts == ["a.example", "b.example"]


def test_the_constructor_does_not_look_at_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORIUM_LOG_LEVEL", "error")
    assert Settings().log_level == "info"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("colour = 'red'", "colour"),
        ("[http]\nlisten_on = 'x'", "http.listen_on"),
        ("log_level = 'loud'", "log_level"),
        ("[vault]\nthreads = -1", "vault.threads"),
        ("[vault]\nthreads = 'many'", "vault.threads"),
        ("[em]\nlogon_idle = 0", "em.logon_idle"),
        ("http = 'x'", "http"),
    ],
)
def test_a_wrong_member_is_named_with_its_file(tmp_path: Path, text: str, named: str) -> None:
    config = _file(tmp_path, text)
    with pytest.raises(InvalidInput) as raised:
        Settings.load(config)
    assert raised.value.message.startswith(f"{named} in {config}: ")


def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORIUM_VAULT__THREADS", "several")
    with pytest.raises(InvalidInput, match="RESTORIUM_VAULT__THREADS: "):
        Settings.load(_file(tmp_path, "[vault]\nthreads = 1"))
    monkeypatch.delenv("RESTORIUM_VAULT__THREADS")
    monkeypatch.setenv("RESTORIUM_HTTP__ALLOWED_HOSTS", "a.example")
    with pytest.raises(InvalidInput, match="RESTORIUM_HTTP__ALLOWED_HOSTS"):
        Settings.load()


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    config = _file(tmp_path, "admin_password = ['s3cret']")
    with pytest.raises(InvalidInput) as raised:
        Settings.load(config)
    assert "s3cret" not in raised.value.message + raised.value.hint


def test_a_file_that_is_not_there_or_not_toml_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(InvalidInput, match=r"missing\.toml"):
        Settings.load(missing)
    for content in (b"listen :=", b"\xff\xfe"):
        config = tmp_path / "restorium.toml"
        config.write_bytes(content)
        with pytest.raises(InvalidInput, match=r"restorium\.toml"):
            Settings.load(config)
