"""GUIDs, urns and hierarchy references: what is written is read back, and nothing else is read."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorium.vocabulary.errors import InvalidIdentifier
from restorium.vocabulary.hierarchy import HierarchyRef, Platform
from restorium.vocabulary.ids import parse_guid, parse_uid, urn

KINDS = st.sampled_from(["RestoreSession", "VmRestorePoint", "Job"])
KNOWN = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@given(guid=st.uuids(), kind=KINDS)
def test_what_is_written_is_read_back_in_any_case(guid: UUID, kind: str) -> None:
    for text in (urn(kind, guid), urn(kind, guid).upper(), str(guid), str(guid).upper()):
        assert parse_uid(text) == guid
        assert parse_uid(text, kind) == guid


@given(guid=st.uuids())
def test_a_urn_of_another_kind_is_refused(guid: UUID) -> None:
    with pytest.raises(InvalidIdentifier, match="names a Job, not a Backup"):
        parse_uid(urn("Job", guid), "Backup")


@given(text=st.text(max_size=50))
def test_text_is_a_guid_only_in_its_one_form(text: str) -> None:
    try:
        guid = parse_guid(text)
    except InvalidIdentifier as error:
        assert repr(text) in error.message
    else:
        assert text.lower() == str(guid)


@pytest.mark.parametrize(
    "text",
    [
        "",
        KNOWN.replace("-", ""),
        "{" + KNOWN + "}",
        KNOWN + "\n",
        " " + KNOWN,
        KNOWN[:-1],
        KNOWN[:-1] + "g",
        KNOWN[:-1] + "\u0661",
        "urn:veeam:Job:",
        f"urn:other:Job:{KNOWN}",
        f"urn:veeam:Job:{KNOWN}:more",
    ],
)
def test_near_misses_are_refused(text: str) -> None:
    for read in (parse_guid, parse_uid):
        with pytest.raises(InvalidIdentifier):
            read(text)


@given(
    platform=st.sampled_from(list(Platform)),
    kind=st.sampled_from(["Vm", "Host", "Datastore"]),
    root=st.uuids(),
    ref=st.text(min_size=1),
)
def test_a_hierarchy_reference_is_read_back(platform: Platform, kind: str, root: UUID, ref: str) -> None:
    reference = HierarchyRef(platform, kind, root, ref)
    assert HierarchyRef.parse(str(reference)) == reference


def test_a_reference_may_hold_dots_and_colons_and_its_platform_any_case() -> None:
    reference = HierarchyRef.parse(f"urn:hyperv:Vm:{KNOWN.upper()}.urn:vcloud:vm:a.b")
    assert reference == HierarchyRef(Platform.HYPERV, "Vm", UUID(KNOWN), "urn:vcloud:vm:a.b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"urn:VMware:Vm:{KNOWN}",
        f"urn:VMware:Vm:{KNOWN}.",
        f"urn:Xen:Vm:{KNOWN}.vm-1",
        f"urn:VMware:{KNOWN}.vm-1",
        f"urn:VMware:Vm:{'-' * 36}.vm-1",
        f"x urn:VMware:Vm:{KNOWN}.vm-1",
    ],
)
def test_other_text_is_no_hierarchy_reference(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        HierarchyRef.parse(text)
