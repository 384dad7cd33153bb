"""Keeping credentials and passwords. They are sealed as the keys of repositories are, and given to nobody."""

from __future__ import annotations

import hmac
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import repositories, stored_secrets
from restorium.flows.engine import Engine
from restorium.vault import Key
from restorium.vocabulary.errors import InvalidInput

_MOST_BYTES = 4096


def add_credentials(engine: Engine, username: str, description: str, password: str) -> UUID:
    """Keep credentials; gives their id. Raises InvalidInput."""
    with engine.database.write() as connection:
        return keep_credentials(engine, connection, username, description, password)


def keep_credentials(
    engine: Engine, connection: Connection, username: str, description: str, password: str
) -> UUID:
    """``add_credentials`` within a transaction."""
    key = engine.clock.new_id()
    stored_secrets.add_credentials(
        connection, key, username=username, description=description, secret=_sealed(engine, key, password)
    )
    return key


def change_credentials(
    engine: Engine,
    credentials_id: UUID,
    *,
    username: str | None,
    description: str | None,
    password: str | None,
) -> None:
    """Change what is not None. Raises NotFound, InvalidInput."""
    secret = None if password is None else _sealed(engine, credentials_id, password)
    with engine.database.write() as connection:
        stored_secrets.change_credentials(
            connection, credentials_id, username=username, description=description, secret=secret
        )


def add_password(engine: Engine, hint: str, password: str) -> UUID:
    """Keep a password that backups may be encrypted with; gives its id. Raises InvalidInput."""
    key = engine.clock.new_id()
    with engine.database.write() as connection:
        stored_secrets.add_password(connection, key, hint=hint, secret=_sealed(engine, key, password))
    return key


def opens(engine: Engine, password_id: UUID, repository_id: UUID) -> bool:
    """Whether that password is the passphrase with which the repository encrypts all that it holds.

    Raises NotFound for either, WrongKey if the master key is not that of the database.
    """
    with engine.database.read() as connection:
        password = stored_secrets.get_password(connection, password_id)
        repository = repositories.get(connection, repository_id)
    asked = Key.passphrase(engine.secrets.open(password_id, password.secret).decode())
    return hmac.compare_digest(asked.to_bytes(), engine.secrets.open(repository_id, repository.secret))


def _sealed(engine: Engine, owner: UUID, password: str) -> bytes:
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise InvalidInput("the password is no text") from None
    if not 0 < len(secret) <= _MOST_BYTES:
        raise InvalidInput(f"the password has {len(secret)} bytes", hint=f"Give 1 to {_MOST_BYTES}.")
    return engine.secrets.seal(owner, secret)
