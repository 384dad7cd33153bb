"""Signed records: what is genuine is read as an independent reader reads it, and nothing else is accepted."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from restorium.cli.app import app
from restorium.evidence import Record, SigningKey, canonical, check, read_public_keys, sign
from restorium.evidence.record import (
    Digests,
    Disk,
    Event,
    Named,
    Point,
    Reason,
    Server,
    Session,
    Target,
    merkle_root,
)
from restorium.vocabulary.errors import EvidenceRefused, InvalidInput, Unsupported
from tests.support import evidence as independent

KEY, OTHER = SigningKey(bytes(range(32))), SigningKey(bytes(32))
AT = datetime(2026, 11, 24, 19, 20, 18, 123456, UTC)
ID = UUID("6f9619ff-8b86-4011-b42d-00c04fc964ff")
CONTENT = b"boot" + bytes(3 << 20) + b"tail"


def _record() -> Record:
    disks = [
        Disk(
            key="disk0",
            size=len(CONTENT),
            data_bytes=8,
            result="Success",
            reason=None,
            digest=independent.digest(CONTENT),
        ),
        Disk(
            key="größe\n\x01\u2028",
            size=2**53 - 1,
            data_bytes=0,
            result="Failed",
            reason='it "failed"',
            digest=None,
        ),
    ]
    return Record(
        key=KEY.public.id,
        server=Server(id=ID, name="backup", version="1"),
        session=Session(
            id=ID,
            name="web@2026",
            kind="RestoreVm",
            requested_by="operator",
            requested_from="192.0.2.7",
            created_at=AT,
            ended_at=AT + timedelta(seconds=2),
            duration_ms=2000,
        ),
        point=Point(
            id=ID,
            name="p",
            vm_name="web",
            vm_ref="web",
            created_at=AT,
            repository=Named(id=ID, name="main"),
            manifest="points/x",
        ),
        target=Target(
            host_id=ID,
            host_name="lab",
            keep_original=True,
            new_name="copy",
            quick_rollback=False,
            power_on=False,
            restored_ref=None,
        ),
        result="Failed",
        reason=Reason(code="target-full", message="no room", hint="Make some."),
        digests=Digests(),
        disks=disks,
        merkle_root=merkle_root(disks),
        events=[
            Event(at=AT, level="info", message="It began."),
            Event(at=AT, level="error", message="It ended."),
        ],
    )


DOCUMENT = sign(_record(), KEY)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value is in a document, objects and lists too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for name in value if isinstance(value, dict) else range(len(value)):
            yield from _paths(value[name], (*path, name))


def _changed(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value - 1
        case str():
            return value + "x"
        case None:
            return "x"
        case list():
            return value[:-1]
        case _:
            return {**value, "more": 1}


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        document = document[name]
    return document


def test_record_is_read_from_the_documentation_alone() -> None:
    record = independent.read(DOCUMENT, KEY.public.pem)
    assert record["session"]["requested_by"] == "operator"
    assert record["session"]["created_at"] == "2026-11-24T19:20:18.123456Z"
    assert [disk["key"] for disk in record["disks"]] == ["disk0", "größe\n\x01\u2028"]
    assert check(DOCUMENT.encode(), [OTHER.public, KEY.public]) == _record()


def test_layout_does_not_count() -> None:
    laid_out = json.dumps(json.loads(DOCUMENT), indent=4, ensure_ascii=True)
    assert check(laid_out.encode(), [KEY.public]) == _record()


@pytest.mark.parametrize("path", list(_paths(json.loads(DOCUMENT))), ids=str)
def test_every_change_is_refused(path: tuple[Any, ...]) -> None:
    found = json.loads(DOCUMENT)
    holder, name = _at(found, path[:-1]), path[-1]
    changed, without = deepcopy(found), deepcopy(found)
    _at(changed, path[:-1])[name] = _changed(holder[name])
    del _at(without, path[:-1])[name]
    for forged in (changed, without):
        with pytest.raises(EvidenceRefused):
            check(canonical(forged), [KEY.public])


def test_other_key_is_refused() -> None:
    with pytest.raises(EvidenceRefused, match="none of those given"):
        check(DOCUMENT.encode(), [OTHER.public])
    stolen = sign(_record(), OTHER)
    with pytest.raises(EvidenceRefused, match="signature"):
        check(stolen.encode(), [KEY.public, OTHER.public])


def _signed(**changes: Any) -> bytes:
    plain = {**json.loads(DOCUMENT)["record"], **changes}
    signature = base64.b64encode(KEY.sign(canonical(plain))).decode()
    return canonical({"record": plain, "signature": signature})


def test_signed_records_that_mean_something_else_are_refused() -> None:
    assert check(_signed(), [KEY.public]) == _record()
    with pytest.raises(Unsupported, match="version 2"):
        check(_signed(version=2), [KEY.public])
    with pytest.raises(EvidenceRefused, match="Merkle"):
        check(_signed(disks=[]), [KEY.public])
    with pytest.raises(EvidenceRefused, match="no record"):
        check(_signed(events=3), [KEY.public])


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b'{"record": null, "signature": ""}',
        DOCUMENT.replace('"version":1', '"version":1,"version":1').encode(),
        DOCUMENT.replace('"version":1', '"version":1.0').encode(),
        DOCUMENT.replace('"version":1', '"version":NaN').encode(),
        DOCUMENT.replace('"version":1', '"version":9007199254740992').encode(),
        DOCUMENT.replace("web@2026", "\\ud800").encode(),
        DOCUMENT.replace('=="}', '"}').encode(),
        DOCUMENT.replace('=="}', '==\\n"}').encode(),
    ],
)
def test_what_is_no_document_is_refused(forged: bytes) -> None:
    assert forged != DOCUMENT.encode()
    with pytest.raises(EvidenceRefused):
        check(forged, [KEY.public])


def test_public_keys_are_read_from_pem_alone() -> None:
    both = KEY.public.pem + OTHER.public.pem
    assert read_public_keys(both.encode(), "keys.pem") == [KEY.public, OTHER.public]
    broken = KEY.public.pem.replace("MC", "MD")
    for wrong in (b"", KEY.public.raw, broken.encode(), both.replace("PUBLIC", "PRIVATE").encode()):
        with pytest.raises(InvalidInput, match=r"keys\.pem"):
            read_public_keys(wrong, "keys.pem")


def _verify(*arguments: object) -> tuple[int, str]:
    """Exit code and output, or the error's class: the program turns it into code and message."""
    done = CliRunner().invoke(app, ["evidence", "verify", *map(str, arguments)])
    return done.exit_code, done.stdout if done.exit_code == 0 else type(done.exception).__name__


def test_command_holds_images_against_the_record_without_a_server(tmp_path: Path) -> None:
    file, key, image = tmp_path / "record.json", tmp_path / "key.pem", tmp_path / "disk.raw"
    file.write_text(DOCUMENT)
    key.write_text(KEY.public.pem)
    image.write_bytes(CONTENT)
    code, told = _verify(file, "--key", key, "--image", f"disk0={image}")
    assert code == 0
    assert "Failed" in told and "is identical" in told
    code, told = _verify(file, "--key", key, "--json")
    assert json.loads(told)["record"] == json.loads(DOCUMENT)["record"]

    done = CliRunner().invoke(app, ["evidence", "digest", str(image)])
    assert done.stdout.split()[0] == independent.digest(CONTENT)

    image.write_bytes(CONTENT[:-1] + b"!")
    assert _verify(file, "--key", key, "--image", f"disk0={image}")[1] == "EvidenceRefused"
    image.write_bytes(CONTENT + b"\0")
    assert _verify(file, "--key", key, "--image", f"disk0={image}")[1] == "EvidenceRefused"
    assert _verify(file, "--key", key, "--image", f"größe\n\x01\u2028={image}")[1] == "EvidenceRefused"
    assert _verify(file, "--key", key, "--image", f"disk9={image}")[1] == "InvalidInput"
    assert _verify(file, "--key", key, "--image", "disk0")[1] == "InvalidInput"
    assert _verify(file, "--key", image)[1] == "InvalidInput"
    assert _verify(tmp_path / "none", "--key", key)[1] == "InvalidInput"
    key.write_text(OTHER.public.pem)
    assert _verify(file, "--key", key)[1] == "EvidenceRefused"
