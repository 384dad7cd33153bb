"""Commands that talk to a server, and the options that all of them share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from restorium.cli.client import Connection, connect
from restorium.cli.data_folder import DEFAULT
from restorium.cli.output import Output

_Server = Annotated[
    str | None, typer.Option("--server", envvar="RESTORIUM_SERVER", help="URL of the server.")
]
_Username = Annotated[
    str, typer.Option("--username", envvar="RESTORIUM_USERNAME", help="Account to log on with.")
]
_PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="File with its password, else RESTORIUM_PASSWORD.")
]
_Ca = Annotated[
    Path | None, typer.Option("--ca", envvar="RESTORIUM_CA", help="PEM certificate to trust the server by.")
]
_Data = Annotated[
    Path, typer.Option("--data", envvar="RESTORIUM_DATA", help="Data folder of a server on this machine.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _shared(
    server: _Server = None,
    username: _Username = "administrator",
    password_file: _PasswordFile = None,
    ca: _Ca = None,
    data: _Data = DEFAULT,
    as_json: Json = False,
) -> tuple[Connection, Output]:
    return Connection(server, username, password_file, ca, data), Output(as_json)


def server_command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register ``function(client, output, ...)`` as a command of ``app``.

    Its further parameters are the command's own; the shared options are added: which server
    ``client`` is logged on to, and how ``output`` prints.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(**values: Any) -> None:
            connection, output = _shared(**{option: values.pop(option) for option in shared})
            with connect(connection) as client:
                function(client, output, **values)

        shared = inspect.signature(_shared, eval_str=True).parameters
        own = list(inspect.signature(function, eval_str=True).parameters.values())[2:]
        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *shared.values())
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del run.__wrapped__
        app.command(name)(run)
        return run

    return register
