#!/usr/bin/env python3
"""Read restore points out of a Restorium repository without Restorium.

Written from docs/vault-format.md alone. Needs Python 3.11 and three packages: cryptography, zstandard, blake3.

    recover.py FOLDER --passphrase-file FILE                 list the restore points and their disks
    recover.py FOLDER --key-file FILE POINT DISK OUT         write a disk as a raw image, checked byte by byte

FOLDER is a copy of the repository, such as `aws s3 sync` or `rclone copy` makes of one on object storage.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import unicodedata
import uuid
from pathlib import Path
from typing import Any, NamedTuple, cast

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

CONTEXT = "restorium 2026-11 vault v1 "
CHUNK, SEGMENT_IDS, ID = 256 * 1024, 4096, 32
DATA, TABLE = 0, 1
ZERO = bytes(ID)
HEX_128 = "[0-9a-f]" * 32


class Place(NamedTuple):
    """Where a chunk lies."""

    pack: Path
    number: int
    offset: int
    entry: bytes


def derive(purpose: str, material: bytes) -> bytes:
    return blake3(material, derive_key_context=CONTEXT + purpose).digest()


class Repository:
    def __init__(self, folder: Path, kind: str, secret: bytes) -> None:
        self.folder = folder
        config = json.loads((folder / "config").read_text("utf-8"))
        if (config["format"], config["version"], config["chunk_size"]) != ("restorium-vault", 1, CHUNK):
            sys.exit(f"{folder} is no repository of version 1")
        self.id = uuid.UUID(config["id"]).bytes
        master = unwrap(config["slots"], kind, secret)
        tag = config.pop("tag")
        canonical = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        if blake3(canonical, key=derive("config", master)).hexdigest() != tag:
            sys.exit("config is damaged: put config.copy in its place")
        self.id_keys = {DATA: derive("chunk id, data", master), TABLE: derive("chunk id, table", master)}
        self.pack_root, self.manifest_root = derive("packs", master), derive("manifests", master)
        self.places: dict[bytes, list[Place]] = {}

    def read_footers(self) -> None:
        for pack in sorted(self.folder.glob(f"packs/??/{HEX_128}")):
            try:
                self.read_footer(pack)
            except (OSError, InvalidTag, struct.error, ValueError) as error:
                print(f"left out the damaged pack {pack}: {error!r}", file=sys.stderr)

    def read_footer(self, pack: Path) -> None:
        with pack.open("rb") as file:
            header = file.read(32)
            end = file.seek(-12, 2)
            trailer = file.read(12)
            length, magic = struct.unpack("<I8s", trailer)
            expected = struct.pack("<8sH6x16s", b"RSTMPACK", 1, bytes.fromhex(pack.name))
            if (header, magic) != (expected, b"RSTMPEND"):
                raise ValueError("not a whole pack")
            file.seek(end - length)
            footer = self.cipher(pack).decrypt(b"\xff" * 12, file.read(length), header + trailer)
        offset = 32
        for number in range(len(footer) // 42):
            entry = footer[number * 42 : number * 42 + 42]
            self.places.setdefault(entry[:ID], []).append(Place(pack, number, offset, entry))
            offset += struct.unpack_from("<I", entry, 34)[0]
        if offset != end - length:
            raise ValueError("its records and its footer do not fit")

    def cipher(self, pack: Path) -> AESGCM:
        return AESGCM(blake3(bytes.fromhex(pack.name), key=self.pack_root).digest())

    def chunk(self, name: bytes, kind: int) -> bytes:
        """The chunk of that id, from the first pack that has it whole."""
        for place in self.places.get(name, ()):
            found_kind, encoding, stored, length = struct.unpack_from("<BBII", place.entry, ID)
            with place.pack.open("rb") as file:
                file.seek(place.offset)
                sealed = file.read(stored)
            try:
                nonce = place.number.to_bytes(12, "little")
                content = self.cipher(place.pack).decrypt(nonce, sealed, place.entry)
                if encoding == 1:
                    content = zstandard.ZstdDecompressor().decompress(content, max_output_size=CHUNK)
            except (InvalidTag, zstandard.ZstdError):
                continue
            named = blake3(content, key=self.id_keys[kind]).digest()
            if (found_kind, len(content), named) == (kind, length, name):
                return content
        raise SystemExit(f"chunk {name.hex()} is lost or damaged")

    def points(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"points/????????T??????Z-{HEX_128}"))

    def manifest(self, point: str) -> dict[str, Any]:
        content = (self.folder / "points" / point).read_bytes()
        header = content[:48]
        salt = header[16:]
        key = AESGCM(blake3(salt, key=self.manifest_root).digest())
        context = header + self.id + point.encode("ascii")
        return cast(dict[str, Any], json.loads(key.decrypt(bytes(12), content[48:], context)))

    def ids(self, disk: dict[str, Any]) -> list[bytes]:
        """The ids of the disk's chunks, in order."""
        chunks = -(-disk["size"] // CHUNK)
        starts = range(0, chunks, SEGMENT_IDS)
        segments = zip(starts, self.table(bytes.fromhex(disk["root"]), len(starts)), strict=True)
        return [name for at, each in segments for name in self.table(each, min(SEGMENT_IDS, chunks - at))]

    def table(self, name: bytes, count: int) -> list[bytes]:
        content = bytes(count * ID) if name == ZERO else self.chunk(name, TABLE)
        if len(content) != count * ID:
            sys.exit(f"table {name.hex()} has not {count} ids")
        return [content[at : at + ID] for at in range(0, len(content), ID)]

    def restore(self, disk: dict[str, Any], out: Path) -> None:
        """Write the disk; what is zeros stays a hole."""
        self.read_footers()
        names = self.ids(disk)
        with out.open("xb") as file:
            for number, name in enumerate(names):
                if name != ZERO:
                    file.seek(number * CHUNK)
                    file.write(self.chunk(name, DATA))
                if number % 400 == 0:
                    print(f"{number * 100 // len(names)} %", end="\r", file=sys.stderr)
            file.truncate(disk["size"])


def unwrap(slots: list[dict[str, Any]], kind: str, secret: bytes) -> bytes:
    for slot in slots:
        if slot["kind"] != kind:
            continue
        salt, nonce, wrapped = (bytes.fromhex(slot[name]) for name in ("salt", "nonce", "wrapped"))
        if kind == "key-file":
            wrapping = blake3(salt, key=derive("key file", secret)).digest()
        else:
            turns, lanes, memory = slot["iterations"], slot["lanes"], slot["memory_kib"]
            argon2 = Argon2id(salt=salt, length=32, iterations=turns, lanes=lanes, memory_cost=memory)
            wrapping = argon2.derive(secret)
        try:
            return AESGCM(wrapping).decrypt(nonce, wrapped, b"restorium key slot " + kind.encode())
        except InvalidTag:
            continue
    sys.exit("this key opens no slot of the repository")


def main() -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("folder", type=Path)
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--passphrase-file", type=Path)
    key.add_argument("--key-file", type=Path)
    parser.add_argument("what", nargs="*", metavar="POINT DISK OUT")
    asked = parser.parse_intermixed_args()
    kind, secret = "key-file", (asked.key_file or asked.passphrase_file).read_bytes()
    if asked.passphrase_file:
        text = secret.decode("utf-8").rstrip("\r\n")
        kind, secret = "passphrase", unicodedata.normalize("NFC", text).encode()
    repository = Repository(asked.folder, kind, secret)
    if not asked.what:
        for point in repository.points():
            found = repository.manifest(point)
            disks = ", ".join(f"{disk['key']} ({disk['size']} bytes)" for disk in found["disks"])
            print(f"{point}  {found['vm'].get('name', '')}  {disks}")
    elif len(asked.what) != 3 or asked.what[0] not in repository.points():
        parser.error("name a restore point that is there, a disk of it and the file to write")
    else:
        point, wanted, out = asked.what
        disk = next((each for each in repository.manifest(point)["disks"] if each["key"] == wanted), None)
        if disk is None:
            parser.error(f"the restore point has no disk {wanted!r}")
        repository.restore(disk, Path(out))


if __name__ == "__main__":
    main()
