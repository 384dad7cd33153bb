"""`restorium account`: who may log on."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Output, field
from restorium.cli.secret_files import read_secret

app = typer.Typer(help="Who may log on.", no_args_is_help=True)
_PASSWORD_BYTES = 18


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    name: str,
    role: Annotated[
        list[str] | None, typer.Option(help="A role; may be repeated. Portal Administrator by default.")
    ] = None,
    new_password_file: Annotated[
        Path | None, typer.Option(help="File with its password; a random one is shown otherwise.")
    ] = None,
) -> None:
    """Add an account."""
    password = read_secret(new_password_file) if new_password_file else secrets.token_urlsafe(_PASSWORD_BYTES)
    added = client.post(
        "/accounts", {"name": name, "password": password, "roles": role or ["Portal Administrator"]}
    )
    if new_password_file is None:
        added["password"] = password
    told = f" with the password {password}" if new_password_file is None else ""
    output.result(added, f"added the account {added['name']}{told}")


@server_command(app, "set-password")
def set_password(
    client: Client,
    output: Output,
    name: str,
    new_password_file: Annotated[
        Path | None, typer.Option(help="File with the password; a random one is shown otherwise.")
    ] = None,
) -> None:
    """Set an account's password, and end its sessions."""
    password = read_secret(new_password_file) if new_password_file else secrets.token_urlsafe(_PASSWORD_BYTES)
    account = client.named("/accounts", name)
    client.request("PUT", f"/accounts/{account['id']}/password", json={"password": password})
    if new_password_file is None:
        account["password"] = password
    told = f" to {password}" if new_password_file is None else ""
    output.result(account, f"set the password of {account['name']}{told}")


@server_command(app, "list")
def list_accounts(client: Client, output: Output) -> None:
    """List the accounts."""
    output.table(
        client.items("/accounts"),
        [("NAME", field("name")), ("ROLES", lambda item: ", ".join(item["roles"])), ("ID", field("id"))],
    )


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Remove an account."""
    account = client.named("/accounts", name)
    client.delete(f"/accounts/{account['id']}")
    output.result(account, f"removed the account {account['name']}")
