"""`restorium audit`: who did what, and whether the log of it is whole. Verifying needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from restorium.catalog.database import Database
from restorium.cli.client import Client
from restorium.cli.command import Json, server_command
from restorium.cli.data_folder import DEFAULT, DataFolder
from restorium.cli.output import Output, field, moment
from restorium.evidence.chain import Entry, Head, check
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import AuditBroken, InvalidInput, TargetExists

app = typer.Typer(help="Who did what, and whether the log of it is whole.", no_args_is_help=True)

_HASH_DIGITS = 64

_Actor = Annotated[str | None, typer.Option(help="Name of an account.")]
_Operation = Annotated[str | None, typer.Option(help="Operation, as the list shows it.")]
_Since = Annotated[str | None, typer.Option(help="Moment as in RFC 3339; UTC unless it says otherwise.")]
_Until = Annotated[str | None, typer.Option(help="The first moment that is left out.")]


@server_command(app, "list")
def list_entries(
    client: Client,
    output: Output,
    actor: _Actor = None,
    operation: _Operation = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """List entries, the newest first."""
    found = client.items("/audit", actor=actor, operation=operation, since=since, until=until, limit=limit)
    output.table(
        found,
        [
            ("NUMBER", field("number")),
            ("AT (UTC)", moment("at")),
            ("WHO", lambda entry: entry["actor"] or ""),
            ("FROM", field("address")),
            ("WHAT", field("operation")),
            ("SUBJECT", lambda entry: " ".join(entry["subject"])),
            ("STAGE", _stage),
            ("OUTCOME", field("outcome")),
        ],
    )


@server_command(app, "head")
def head(client: Client, output: Output) -> None:
    """Show the end of the log. Its hash, noted down elsewhere, is what `verify --head` takes."""
    found = client.get("/audit/head")
    output.result(found, f"{found['number']} {found['hash']}")


@server_command(app, "export")
def export(
    client: Client,
    output: Output,
    file: Annotated[Path, typer.Argument(help="File to write; an existing one is never overwritten.")],
    form: Annotated[str, typer.Option("--format", help="ndjson, which can be verified, or csv.")] = "ndjson",
    actor: _Actor = None,
    operation: _Operation = None,
    since: _Since = None,
    until: _Until = None,
) -> None:
    """Write the log, or the entries that are asked for, to a file."""
    asked = {"format": form, "actor": actor, "operation": operation, "since": since, "until": until}
    given = {name: value for name, value in asked.items() if value is not None}
    size = 0
    try:
        with file.open("xb") as out:
            for piece in client.pieces("/audit/export", given):
                size += out.write(piece)
    except FileExistsError:
        raise TargetExists(f"{file} exists already", hint="Name another file, or remove it.") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {file}: {error.strerror}", hint="Name another file.") from None
    output.result({"file": str(file), "bytes": size}, f"wrote {size} bytes to {file}")


@app.command("verify")
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="A whole log as `export` writes it; else the database.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Hash that `restorium audit head` showed earlier.")] = None,
    data: Annotated[
        Path, typer.Option(envvar="RESTORIUM_DATA", help="Data folder whose database is checked.")
    ] = DEFAULT,
    database_url: Annotated[
        str | None,
        typer.Option(envvar="RESTORIUM_DATABASE_URL", help="URL of the database, if it is PostgreSQL."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the log of a database or of a file. Needs no server. Exit code 0 means that it is whole."""
    noted = None if head is None else _hash(head)
    found = _of_database(data, database_url, noted) if file is None else check(_entries(file), noted)
    sentence = f"the log is whole: {found.number} entries, the last with the hash {found.hash.hex()}"
    if noted is None:
        sentence += "\nThat entries were cut off at the end shows only against a head noted earlier (--head)."
    Output(as_json).result({"number": found.number, "hash": found.hash.hex()}, sentence)


def _of_database(data: Path, database_url: str | None, noted: bytes | None) -> Head:
    from restorium.flows import audit  # loads the durable engine, which takes its time

    url = database_url
    if url is None:
        path = DataFolder(data).database
        if not path.is_file():
            raise InvalidInput(f"there is no database {path}", hint="Name the data folder with --data.")
        url = f"sqlite:///{path.resolve()}"
    with closing(Database.inspect(url, SystemClock())) as database, database.read() as connection:
        return audit.verify(connection, noted)


def _entries(file: Path) -> Iterator[Entry]:
    try:
        with file.open("rb") as lines:
            yield from (_entry(file, number, line) for number, line in enumerate(lines, 1))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}", hint="Name a readable file.") from None


def _entry(file: Path, number: int, line: bytes) -> Entry:
    try:
        told = msgspec.json.decode(line, type=_Exported)
        return Entry(
            msgspec.json.decode(told.content, type=_Numbered).number, told.content, bytes.fromhex(told.hash)
        )
    except ValueError as error:
        raise AuditBroken(f"line {number} of {file} is no entry: {error}") from None


class _Exported(msgspec.Struct):
    content: str
    hash: str


class _Numbered(msgspec.Struct):
    number: int


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(text) != _HASH_DIGITS or len(found) * 2 != _HASH_DIGITS:
        raise InvalidInput(
            f"{text} is no hash", hint="It has 64 hexadecimal digits, as `audit head` shows them."
        )
    return found


def _stage(entry: Any) -> str:
    return f"{entry['stage']} {entry['begun']}" if entry["begun"] else str(entry["stage"])
