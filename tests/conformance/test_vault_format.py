"""A reader written from docs/vault-format.md alone, tools/recover.py, reads what the vault writes and has written."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from restorium.vault import Key, Vault
from tests.support.vaults import CHUNK, MemoryDisk, MemoryTarget, back_up, new_vault

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "facts" / "vault-v1"
SECRETS = {"passphrase": "acht Wörter wären besser".encode(), "key-file": bytes(range(64))}


def recover(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", ROOT / "tools" / "recover.py", *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def a_key(kind: str) -> Key:
    return Key.passphrase(SECRETS[kind].decode()) if kind == "passphrase" else Key.raw(SECRETS[kind])


def key_option(folder: Path, kind: str) -> tuple[str, Path]:
    file = folder / "secret"
    file.write_bytes(SECRETS[kind] + (b"\n" if kind == "passphrase" else b""))
    return f"--{kind}" + ("-file" if kind == "passphrase" else ""), file


def test_it_is_short_and_needs_three_packages() -> None:
    text = (ROOT / "tools" / "recover.py").read_text()
    assert len(text.splitlines()) < 200
    assert "restorium." not in text


@pytest.mark.parametrize("kind", SECRETS)
def test_it_lists_and_restores_every_point(tmp_path: Path, kind: str) -> None:
    vault = new_vault(tmp_path, key=a_key(kind))
    chance = random.Random(1)
    content = chance.randbytes(2 * CHUNK) + bytes(CHUNK) + b"text " * CHUNK + chance.randbytes(77)
    changed = content[:CHUNK] + b"new" + content[CHUNK + 3 :]
    first, record = back_up(vault, MemoryDisk(content))
    second, _ = back_up(vault, MemoryDisk(changed), record)
    start = (tmp_path / "vault", *key_option(tmp_path, kind))
    listed = recover(*start)
    expected = [[name, "web", "disk-0"] for name in sorted((first, second))]
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == expected, listed.stderr
    for name, disk in ((first, content), (second, changed)):
        done = recover(*start, name, "disk-0", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / name).read_bytes() == disk


def test_it_takes_a_whole_copy_of_a_chunk_for_a_damaged_one_and_else_says_which_is_lost(
    tmp_path: Path,
) -> None:
    vault = new_vault(tmp_path, key=a_key("key-file"))
    point, _ = back_up(vault, MemoryDisk(random.Random(2).randbytes(CHUNK)))
    (pack,) = (tmp_path / "vault" / "packs").glob("*/*")
    whole = pack.read_bytes()
    pack.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    asked = (tmp_path / "vault", *key_option(tmp_path, "key-file"), point, "disk-0")
    lost = recover(*asked, tmp_path / "lost")
    assert lost.returncode != 0 and "is lost or damaged" in lost.stderr
    pack.write_bytes(whole)
    assert recover(*asked, tmp_path / "whole").returncode == 0


@pytest.mark.parametrize("kind", SECRETS)
def test_repository_written_when_the_format_was_frozen_stays_readable(tmp_path: Path, kind: str) -> None:
    """Two keys, two points, one of them an increment; chunks of both encodings, holes. GOLDEN never changes."""
    expected = json.loads((GOLDEN / "expected.json").read_text())
    folder = shutil.copytree(GOLDEN / "vault", tmp_path / "vault")
    start = (folder, *key_option(tmp_path, kind))
    with Vault.open(folder.as_uri(), a_key(kind), cache=tmp_path / "cache") as vault:
        assert vault.points() == sorted(expected)
        for number, name in enumerate(expected):
            for disk in vault.point(name).disks:
                target, out = MemoryTarget(disk.size), tmp_path / f"{number}-{disk.size}"
                vault.restore_disk(disk, target)
                assert recover(*start, name, disk.key, out).returncode == 0
                digests = {sha256(content).hexdigest() for content in (target.content, out.read_bytes())}
                assert digests == {expected[name][disk.key]}
