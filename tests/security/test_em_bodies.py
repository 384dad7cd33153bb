"""Bodies that mean harm, or not what they should: each is refused at once, by name, and nothing is started."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from restorium import hosts
from restorium.vocabulary.restore import Placement, RestoreSpec
from tests.support.em import PASSWORD, EmClient, Recorded, Site, basic, record_restores, standing_site

_XML = {"Content-Type": "application/xml"}
_JSON = {"Content-Type": "application/json"}
_AT_ONCE = 3.0  # seconds; what is taken in takes milliseconds
_MIB = 1024 * 1024
_NOWHERE = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
_OPEN = "<RestoreSpec><VmRestoreSpec>"
_CLOSE = "</VmRestoreSpec></RestoreSpec>"


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture
def client(here: Site) -> EmClient:
    return here.client()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return record_restores(monkeypatch)


@pytest.fixture
def refused(here: Site, client: EmClient, recorded: Recorded) -> Any:
    """Sends a body that must be refused; gives the message."""

    def send(body: bytes, headers: dict[str, str], said: str = "") -> str:
        begun = time.monotonic()
        answer = client.post(f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore", body, headers)
        assert time.monotonic() - begun < _AT_ONCE
        assert answer.status == 400, answer.text
        assert said in answer.message
        assert recorded.specs == []
        assert client.get("/tasks", {"Accept": "application/json"}).json["Tasks"] == []
        return answer.message

    return send


def _bomb(levels: int, width: int) -> str:
    entities = ['<!ENTITY e0 "lol">']
    entities += [f'<!ENTITY e{level} "{f"&e{level - 1};" * width}">' for level in range(1, levels)]
    return f"<!DOCTYPE RestoreSpec [{''.join(entities)}]>"


def _many(attribute: str, count: int) -> str:
    return f"<RestoreSpec {' '.join(map(attribute.format, range(count)))}/>"


_BOMBS = {
    "billion laughs": f"{_bomb(10, 10)}<RestoreSpec>&e9;</RestoreSpec>",
    "billion laughs in an attribute": f'{_bomb(10, 10)}<RestoreSpec a="&e9;"/>',
    "quadratic": f'<!DOCTYPE RestoreSpec [<!ENTITY a "{"a" * 100_000}">]><RestoreSpec>{"&a;" * 100_000}</RestoreSpec>',
    "entity within itself": '<!DOCTYPE RestoreSpec [<!ENTITY a "&b;"><!ENTITY b "&a;">]><RestoreSpec>&a;</RestoreSpec>',
    "harmless document type": f"<!DOCTYPE RestoreSpec>{_OPEN}{_CLOSE}",
    "undeclared entity": "<RestoreSpec>&nothing;</RestoreSpec>",
    "deep nesting": "<RestoreSpec>" * 50_000,
    "deep nesting, closed": f"<RestoreSpec>{'<a>' * 40_000}{'</a>' * 40_000}</RestoreSpec>",
    "many attributes": _many('a{}=""', 50_000),
    "many namespaces": _many('xmlns:a{}="u"', 20_000),
    "long name": f"<{'a' * 900_000}/>",
    "many children": f"{_OPEN}{'<PowerOnAfterRestore/>' * 40_000}{_CLOSE}",
}


@pytest.mark.parametrize("name", _BOMBS)
def test_xml_bombs_are_refused_at_once(refused: Any, name: str) -> None:
    message = refused(_BOMBS[name].encode(), _XML)
    assert len(message) < 2_000_000 and "lollol" not in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-7"])
def test_encoding_hides_no_document_type(refused: Any, encoding: str) -> None:
    for declared in (f'<?xml version="1.0" encoding="{encoding}"?>', ""):
        refused(f"{declared}{_bomb(10, 10)}<RestoreSpec>&e9;</RestoreSpec>".encode(encoding), _XML)


def test_nothing_is_fetched_for_a_body(refused: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd"
        for target in (url, secret.as_uri(), "file:///etc/hostname", "/etc/hostname"):
            for body in (
                f'<!DOCTYPE RestoreSpec [<!ENTITY a SYSTEM "{target}">]><RestoreSpec>&a;</RestoreSpec>',
                f'<!DOCTYPE RestoreSpec SYSTEM "{target}"><RestoreSpec/>',
                f'<!DOCTYPE RestoreSpec PUBLIC "-//x" "{target}">{_OPEN}{_CLOSE}',
                f'<!DOCTYPE RestoreSpec [<!ENTITY % a SYSTEM "{target}"> %a;]><RestoreSpec/>',
                '<RestoreSpec xmlns:xi="http://www.w3.org/2001/XInclude">'
                f'<xi:include href="{target}" parse="text"/></RestoreSpec>',
                f'<?xml-stylesheet href="{target}"?><RestoreSpec/>',
                f'<RestoreSpec xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x {target}"/>',
            ):
                assert "hunter2" not in refused(body.encode(), _XML)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b'{"VmRestoreSpec":' * 50_000 + b"{}" + b"}" * 50_000,
        b'{"VmRestoreSpec":{"PowerOnAfterRestore":' + b"9" * 500_000 + b"}}",
        b'{"VmRestoreSpec":{"PowerOnAfterRestore":1e999999}}',
        b'{"VmRestoreSpec":{"VmRestoreParameters":{"VmNewName":"\\ud800"}}}',
        b"{" + b",".join(b'"a%d":1' % number for number in range(50_000)) + b"}",
        b'"' + b"\\u0000" * 100_000 + b'"',
        b"\xff\xfe{}",
        b"NaN",
    ],
)
def test_json_that_means_harm_is_refused_at_once(refused: Any, body: bytes) -> None:
    refused(body, _JSON)


@pytest.mark.parametrize("path", ["/sessionMngr/?v=latest", "/vmRestorePoints/{}?action=restore", "/jobs"])
def test_body_over_a_mebibyte_is_refused_however_it_comes(
    here: Site, client: EmClient, recorded: Recorded, path: str
) -> None:
    path = path.format(here.ids["VmRestorePoint"])
    headers = {"Authorization": basic("administrator", PASSWORD)}
    declared = client.post(path, b" ", {**headers, "Content-Length": str(_MIB + 1)})
    whole = client.post(path, b" " * (_MIB + 1), headers)
    chunked = client.post(path, [b" " * 65_536] * 17, {**headers, "Transfer-Encoding": "chunked"})
    absurd = client.post(path, b"", {**headers, "Content-Length": "9" * 5_000})
    for answer in (declared, whole, chunked, absurd):
        assert (answer.status, "larger" in answer.message) == (400, True)
    assert recorded.specs == []


def test_body_of_a_mebibyte_is_read(here: Site, client: EmClient, recorded: Recorded) -> None:
    path = f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore"
    body = b'{"VmRestoreSpec":{}}'.ljust(_MIB)
    assert client.post(path, body).status == 202
    assert client.post(path, [body[:100], body[100:_MIB]]).status == 202
    assert len(recorded.specs) == 2


_SPEC = "<RestoreSpec>{}</RestoreSpec>"
_VM = f"{_OPEN}{{}}{_CLOSE}"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<Other/>", "Other"),
        ("<RestoreSpec/>", "exactly one"),
        (_SPEC.format("<VmRestoreSpec/><VmRestoreSpec/>"), "twice"),
        (_SPEC.format("<VmRestoreSpec/>") * 2, "not XML"),
        (_SPEC.format("<SqlItemRestoreSpec/>"), "SqlItemRestoreSpec"),
        (_SPEC.format("<VmRestoreSpec>true</VmRestoreSpec>"), "VmRestoreSpec"),
        (_SPEC.format("restore it<VmRestoreSpec/>"), "RestoreSpec"),
        (_SPEC.format("<VmRestoreSpec/>and start it"), "RestoreSpec"),
        (_SPEC.format('<VmRestoreSpec PowerOnAfterRestore="true"/>'), "PowerOnAfterRestore"),
        (_VM.format("<PowerOn>true</PowerOn>"), "'PowerOn'"),
        (_VM.format("<poweronafterrestore>true</poweronafterrestore>"), "'poweronafterrestore'"),
        (
            _VM.format("<QuickRollback>true</QuickRollback><PowerOnAfterRestore>true</PowerOnAfterRestore>"),
            "before",
        ),
        (_VM.format("<PowerOnAfterRestore>yes</PowerOnAfterRestore>"), "'yes'"),
        (_VM.format("<PowerOnAfterRestore/>"), "PowerOnAfterRestore"),
        (_VM.format("<PowerOnAfterRestore><b/></PowerOnAfterRestore>"), "PowerOnAfterRestore"),
        (_VM.format("<HierarchyRootUid>nonsense</HierarchyRootUid>"), "HierarchyRootUid"),
        (_VM.format(f"<HierarchyRootUid>urn:veeam:Job:{_NOWHERE}</HierarchyRootUid>"), "HierarchyRoot"),
        (_VM.format("<QuickRollback>true</QuickRollback><KeepOriginalVM>true</KeepOriginalVM>"), "exclude"),
        (
            _VM.format(
                f"<VmRestoreParameters><VmRestorePointUid>{_NOWHERE}</VmRestorePointUid></VmRestoreParameters>"
            ),
            "VmRestorePointUid",
        ),
        ("<RestoreSpec", "not XML"),
        ("plain text", "not XML"),
    ],
)
def test_restore_spec_that_is_wrong_is_refused_by_name(refused: Any, body: str, said: str) -> None:
    for headers in (_XML, {"Content-Type": "text/xml; charset=utf-8"}, {}):
        refused(body.encode(), headers, said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("null", "object"),
        ("[]", "object"),
        ("{}", "exactly one"),
        ('{"VmRestoreSpec":null}', "exactly one"),
        ('{"RestoreSpec":{"VmRestoreSpec":{}}}', "'RestoreSpec'"),
        ('{"VmRestoreSpec":[]}', "object"),
        ('{"VmRestoreSpec":{},"vmRestoreSpec":{}}', "twice"),
        ('{"VmRestoreSpec":{"Colour":1}}', "'Colour'"),
        ('{"VmRestoreSpec":{"PowerOnAfterRestore":"yes"}}', "'yes'"),
        ('{"VmRestoreSpec":{"PowerOnAfterRestore":2}}', "'2'"),
        ('{"VmRestoreSpec":{"PowerOnAfterRestore":[true]}}', "PowerOnAfterRestore"),
        ('{"VmRestoreSpec":{"PowerOnAfterRestore":1.0}}', "PowerOnAfterRestore"),
        ('{"VmRestoreSpec":{"QuickRollback":true,"KeepOriginalVM":true}}', "exclude"),
        ('{"VmRestoreSpec":{}}{}', "not JSON"),
        ('{"VmRestoreSpec":{}', "not JSON"),
    ],
)
def test_restore_spec_in_json_that_is_wrong_is_refused_by_name(refused: Any, body: str, said: str) -> None:
    refused(body.encode(), _JSON, said)


def test_what_cannot_be_done_is_said_and_not_passed_over(
    here: Site, client: EmClient, recorded: Recorded
) -> None:
    path = f"/vmRestorePoints/{here.ids['VmRestorePoint']}?action=restore"
    body = {"VmRestoreSpec": {"VmRestoreParameters": {"DatastoreRef": "urn:VMware:Datastore:x"}}}
    assert client.post(path, json.dumps(body).encode()).status == 501
    assert recorded.specs == []


def test_storage_is_named_by_a_reference_of_the_host_that_lets_one_choose(
    here: Site, client: EmClient, recorded: Recorded, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    point, root = here.ids["VmRestorePoint"], here.ids["HierarchyRoot"]
    monkeypatch.setitem(hosts._KINDS, "image-folder", replace(hosts.kind_of("image-folder"), places=True))

    def asked(member: str, ref: str) -> bytes:
        parameters = {"VmNewName": "web2", member: ref}
        return json.dumps({"VmRestoreSpec": {"VmRestoreParameters": parameters}}).encode()

    refused(asked("DatastoreRef", f"urn:VMware:Datastore:{uuid4()}.datastore-12"), _JSON, "of its host")
    refused(asked("DatastoreRef", "datastore-12"), _JSON, "hierarchy reference")
    profile = "urn:vcloud:vdcstorageProfile:2f0e8dcb-8bf9-4b6a-8b2c-0a3f4bdf1f6c"
    for member, kind, ref in (
        ("DatastoreRef", "Datastore", "datastore-12"),
        ("OrgVdcStorageProfileRef", "OrgVdcStorageProfile", profile),
    ):
        body = asked(member, f"urn:VMware:{kind}:{root}.{ref}")
        assert client.post(f"/vmRestorePoints/{point}?action=restore", body).status == 202
        assert recorded.specs[-1].placement == Placement(storage=ref)


def test_restore_spec_is_understood_in_both_formats(here: Site, client: EmClient, recorded: Recorded) -> None:
    point, root = here.ids["VmRestorePoint"], here.ids["HierarchyRoot"]
    plain = RestoreSpec(point)
    beside = RestoreSpec(point, power_on=True, keep_original=True, new_name="web & co")
    quick = RestoreSpec(point, quick_rollback=True)
    other = uuid4()
    elsewhere = RestoreSpec(point, keep_original=True, host_id=other)
    xmlns = 'xmlns="http://www.veeam.com/ent/v1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    given: list[tuple[str | bytes, RestoreSpec]] = [
        ("", plain),
        (f"{_OPEN}{_CLOSE}", plain),
        ("<RestoreSpec><!-- all as it is --><VmRestoreSpec/></RestoreSpec>", plain),
        ('{"VmRestoreSpec":{}}', plain),
        ('{"vmRestoreSpec":{"powerOnAfterRestore":false,"quickRollback":null}}', plain),
        ('\ufeff{"VmRestoreSpec":{}}', plain),
        (f'\ufeff<?xml version="1.0" encoding="utf-8"?>{_OPEN}{_CLOSE}', plain),
        (f'<?xml version="1.0" encoding="utf-16"?>{_OPEN}{_CLOSE}'.encode("utf-16"), plain),
        (
            f"<RestoreSpec {xmlns}>\n  <VmRestoreSpec>\n"
            f"    <PowerOnAfterRestore> true </PowerOnAfterRestore>\n"
            f"    <HierarchyRootUid>urn:veeam:HierarchyRoot:{root}</HierarchyRootUid>\n"
            "    <QuickRollback>false</QuickRollback><KeepOriginalVM>1</KeepOriginalVM>\n"
            f"    <VmRestoreParameters><VmRestorePointUid>urn:veeam:VmRestorePoint:{point}</VmRestorePointUid>"
            "<VmNewName>web &amp; co</VmNewName><DatastoreRef /><OrgVdcStorageProfileRef xsi:nil='true'/>"
            "</VmRestoreParameters>\n  </VmRestoreSpec>\n</RestoreSpec>",
            beside,
        ),
        (
            json.dumps(
                {
                    "VmRestoreSpec": {
                        "VmRestoreParameters": {
                            "VmNewName": "web & co",
                            "VmRestorePointUid": str(point),
                            "DatastoreRef": "",
                        },
                        "PowerOnAfterRestore": True,
                        "HierarchyRootUid": str(root),
                    }
                }
            ),
            beside,
        ),
        (_VM.format("<QuickRollback>true</QuickRollback>"), quick),
        ('{"vmRestoreSpec":{"quickRollback":true}}', quick),
        (_VM.format(f"<HierarchyRootUid>urn:veeam:HierarchyRoot:{other}</HierarchyRootUid>"), elsewhere),
    ]
    for body, expected in given:
        raw = body if isinstance(body, bytes) else body.encode()
        answer = client.post(f"/vmRestorePoints/{point}?action=restore", raw)
        assert answer.status == 202, (body, answer.text)
        assert recorded.specs[-1] == expected, body
    assert isinstance(recorded.specs[0].vm_restore_point_id, UUID)
