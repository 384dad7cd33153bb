"""A disk that boots: its first sector writes to the disk and says a word on the first serial port, in 16-bit code."""

from __future__ import annotations

from pathlib import Path

MARKER = "RESTORIUM-BOOTED"
SECTOR = 512
_LOADED_AT = 0x7C00


def boot_sector(word: str = MARKER) -> bytes:
    """512 bytes that a BIOS starts."""
    setup = bytes.fromhex("31c08ed88ec08ed0bc007cfc")  # ax = ds = es = ss = 0; sp = 0x7c00; forwards
    write = bytes.fromhex(
        "b80103bb007cb90200ba8000cd13"
    )  # int 13h: write this to the first disk's second sector
    say = bytes.fromhex(
        "ac84c07412"  # next: load the next byte of the word; at its end go to halt
        "88c4bafd03"  # keep it; the line status of COM1
        "eca82074fb"  # wait until it takes a byte
        "88e0baf803ee"  # send it
        "ebe9"  # next
        "f4ebfd"  # halt
    )
    length = len(setup) + len(write) + 3 + len(say)
    load = b"\xbe" + (_LOADED_AT + length).to_bytes(2, "little")  # si = the word
    code = setup + write + load + say + f"{word}\r\n".encode() + b"\0"
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def powers_off() -> bytes:
    """512 bytes that a BIOS starts, and that turn QEMU's machine off: S5 written to PM1a_CNT of its ACPI."""
    code = bytes.fromhex("ba0406b80020eff4ebfd")
    return code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa"


def make_bootable(disk: Path) -> None:
    """Put the sector at the beginning of a raw image, whose ext4 file system keeps no data there."""
    with disk.open("r+b") as file:
        file.write(boot_sector())
