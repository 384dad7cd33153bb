"""`restorium key`: what opens a repository, and how long restore points are kept from deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Output, field
from restorium.cli.repositories import key_of
from restorium.vocabulary.errors import InvalidInput

app = typer.Typer(help="What opens a repository.", no_args_is_help=True)

_Repository = Annotated[str, typer.Argument(help="Name of the repository.")]
_PassphraseFile = Annotated[Path | None, typer.Option(help="File with the new passphrase.")]
_KeyFile = Annotated[Path | None, typer.Option(help="The new key file.")]


@server_command(app, "list")
def list_keys(client: Client, output: Output, repository: _Repository) -> None:
    """List the keys that open a repository."""
    output.table(
        client.items(f"{_path(client, repository)}/keys"),
        [
            ("NAME", field("name")),
            ("KIND", field("kind")),
            ("USED BY", lambda key: "the server" if key["servers_own"] else ""),
        ],
    )


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    repository: _Repository,
    passphrase_file: _PassphraseFile = None,
    key_file: _KeyFile = None,
) -> None:
    """Let another passphrase or key file open a repository too."""
    key = client.post(f"{_path(client, repository)}/keys", _given(passphrase_file, key_file))
    output.result(key, f"added key {key['name']} ({key['kind']}) to {repository}")


@server_command(app, "rotate")
def rotate(
    client: Client,
    output: Output,
    repository: _Repository,
    passphrase_file: _PassphraseFile = None,
    key_file: _KeyFile = None,
) -> None:
    """Put another key in the place of the one that the server uses, which then opens nothing. No data is rewritten."""
    body = _given(passphrase_file, key_file)
    key = client.request("PUT", f"{_path(client, repository)}/key", json=body)
    output.result(key, f"the server now opens {repository} with key {key['name']} ({key['kind']})")


@server_command(app, "remove")
def remove(client: Client, output: Output, repository: _Repository, name: str) -> None:
    """Let a key open a repository no more."""
    client.delete(f"{_path(client, repository)}/keys/{name}")
    output.result({"name": name}, f"removed key {name} from {repository}")


@server_command(app, "protect")
def protect(
    client: Client,
    output: Output,
    repository: _Repository,
    days: Annotated[int, typer.Option(min=0, help="0 for no protection.")],
) -> None:
    """Let nobody delete restore points that are made from now on before they are so many days old."""
    client.request("PUT", f"{_path(client, repository)}/protection", json={"days": days})
    output.result({"days": days}, f"restore points of {repository} are kept from deletion for {days} days")


def _path(client: Client, repository: str) -> str:
    return f"/repositories/{client.named('/repositories', repository)['id']}"


def _given(passphrase_file: Path | None, key_file: Path | None) -> dict[str, str]:
    key = key_of(passphrase_file, key_file)
    if key is None:
        raise InvalidInput("no key is named", hint="Give --passphrase-file or --key-file.")
    return key
