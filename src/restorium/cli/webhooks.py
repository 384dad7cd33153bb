"""`restorium webhook`: who is told when restores and backups begin and end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import FAILED, Output, field, moment
from restorium.cli.secret_files import read_secret
from restorium.vocabulary.ids import parse_guid

app = typer.Typer(help="Who is told when restores and backups begin and end.", no_args_is_help=True)

_POLL_SECONDS = 0.3
_WAIT_SECONDS = 30.0

_Webhook = Annotated[str, typer.Argument(help="Id, as `restorium webhook list` shows it.")]


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    url: str,
    event: Annotated[list[str], typer.Option(help="Such as restore.failed; may be repeated.")],
    secret_file: Annotated[
        Path | None, typer.Option(help="File with its secret (whsec_...); a new one is shown otherwise.")
    ] = None,
) -> None:
    """Tell a receiver of events from now on."""
    secret = None if secret_file is None else read_secret(secret_file)
    made = client.post("/webhooks", {"url": url, "events": event, "secret": secret})
    told = f" with the secret {made['secret']}" if secret is None else ""
    output.result(made, f"added the webhook {made['id']}{told}")


@server_command(app, "list")
def list_webhooks(client: Client, output: Output) -> None:
    """List the webhooks."""
    output.table(
        client.items("/webhooks"),
        [
            ("ID", field("id")),
            ("URL", field("url")),
            ("EVENTS", lambda item: ", ".join(item["events"])),
            ("ENABLED", lambda item: "yes" if item["enabled"] else "no"),
        ],
    )


@server_command(app, "remove")
def remove(client: Client, output: Output, webhook: _Webhook) -> None:
    """Remove a webhook with what waits to be sent."""
    client.delete(_path(webhook))
    output.result({"id": webhook}, f"removed the webhook {webhook}")


@server_command(app, "test")
def test(client: Client, output: Output, webhook: _Webhook) -> None:
    """Send a test and wait for what comes of it. Ends with 1 if the receiver does not take it."""
    sent = client.post(f"{_path(webhook)}/test")
    until = time.monotonic() + _WAIT_SECONDS
    while sent["state"] == "Pending" and not sent["problem"] and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        sent = _delivery(client, webhook, sent["id"])
    output.result(sent, f"{sent['state']}: {sent['problem'] or sent['status'] or 'not sent yet'}")
    if sent["state"] != "Delivered":
        raise typer.Exit(FAILED)


@server_command(app, "deliveries")
def deliveries(client: Client, output: Output, webhook: _Webhook) -> None:
    """List what was sent and is to be sent, the newest first."""
    output.table(
        client.items(f"{_path(webhook)}/deliveries"),
        [
            ("AT (UTC)", moment("created_at")),
            ("EVENT", field("event")),
            ("STATE", field("state")),
            ("ATTEMPTS", field("attempts")),
            ("NEXT (UTC)", moment("next_attempt_at")),
            ("STATUS", field("status")),
            ("PROBLEM", field("problem")),
        ],
    )


def _delivery(client: Client, webhook: str, delivery: str) -> dict[str, Any]:
    found = client.items(f"{_path(webhook)}/deliveries")
    return next(each for each in found if each["id"] == delivery)


def _path(webhook: str) -> str:
    return f"/webhooks/{parse_guid(webhook)}"
