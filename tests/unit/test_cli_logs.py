"""What the log of a process says, and what it leaves out."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from contextlib import suppress

from restorium.cli.logs import configure_logs

_LARGE = 8 << 20


def test_a_connection_that_is_reset_is_no_error_of_the_log_and_a_callback_that_fails_is() -> None:
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, check=True, timeout=60)
    told = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["level"], each["event"].split("(")[0]) for each in told] == [
        ("error", "Exception in callback _fails")
    ]


class _Answering(asyncio.Protocol):
    """Writes on as soon as there is room, which there is just when its client hangs up."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def resume_writing(self) -> None:
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()
        while not self._transport.is_closing():  # the reset may take its time
            self._transport.write(b"more")


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        served, _ = listener.accept()
    client.setblocking(False)
    served.setblocking(False)
    transport, _ = await loop.create_connection(lambda: _Answering(client), sock=served)
    transport.set_write_buffer_limits(0)  # there is room when all has been sent
    transport.write(bytes(_LARGE))
    while not transport.is_closing():
        with suppress(BlockingIOError):
            client.recv(_LARGE)
        await asyncio.sleep(0)
    loop.call_soon(_fails)
    for _ in range(10):
        await asyncio.sleep(0)


def _fails() -> None:
    raise AttributeError("'NoneType' object has no attribute 'connection_lost'")


if __name__ == "__main__":
    configure_logs("info")
    asyncio.run(_serve())
