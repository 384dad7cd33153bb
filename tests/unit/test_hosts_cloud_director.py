"""Cloud Director: logging on to it, what it lists, and where in it a restored VM goes.

Against an emulator of its documented API. What every host does is held in tests/conformance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Contains, Host, Login, RestoreTarget, VmDescription
from restorium.vocabulary.errors import Conflict, HostError, InvalidInput, TargetExists, VmNotFound
from restorium.vocabulary.restore import Placement
from tests.support.certificates import Certificate
from tests.support.disks import MIB
from tests.support.labs import open_lab_host
from tests.support.labs.cloud_director import CloudDirectorLab
from tests.support.labs.cloud_director.server import ACCOUNT, PASSWORD

pytestmark = pytest.mark.slow

CONTENTS = {"disk0": random.Random(1).randbytes(MIB)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CloudDirectorLab]:
    made = CloudDirectorLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: CloudDirectorLab) -> Iterator[Host]:
    opened = open_lab_host(lab)
    yield opened
    opened.close()


@pytest.fixture
def ref(lab: CloudDirectorLab) -> str:
    return lab.add_vm("web", CONTENTS)


def _description(host: Host, ref: str) -> VmDescription:
    with host.open_vm(ref) as opened:
        return opened.description


def _write(target: RestoreTarget, description: VmDescription) -> None:
    for disk in description.disks:
        with target.create_disk(disk, [Extent(0, disk.size, hole=False)]) as writer:
            writer.write(0, CONTENTS[disk.key])
            writer.flush()


def _made(host: Host, ref: str, new_name: str | None, **placement: Any) -> RestoreTarget:
    """A target with its disks written."""
    target = host.restore_target(
        _description(host, ref),
        attempt="a1",
        original_ref=ref,
        new_name=new_name,
        placement=Placement(**placement),
    )
    _write(target, _description(host, ref))
    return target


def _refused(lab: CloudDirectorLab, login: Login | None) -> HostError:
    opened = open_host(lab.kind, lab.address, login)
    with pytest.raises(HostError) as refused:
        opened.inventory()
    assert not any("with" in line.split() for line in lab.emulator.seen), "no password was sent"
    return refused.value


def test_a_wrong_password_is_said_to_be_wrong(lab: CloudDirectorLab) -> None:
    login = Login(ACCOUNT, "guess", lab.certificate.thumbprint)
    with pytest.raises(HostError, match=f"does not accept the account {ACCOUNT}"):
        open_host(lab.kind, lab.address, login).inventory()


def test_an_unknown_certificate_is_refused_and_nothing_is_sent(lab: CloudDirectorLab) -> None:
    refusal = _refused(lab, Login(ACCOUNT, PASSWORD))
    assert "not trusted, and nothing was sent" in refusal.message
    assert lab.emulator.seen == []


def test_another_certificate_than_the_pinned_one_is_refused_with_its_thumbprint(
    lab: CloudDirectorLab, tmp_path: Path
) -> None:
    refusal = _refused(lab, Login(ACCOUNT, PASSWORD, Certificate(tmp_path).thumbprint))
    assert "nothing was sent" in refusal.message
    assert lab.certificate.thumbprint in refusal.hint
    assert lab.emulator.seen == []


def test_an_expired_certificate_is_refused_although_it_is_pinned(tmp_path: Path) -> None:
    lab = CloudDirectorLab(tmp_path, certificate=Certificate(tmp_path, expired=True))
    try:
        assert "expired" in _refused(lab, lab.login).message
        assert lab.emulator.seen == []
    finally:
        lab.close()


@pytest.mark.parametrize(
    ("address", "login"),
    [
        ("http://vcd.example", Login("a", "b")),
        ("vcd.example", Login("a", "b")),
        ("https://vcd.example/tenant/acme", Login("a", "b")),
        ("https://vcd.example", Login()),
        ("https://vcd.example", Login("a@acme", "b")),
        ("https://vcd.example:99999", Login("a", "b")),
    ],
)
def test_what_cannot_be_an_address_or_a_logon_is_refused(address: str, login: Login) -> None:
    with pytest.raises(InvalidInput):
        open_host("cloud-director", address, login)


def test_a_session_that_ran_out_is_made_anew(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    host.inventory()
    lab.emulator.end_sessions()
    assert [vm.ref for vm in host.inventory()] == [ref]


def test_all_pages_are_read_and_templates_left_out(lab: CloudDirectorLab, host: Host) -> None:
    vapp = lab.estate.vapp_named("shop")
    for number in range(300):
        lab.estate.adopt(f"vm{number}", f"vm-{number}", vapp)
    assert {vm.name for vm in host.inventory()} == {f"vm{number}" for number in range(300)}


def test_containers_are_listed_each_behind_what_it_is_in(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    assert isinstance(host, Contains)
    listed = list(host.containers())
    assert [(each.kind, each.name) for each in listed] == [
        ("Organization", "acme"),
        ("OrgVdc", "acme-vdc"),
        ("OrgVdcStorageProfile", "bronze"),
        ("OrgVdcStorageProfile", "gold"),
        ("Vapp", "shop"),
    ]
    seen = {None}
    for each in listed:
        assert each.parent in seen
        seen.add(each.ref)


def test_a_vcenter_that_is_no_host_is_named_with_what_to_do(lab: CloudDirectorLab, ref: str) -> None:
    def nobody(address: str) -> Host:
        raise HostError(f"nobody at {address}")

    alone = open_host(lab.kind, lab.address, lab.login, nobody)
    for asked in (alone.check, lambda: _description(alone, ref)):
        with pytest.raises(HostError, match="no host here") as refused:
            asked()
        assert "restorium host add vsphere" in refused.value.hint
    [listed] = alone.inventory()
    assert (listed.ref, listed.disks) == (ref, ())


@pytest.mark.parametrize(
    "ref", ["", "web", "urn:vcloud:vm:1", "urn:vcloud:vapp:2f0e8dcb-8bf9-4b6a-8b2c-0a3f4bdf1f6c"]
)
def test_what_names_no_vm_is_not_found(host: Host, ref: str) -> None:
    with pytest.raises(VmNotFound), host.open_vm(ref):
        pass


def test_a_vm_beside_the_original_is_in_its_vapp_on_its_networks(
    lab: CloudDirectorLab, host: Host, ref: str
) -> None:
    target = _made(host, ref, "web2")
    assert [vm.name for vm in host.inventory()] == ["web"], "nothing is seen before the end"
    made = lab.vm(target.finalise())
    assert (made.name, made.vapp, made.profile) == ("web2", lab.vm(ref).vapp, "bronze")
    assert [(card.network, card.connected) for card in made.cards] == [("office", True)]
    assert lab.contents(f"urn:vcloud:vm:{made.id}") == CONTENTS


def test_a_vm_goes_where_the_placement_says(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    other = lab.estate.add_vdc("other-vdc")
    lab.estate.profiles.append(type(other)("gold", other.id))
    target = _made(
        host, ref, "web2", container="other-vdc/rescued", storage="gold", networks={"office": "dmz"}
    )
    made = lab.vm(target.finalise())
    vapp = lab.estate.vapps[made.vapp]
    assert (vapp.name, vapp.vdc, made.profile) == ("rescued", other.id, "gold")
    assert [card.network for card in made.cards] == ["dmz"]
    host.remove_restored(f"urn:vcloud:vm:{made.id}", "a1")
    assert [each.name for each in lab.estate.vapps.values()] == ["shop"], (
        "the vApp that was made for it goes too"
    )
    assert not lab.leftovers()


def test_the_original_vapp_that_is_gone_is_made_anew(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    description = _description(host, ref)
    lab.estate.remove_vapp(lab.estate.vapps[lab.vm(ref).vapp])
    target = host.restore_target(description, attempt="a1", original_ref=ref, new_name=None)
    _write(target, description)
    made = lab.vm(target.finalise())
    assert (made.name, lab.estate.vapps[made.vapp].name) == ("web", "shop")


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"container": "nowhere"}, "'nowhere'"),
        ({"container": "urn:vcloud:vapp:2f0e8dcb-8bf9-4b6a-8b2c-0a3f4bdf1f6c"}, "2f0e8dcb"),
        ({"container": "acme-vdc/../x"}, "name of a vApp"),
        ({"storage": "platinum"}, "no storage profile 'platinum'"),
        ({"networks": {"office": "moon"}}, "no network 'moon'"),
    ],
)
def test_a_placement_that_is_not_there_is_refused_by_name(
    host: Host, ref: str, placement: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        _made(host, ref, "web2", **placement)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", " a", "x" * 129, "\ud800"])
def test_names_that_cannot_be_are_refused(host: Host, ref: str, name: str) -> None:
    with pytest.raises(InvalidInput):
        _made(host, ref, name)


def test_a_name_that_the_vapp_has_is_refused(host: Host, ref: str) -> None:
    with pytest.raises(TargetExists, match="web"):
        _made(host, ref, "web")


def test_a_network_that_is_gone_is_told_before_the_restore(
    lab: CloudDirectorLab, host: Host, ref: str
) -> None:
    lab.vm(ref).cards[0].network = "old lan"
    target = _made(host, ref, "web2")
    assert any("no network old lan" in told for told in target.not_carried())
    assert [card.network for card in lab.vm(target.finalise()).cards] == ["none"]


def test_a_refused_takeover_leaves_nothing_and_can_be_tried_again(
    lab: CloudDirectorLab, host: Host, ref: str
) -> None:
    target = _made(host, ref, "web2")
    lab.emulator.refuse_import = "The quota of the VDC is used up."
    with pytest.raises(HostError, match="quota of the VDC is used up"):
        target.finalise()
    assert target.finalised() is None
    again = host.restore_target(_description(host, ref), attempt="a1", original_ref=ref, new_name="web2")
    lab.emulator.refuse_import = None
    made = again.finalise()
    assert again.finalise() == made == again.finalised()
    again.discard()
    assert lab.contents(made) == CONTENTS, "what stands is not taken back"
    lab.estate.remove_vm(lab.vm(made))
    other = _made(host, ref, "web3")
    lab.emulator.refuse_import = "No."
    with suppress(HostError):
        other.finalise()
    other.discard()
    assert not lab.leftovers()


def test_an_original_that_cannot_be_replaced_runs_again(
    lab: CloudDirectorLab, host: Host, ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.start(ref)
    target = _made(host, ref, None)
    states = []

    def refusing(*_: Any) -> str:
        states.append(lab.runs(ref))
        raise HostError("the datastore is full")

    monkeypatch.setattr("restorium.hosts.image_folder.target.ImageFolderTarget.finalise", refusing)
    assert lab.runs(ref), "it runs until all is verified"
    with pytest.raises(HostError, match="datastore is full"):
        target.finalise()
    assert (states, lab.runs(ref)) == ([False], True)


def test_only_what_the_restore_made_is_removed(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    made = _made(host, ref, "drill").finalise()
    for victim, attempt in ((ref, "a1"), (made, "a2")):
        with pytest.raises(Conflict):
            host.remove_restored(victim, attempt)
    host.power_on(made)
    host.remove_restored(made, "a1")
    host.remove_restored(made, "a1")
    assert [vm.ref for vm in host.inventory()] == [ref]
    assert not lab.leftovers()


def test_power_on_starts_and_leaves_what_runs(lab: CloudDirectorLab, host: Host, ref: str) -> None:
    host.power_on(ref)
    assert lab.runs(ref)
    asked = len(lab.emulator.seen)
    host.power_on(ref)
    assert not any("powerOn" in line for line in lab.emulator.seen[asked:])
