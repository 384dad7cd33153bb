"""One chunk between its plain form and what a pack's record holds."""

from __future__ import annotations

import threading

import zstandard

from restorium.vault.keys import Keyring
from restorium.vault.packs import Encoding, Location
from restorium.vault.tables import ZERO_ID

_LEVEL = 1
_WORTH_IT = 0.97

Codec = tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]


class ChunkCodec:
    """Compresses and expands chunks. Its contexts are one a thread, for they cannot be shared."""

    def __init__(self) -> None:
        self._local = threading.local()

    def encode(self, chunk: bytes | memoryview) -> tuple[Encoding, bytes | memoryview]:
        """Zstandard at level 1, unless that saves less than 3 %."""
        # On incompressible data zstd gives up early, at several GB/s: a cheaper test would save nothing.
        packed = self._contexts()[0].compress(chunk)
        if len(packed) < len(chunk) * _WORTH_IT:
            return Encoding.ZSTD, packed
        return Encoding.RAW, chunk

    def decode(self, location: Location, payload: bytes) -> bytes | None:
        """The chunk, or None if the payload is no frame of the length that the record states."""
        plain = location.entry.plain
        if location.entry.encoding is Encoding.RAW:
            return payload if len(payload) == plain else None
        try:
            if zstandard.frame_content_size(payload) != plain:
                return None
            return self._contexts()[1].decompress(payload)
        except zstandard.ZstdError:
            return None

    def _contexts(self) -> Codec:
        contexts: Codec | None = getattr(self._local, "contexts", None)
        if contexts is None:
            contexts = (zstandard.ZstdCompressor(level=_LEVEL), zstandard.ZstdDecompressor())
            self._local.contexts = contexts
        return contexts


class DataIds:
    """Names the pieces of disks, all zeros among them."""

    def __init__(self, keyring: Keyring, chunk_size: int) -> None:
        self._keyring = keyring
        self._chunk_size = chunk_size
        self._zeros = keyring.data_id(bytes(chunk_size))

    def of(self, chunk: bytes | memoryview) -> bytes:
        """The chunk's id; ``ZERO_ID`` if it holds zeros alone."""
        name = self._keyring.data_id(chunk)
        whole = len(chunk) == self._chunk_size
        zeros = self._zeros if whole else self._keyring.data_id(bytes(len(chunk)))
        return ZERO_ID if name == zeros else name
