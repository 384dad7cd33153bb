"""`restorium repository`: where backups are kept."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Output, field
from restorium.cli.secret_files import read_secret
from restorium.cli.sizes import format_size, parse_size
from restorium.vocabulary.errors import InvalidInput

app = typer.Typer(help="Where backups are kept.", no_args_is_help=True)


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    name: str,
    url: Annotated[str, typer.Argument(help="file:///FOLDER, s3://BUCKET/PREFIX, or a folder's path.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File with the repository's passphrase.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="Key file of the repository.")] = None,
    capacity: Annotated[str | None, typer.Option(help="The most it may grow to, such as 500GB.")] = None,
) -> None:
    """Add a repository: open the one at URL, or make a new one where there is none.

    Without a passphrase or key file the server makes a key; the backups then need its data folder.
    """
    body = {
        "name": name,
        "url": url if "://" in url else Path(url).absolute().as_uri(),
        "key": key_of(passphrase_file, key_file),
        "capacity_bytes": None if capacity is None else parse_size(capacity),
    }
    repository = client.post("/repositories", body)
    output.result(repository, f"added the repository {repository['name']} at {repository['url']}")


@server_command(app, "list")
def list_repositories(client: Client, output: Output) -> None:
    """List the repositories."""
    output.table(
        client.items("/repositories"),
        [
            ("NAME", field("name")),
            ("URL", field("url")),
            ("CAPACITY", lambda item: format_size(item["capacity_bytes"])),
            ("FREE", lambda item: format_size(item["free_bytes"])),
            ("ID", field("id")),
        ],
    )


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Forget a repository; what is in it stays where it is. Refused while a job or restore points need it."""
    item = client.named("/repositories", name)
    client.delete(f"/repositories/{item['id']}")
    output.result(item, f"removed the repository {item['name']}; what is at {item['url']} is still there")


def key_of(passphrase_file: Path | None, key_file: Path | None) -> dict[str, str] | None:
    """The key in one of the two files as the API takes it; None if no file is named. Raises InvalidInput."""
    if passphrase_file and key_file:
        raise InvalidInput("--passphrase-file and --key-file exclude each other", hint="Give one of the two.")
    if passphrase_file:
        return {"kind": "passphrase", "passphrase": read_secret(passphrase_file)}
    if key_file:
        try:
            content = key_file.read_bytes()
        except OSError as error:
            raise InvalidInput(
                f"cannot read {key_file}: {error.strerror}", hint="Name a readable file."
            ) from error
        return {"kind": "key-file", "content": base64.b64encode(content).decode()}
    return None
