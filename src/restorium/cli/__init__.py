"""The commands: `serve` and `demo` run the program, all others are clients of a running server's native API.

Nothing heavy is imported until a command needs it, so that commands start quickly. A command keeps nothing of
its own: one that is interrupted leaves what it started running on the server.

What may be half done after a crash of `serve`: a certificate's key without its certificate, or the file of a
first password without its account; both are made anew at the next start. `server.json` may name a server that
is gone.
"""

from __future__ import annotations


def main() -> None:
    """Run the program with the process's arguments; ends the process."""
    from restorium.cli.app import run

    run()
