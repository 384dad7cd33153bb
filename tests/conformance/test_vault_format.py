"""A reader written from docs/vault-format.md alone reads what the vault writes. It imports nothing of the vault's."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from restorium.vault import Key
from tests.support.vaults import CHUNK, MemoryDisk, back_up, new_vault

CONTEXT = "restorium 2026-11 vault v1 "
SECRETS = {"passphrase": b"eight words would be better", "key-file": bytes(range(64))}


def derive(purpose: str, material: bytes) -> bytes:
    return blake3(material, derive_key_context=CONTEXT + purpose).digest()


class Reader:
    def __init__(self, folder: Path, secrets: dict[str, bytes]) -> None:
        self.folder = folder
        config = json.loads((folder / "config").read_text())
        assert (config["format"], config["version"], config["chunk_size"]) == ("restorium-vault", 1, 262144)
        self.vault_id = bytes.fromhex(config["id"].replace("-", ""))
        master = self.master(config["slots"], secrets)
        tag = config.pop("tag")
        canonical = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        assert blake3(canonical, key=derive("config", master)).hexdigest() == tag
        self.id_keys = [derive("chunk id, data", master), derive("chunk id, table", master)]
        self.packs, self.manifests = derive("packs", master), derive("manifests", master)
        self.index = {entry[:32]: place for entry, *place in self.records()}

    def master(self, slots: list[dict[str, Any]], secrets: dict[str, bytes]) -> bytes:
        for slot in slots:
            secret, salt = secrets.get(slot["kind"]), bytes.fromhex(slot["salt"])
            if secret is None:
                continue
            if slot["kind"] == "key-file":
                wrapping = blake3(salt, key=derive("key file", secret)).digest()
            else:
                wrapping = Argon2id(
                    salt=salt,
                    length=32,
                    iterations=slot["iterations"],
                    lanes=slot["lanes"],
                    memory_cost=slot["memory_kib"],
                ).derive(secret)
            nonce, wrapped = bytes.fromhex(slot["nonce"]), bytes.fromhex(slot["wrapped"])
            return AESGCM(wrapping).decrypt(nonce, wrapped, b"restorium key slot " + slot["kind"].encode())
        raise AssertionError("no slot for these secrets")

    def records(self) -> Iterator[tuple[bytes, Path, int, int]]:
        for path in self.folder.glob("packs/*/*"):
            content = path.read_bytes()
            pack_id = bytes.fromhex(path.name)
            assert path.parent.name == path.name[:2]
            assert content[:32] == struct.pack("<8sH6x16s", b"RSTMPACK", 1, pack_id)
            length, magic = struct.unpack("<I8s", content[-12:])
            assert magic == b"RSTMPEND"
            sealed, context = content[-12 - length : -12], content[:32] + content[-12:]
            footer = self.cipher(pack_id).decrypt(b"\xff" * 12, sealed, context)
            offset = 32
            for number in range(len(footer) // 42):
                entry = footer[number * 42 : number * 42 + 42]
                yield entry, path, number, offset
                offset += struct.unpack_from("<I", entry, 34)[0]
            assert offset == len(content) - 12 - length

    def cipher(self, pack_id: bytes) -> AESGCM:
        return AESGCM(blake3(pack_id, key=self.packs).digest())

    def chunk(self, chunk_id: bytes, length: int, kind: int) -> bytes:
        if chunk_id == bytes(32):
            return bytes(length)
        path, number, offset = self.index[chunk_id]
        (entry,) = (each for each, where, which, _ in self.records() if (where, which) == (path, number))
        found_id, found_kind, encoding, stored, plain = struct.unpack("<32sBBII", entry)
        sealed = path.read_bytes()[offset : offset + stored]
        chunk = self.cipher(bytes.fromhex(path.name)).decrypt(number.to_bytes(12, "little"), sealed, entry)
        if encoding == 1:
            chunk = zstandard.ZstdDecompressor().decompress(chunk)
        assert (found_id, found_kind, plain, len(chunk)) == (chunk_id, kind, length, length)
        assert blake3(chunk, key=self.id_keys[kind]).digest() == chunk_id
        return chunk

    def point(self, name: str) -> dict[str, Any]:
        content = (self.folder / "points" / name).read_bytes()
        header, sealed = content[:48], content[48:]
        magic, version, salt = struct.unpack("<8sH6x32s", header)
        assert (magic, version) == (b"RSTMPOIN", 1)
        cipher = AESGCM(blake3(salt, key=self.manifests).digest())
        found: dict[str, Any] = json.loads(
            cipher.decrypt(bytes(12), sealed, header + self.vault_id + name.encode())
        )
        return found

    def disk(self, disk: dict[str, Any]) -> bytes:
        count = -(-disk["size"] // 262144)
        segments = -(-count // 4096)
        root = self.chunk(bytes.fromhex(disk["root"]), segments * 32, 1)
        content = b""
        for segment in range(segments):
            ids = self.chunk(root[segment * 32 :][:32], min(4096, count - segment * 4096) * 32, 1)
            for at in range(0, len(ids), 32):
                length = min(262144, disk["size"] - len(content))
                content += self.chunk(ids[at : at + 32], length, 0)
        return content


@pytest.mark.parametrize("kind", SECRETS)
def test_a_reader_that_knows_only_the_document_reads_every_byte(tmp_path: Path, kind: str) -> None:
    key = Key.passphrase(SECRETS[kind].decode()) if kind == "passphrase" else Key.raw(SECRETS[kind])
    vault = new_vault(tmp_path, key=key)
    chance = random.Random(1)
    content = chance.randbytes(2 * CHUNK) + bytes(CHUNK) + b"text " * CHUNK + chance.randbytes(77)
    first, record = back_up(vault, MemoryDisk(content))
    changed = content[:CHUNK] + b"new" + content[CHUNK + 3 :]
    second, _ = back_up(vault, MemoryDisk(changed), record)
    reader = Reader(tmp_path / "vault", SECRETS)
    for name, expected in ((first, content), (second, changed)):
        point = reader.point(name)
        assert point["vm"] == {"name": "web"}
        assert point["created"] == "2031-02-03T04:05:06+00:00"
        (disk,) = point["disks"]
        assert disk["key"] == "disk-0"
        assert reader.disk(disk) == expected
