"""Answers of the emulated query service: rows by type, filters, pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs
from xml.sax.saxutils import quoteattr

from tests.support.labs.cloud_director.estate import Estate, Refused

VCLOUD = "http://www.vmware.com/vcloud/v1.5"
_MOST = 128

Row = dict[str, str]


def answer(estate: Estate, base: str, query: str) -> str:
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    kind = asked.get("type", "")
    if kind not in _KINDS:
        raise Refused(400, "BAD_REQUEST", f"Unknown query type {kind}.")
    if asked.get("format") != "records":
        raise Refused(400, "BAD_REQUEST", "Only records are emulated.")
    page, size = int(asked.get("page", "1")), int(asked.get("pageSize", "25"))
    if size > _MOST:
        raise Refused(400, "BAD_REQUEST", f"The page size is over {_MOST}.")
    rows = [row for row in _KINDS[kind](estate, base) if _passes(row, asked.get("filter", ""))]
    tag = f"{kind[0].upper()}{kind[1:]}Record"
    shown = rows[(page - 1) * size : page * size]
    inner = "".join(f"<{tag} {_attributes(row)}/>" for row in shown)
    return (
        f'<QueryResultRecords xmlns="{VCLOUD}" name={quoteattr(kind)} page="{page}" pageSize="{size}" '
        f'total="{len(rows)}"><Link rel="alternate" href="{base}/api/query"/>{inner}</QueryResultRecords>'
    )


def _attributes(row: Row) -> str:
    return " ".join(f"{name}={quoteattr(value)}" for name, value in row.items() if name != "id")


def _passes(row: Row, conditions: str) -> bool:
    for condition in filter(None, conditions.split(";")):
        field, equals, value = condition.partition("==")
        if not equals or field not in row:
            raise Refused(400, "BAD_REQUEST", f"Cannot filter by {condition}.")
        own = row[field]
        if value.startswith("urn:"):
            value = value.rpartition(":")[2]
            own = own[-len(value) :]
        if own != value:
            return False
    return True


def _vms(estate: Estate, base: str) -> Iterator[Row]:
    for vm in estate.vms.values():
        vapp = estate.vapps[vm.vapp]
        organisation = next(vdc.parent for vdc in estate.vdcs if vdc.id == vapp.vdc)
        yield {
            "id": vm.id,
            "href": f"{base}/api/vApp/vm-{vm.id}",
            "name": vm.name,
            "moref": vm.moref,
            "vc": f"{base}/api/admin/extension/vimServer/{estate.vcenter}",
            "container": f"{base}/api/vApp/vapp-{vapp.id}",
            "containerName": vapp.name,
            "vdc": f"{base}/api/vdc/{vapp.vdc}",
            "org": f"{base}/api/org/{organisation}",
            "status": vm.status,
            "storageProfileName": vm.profile,
            "isVAppTemplate": "false",
            "isDeleted": "false",
            "isBusy": "false",
        }
    yield {
        "id": "3d6c2d1e-2f0a-4f4e-8d8b-6a8a35b8a001",
        "href": f"{base}/api/vAppTemplate/vm-3d6c2d1e-2f0a-4f4e-8d8b-6a8a35b8a001",
        "name": "a template",
        "moref": "vm-template",
        "vc": f"{base}/api/admin/extension/vimServer/{estate.vcenter}",
        "container": f"{base}/api/vAppTemplate/vappTemplate-3d6c2d1e-2f0a-4f4e-8d8b-6a8a35b8a002",
        "containerName": "templates",
        "vdc": f"{base}/api/vdc/{estate.vdcs[0].id}",
        "org": f"{base}/api/org/{estate.organisations[0].id}",
        "status": "POWERED_OFF",
        "isVAppTemplate": "true",
        "isDeleted": "false",
    }


def _vapps(estate: Estate, base: str) -> Iterator[Row]:
    for vapp in estate.vapps.values():
        href, vdc = f"{base}/api/vApp/vapp-{vapp.id}", f"{base}/api/vdc/{vapp.vdc}"
        yield {"id": vapp.id, "href": href, "name": vapp.name, "vdc": vdc}


def _organisations(estate: Estate, base: str) -> Iterator[Row]:
    for each in estate.organisations:
        yield {"id": each.id, "href": f"{base}/api/org/{each.id}", "name": each.name}


def _vdcs(estate: Estate, base: str) -> Iterator[Row]:
    for each in estate.vdcs:
        href, organisation = f"{base}/api/admin/vdc/{each.id}", f"{base}/api/org/{each.parent}"
        yield {"id": each.id, "href": href, "name": each.name, "org": organisation}


def _in_vdc(pattern: str, rows: str) -> Callable[[Estate, str], Iterator[Row]]:
    def listed(estate: Estate, base: str) -> Iterator[Row]:
        for each in getattr(estate, rows):
            href = base + pattern.format(each.id)
            yield {"id": each.id, "href": href, "name": each.name, "vdc": f"{base}/api/vdc/{each.parent}"}

    return listed


def _vcenters(estate: Estate, base: str) -> Iterator[Row]:
    href = f"{base}/api/admin/extension/vimServer/{estate.vcenter}"
    yield {"id": estate.vcenter, "href": href, "name": "vc", "url": estate.vcenter_url, "isEnabled": "true"}


_KINDS: dict[str, Callable[[Estate, str], Iterator[Row]]] = {
    "adminVM": _vms,
    "adminVApp": _vapps,
    "organization": _organisations,
    "adminOrgVdc": _vdcs,
    "adminOrgVdcStorageProfile": _in_vdc("/api/vdcStorageProfile/{}", "profiles"),
    "orgVdcNetwork": _in_vdc("/api/network/{}", "networks"),
    "virtualCenter": _vcenters,
}
