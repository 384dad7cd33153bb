"""Addresses to listen on."""

import asyncio
import socket

import pytest

from restorium.cli.listener import Address, bind
from restorium.vocabulary.errors import AlreadyRunning, InvalidInput


@pytest.mark.parametrize(
    ("text", "url", "local_url"),
    [
        ("127.0.0.1:9398", "https://127.0.0.1:9398", "https://127.0.0.1:9398"),
        ("0.0.0.0:9398", "https://0.0.0.0:9398", "https://127.0.0.1:9398"),
        ("[::]:443", "https://[::]:443", "https://[::1]:443"),
        ("localhost:1", "https://localhost:1", "https://localhost:1"),
    ],
)
def test_address_becomes_urls(text: str, url: str, local_url: str) -> None:
    address = Address.parse(text)
    assert (address.url, address.local_url) == (url, local_url)


@pytest.mark.parametrize("text", ["", "9398", "host:", "host:http", "host:65536", "host:-1"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Address.parse(text)
    assert repr(text) in refused.value.message


def test_port_zero_is_a_free_port_and_then_taken() -> None:
    with bind(Address("127.0.0.1", 0)) as listener:
        taken = Address("127.0.0.1", 0).at(listener)
        assert taken.port > 0
        with pytest.raises(AlreadyRunning, match=str(taken.port)), bind(taken):
            pass


def test_address_of_another_machine_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"192\.0\.2\.1"), bind(Address("192.0.2.1", 0)):
        pass


def test_answers_are_not_held_back() -> None:
    """A small answer leaves at once: Nagle's algorithm would add 40 ms to each of a client that keeps connections."""

    async def serve() -> int:
        accepted: asyncio.Queue[int] = asyncio.Queue()

        async def connected(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            accepted.put_nowait(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with bind(Address("127.0.0.1", 0)) as listener:
            async with await asyncio.start_server(connected, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                writer.close()
                return await accepted.get()

    assert asyncio.run(serve())
