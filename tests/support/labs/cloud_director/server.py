"""An emulator of the documented API of VMware Cloud Director, over TLS on 127.0.0.1.

It is ours: it proves that the client keeps to the documents as we read them, and nothing about the product.
"""

from __future__ import annotations

import base64
import re
import secrets
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from tests.support.certificates import Certificate
from tests.support.labs.cloud_director import records
from tests.support.labs.cloud_director.estate import Estate, Refused, Vapp, Vm

ACCOUNT, PASSWORD = "backup@System", "correct horse"
VERSIONS = ("36.0", "38.1", "41.0.0-alpha")
_SPOKEN = "38.1"
_VCLOUD, _EXTENSION = records.VCLOUD, "http://www.vmware.com/vcloud/extension/v1.5"
_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_GUID = r"([0-9a-f-]{36})"
_AS_VAPP = ["VmName", "VmMoRef", "VdcStorageProfile", "Vdc"]
_INTO_VAPP = ["VmName", "VmMoRef", "VdcStorageProfile", "VApp"]

Answer = tuple[int, str]


class Emulator:
    """seen: each request line with whether it bore a password or token, in order. away: whether it hangs up on all."""

    def __init__(self, estate: Estate, certificate: Certificate) -> None:
        self.estate = estate
        self.seen: list[str] = []
        self.away = False
        self.refuse_import: str | None = None
        self._tokens: set[str] = set()
        self._tasks: dict[str, list[Any]] = {}
        self._lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = certificate.serving().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.base = f"https://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def end_sessions(self) -> None:
        self._tokens.clear()

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], str]:
        path, _, query = target.partition("?")
        try:
            with self._lock:
                if path == "/api/versions":
                    return 200, {}, self._versions()
                if path == "/cloudapi/1.0.0/sessions/provider":
                    return self._log_on(headers)
                self._check_session(headers)
                if path == "/cloudapi/1.0.0/sessions/current":
                    self._tokens.discard(headers["Authorization"].removeprefix("Bearer "))
                    return 204, {}, ""
                if path == "/api/query":
                    return 200, {}, records.answer(self.estate, self.base, query)
                status, document = self._routed(method, path, body)
                return status, {}, document
        except Refused as refused:
            document = (
                f'<Error xmlns="{_VCLOUD}" message={quoteattr(refused.message)} '
                f'majorErrorCode="{refused.status}" minorErrorCode="{refused.code}"/>'
            )
            return refused.status, {}, document

    def _versions(self) -> str:
        infos = "".join(
            f'<VersionInfo deprecated="false"><Version>{each}</Version></VersionInfo>' for each in VERSIONS
        )
        return f'<SupportedVersions xmlns="http://www.vmware.com/vcloud/versions">{infos}</SupportedVersions>'

    def _log_on(self, headers: Any) -> tuple[int, dict[str, str], str]:
        given = base64.b64decode(headers.get("Authorization", "").removeprefix("Basic ")).decode()
        if given != f"{ACCOUNT}:{PASSWORD}":
            raise Refused(401, "UNAUTHORIZED", "The credentials are wrong.")
        token = secrets.token_hex(8)
        self._tokens.add(token)
        return 200, {"X-VMWARE-VCLOUD-ACCESS-TOKEN": token}, "{}"

    def _check_session(self, headers: Any) -> None:
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self._tokens:
            raise Refused(401, "UNAUTHORIZED", "This operation needs a session.")
        if f"version={_SPOKEN}" not in headers.get("Accept", ""):
            raise Refused(406, "NOT_ACCEPTABLE", "The version is not that of the session.")

    def _routed(self, method: str, path: str, body: bytes) -> Answer:
        for wanted, pattern, serve in self._routes():
            found = re.fullmatch(pattern, path)
            if found and method == wanted:
                return serve(body, *found.groups())
        raise Refused(404, "NOT_FOUND", f"No {method} {path} is emulated.")

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        vm, vapp = f"/api/vApp/vm-{_GUID}", f"/api/vApp/vapp-{_GUID}"
        server = f"/api/admin/extension/vimServer/{_GUID}"
        return [
            ("GET", f"/api/task/{_GUID}", self._task),
            ("GET", vm, self._get_vm),
            ("DELETE", vm, self._delete_vm),
            ("POST", f"{vm}/power/action/powerOn", self._power_on),
            ("POST", f"{vm}/action/undeploy", self._undeploy),
            ("GET", f"{vm}/networkConnectionSection/", self._get_cards),
            ("PUT", f"{vm}/networkConnectionSection/", self._put_cards),
            ("GET", vapp, self._get_vapp),
            ("DELETE", vapp, self._delete_vapp),
            ("GET", f"{vapp}/networkConfigSection/", self._get_config),
            ("PUT", f"{vapp}/networkConfigSection/", self._put_config),
            ("GET", f"/api/vApp/(vm|vapp)-{_GUID}/metadata", self._get_metadata),
            ("PUT", f"/api/vApp/(vm|vapp)-{_GUID}/metadata/([a-z-]+)", self._put_metadata),
            ("POST", f"{server}/importVmAsVApp", self._import_as_vapp),
            ("POST", f"{server}/importVmIntoExistingVApp", self._import_into_vapp),
        ]

    def _later(self, operation: str, work: Callable[[], object]) -> str:
        """A task that is queued, then runs, and is done when it is looked at a third time."""
        key = str(uuid4())
        self._tasks[key] = [operation, work, 0]
        return self._task_document(key, "queued")

    def _task(self, _body: bytes, key: str) -> Answer:
        if key not in self._tasks:
            raise Refused(404, "NOT_FOUND", "There is no such task.")
        task = self._tasks[key]
        task[2] += 1
        if task[2] == 2:
            try:
                task[1]()
                task[1] = None
            except Refused as refused:
                task[1] = refused
        if task[2] < 2:
            return 200, self._task_document(key, "running")
        if task[1] is None:
            return 200, self._task_document(key, "success")
        return 200, self._task_document(key, "error", task[1].message)

    def _task_document(self, key: str, status: str, message: str | None = None) -> str:
        error = "" if message is None else f"<Error message={quoteattr(message)} majorErrorCode='400'/>"
        return (
            f'<Task xmlns="{_VCLOUD}" href="{self.base}/api/task/{key}" id="urn:vcloud:task:{key}" '
            f'status="{status}" operation={quoteattr(self._tasks[key][0])}>{error}</Task>'
        )

    def _vm(self, key: str) -> Vm:
        if key not in self.estate.vms:
            raise Refused(403, "ACCESS_TO_RESOURCE_IS_FORBIDDEN", f"No access to entity vm {key}.")
        return self.estate.vms[key]

    def _vapp(self, key: str) -> Vapp:
        if key not in self.estate.vapps:
            raise Refused(403, "ACCESS_TO_RESOURCE_IS_FORBIDDEN", f"No access to entity vapp {key}.")
        return self.estate.vapps[key]

    def _get_vm(self, _body: bytes, key: str) -> Answer:
        vm = self._vm(key)
        deployed = str(vm.status == "POWERED_ON").lower()
        return 200, (
            f'<Vm xmlns="{_VCLOUD}" href="{self.base}/api/vApp/vm-{key}" id="urn:vcloud:vm:{key}" '
            f'name={quoteattr(vm.name)} deployed="{deployed}">'
            f'<Link rel="up" href="{self.base}/api/vApp/vapp-{vm.vapp}"/></Vm>'
        )

    def _delete_vm(self, _body: bytes, key: str) -> Answer:
        vm = self._vm(key)
        if vm.status == "POWERED_ON":
            raise Refused(
                400, "BAD_REQUEST", f"The virtual machine {vm.name} is running and must be stopped."
            )
        return 202, self._later("Deleting Virtual Machine", lambda: self.estate.remove_vm(vm))

    def _power_on(self, _body: bytes, key: str) -> Answer:
        vm = self._vm(key)
        return 202, self._later("Starting Virtual Machine", lambda: self.estate.power(vm, on=True))

    def _undeploy(self, body: bytes, key: str) -> Answer:
        vm = self._vm(key)
        _document(body, "UndeployVAppParams")
        return 202, self._later("Stopping Virtual Machine", lambda: self.estate.power(vm, on=False))

    def _get_cards(self, _body: bytes, key: str) -> Answer:
        cards = "".join(
            f"<NetworkConnection network={quoteattr(card.network)} needsCustomization='false'>"
            f"<NetworkConnectionIndex>{number}</NetworkConnectionIndex>"
            f"<IsConnected>{str(card.connected).lower()}</IsConnected><MACAddress>{card.mac}</MACAddress>"
            "<IpAddressAllocationMode>NONE</IpAddressAllocationMode>"
            f"<NetworkAdapterType>{card.model}</NetworkAdapterType></NetworkConnection>"
            for number, card in enumerate(self._vm(key).cards)
        )
        return 200, (
            f'<NetworkConnectionSection xmlns="{_VCLOUD}" xmlns:ovf="{_OVF}"><ovf:Info>cards</ovf:Info>'
            f"<PrimaryNetworkConnectionIndex>0</PrimaryNetworkConnectionIndex>{cards}</NetworkConnectionSection>"
        )

    def _put_cards(self, body: bytes, key: str) -> Answer:
        vm, section = self._vm(key), _document(body, "NetworkConnectionSection")
        known = {*self.estate.vapps[vm.vapp].networks, "none"}

        def change() -> None:
            for card, given in zip(vm.cards, section.iter(f"{{{_VCLOUD}}}NetworkConnection"), strict=True):
                if given.get("network") not in known:
                    raise Refused(400, "BAD_REQUEST", f"The vApp has no network {given.get('network')}.")
                card.network = str(given.get("network"))
                card.connected = given.findtext(f"{{{_VCLOUD}}}IsConnected") == "true"

        return 202, self._later("Updating Virtual Machine", change)

    def _get_vapp(self, _body: bytes, key: str) -> Answer:
        vapp = self._vapp(key)
        vms = "".join(f"<Vm name={quoteattr(vm.name)}/>" for vm in self.estate.inside(vapp))
        children = f"<Children>{vms}</Children>" if vms else ""
        return 200, f'<VApp xmlns="{_VCLOUD}" name={quoteattr(vapp.name)}>{children}</VApp>'

    def _delete_vapp(self, _body: bytes, key: str) -> Answer:
        vapp = self._vapp(key)
        return 202, self._later("Deleting Virtual Application", lambda: self.estate.remove_vapp(vapp))

    def _get_config(self, _body: bytes, key: str) -> Answer:
        configs = "".join(
            f"<NetworkConfig networkName={quoteattr(name)}><Configuration>"
            f"<ParentNetwork href={quoteattr(parent)}/><FenceMode>bridged</FenceMode>"
            "</Configuration></NetworkConfig>"
            for name, parent in self._vapp(key).networks.items()
        )
        return 200, (
            f'<NetworkConfigSection xmlns="{_VCLOUD}" xmlns:ovf="{_OVF}"><ovf:Info>networks</ovf:Info>'
            f"{configs}</NetworkConfigSection>"
        )

    def _put_config(self, body: bytes, key: str) -> Answer:
        vapp, given = self._vapp(key), {}
        for each in _document(body, "NetworkConfigSection").iter(f"{{{_VCLOUD}}}NetworkConfig"):
            parent = next(each.iter(f"{{{_VCLOUD}}}ParentNetwork")).get("href", "")
            if not any(
                network.id in parent and network.parent == vapp.vdc for network in self.estate.networks
            ):
                raise Refused(400, "BAD_REQUEST", f"The VDC has no network {parent}.")
            given[str(each.get("networkName"))] = parent
        return 202, self._later("Updating Virtual Application", lambda: setattr(vapp, "networks", given))

    def _get_metadata(self, _body: bytes, kind: str, key: str) -> Answer:
        entries = "".join(
            f"<MetadataEntry><Key>{name}</Key><TypedValue><Value>{escape(value)}</Value></TypedValue>"
            "</MetadataEntry>"
            for name, value in self._of_kind(kind, key).metadata.items()
        )
        return 200, f'<Metadata xmlns="{_VCLOUD}">{entries}</Metadata>'

    def _put_metadata(self, body: bytes, kind: str, key: str, name: str) -> Answer:
        value = next(_document(body, "MetadataValue").iter(f"{{{_VCLOUD}}}Value")).text or ""
        owner = self._of_kind(kind, key)
        return 202, self._later("Updating metadata", lambda: owner.metadata.update({name: value}))

    def _of_kind(self, kind: str, key: str) -> Vm | Vapp:
        return self._vm(key) if kind == "vm" else self._vapp(key)

    def _import_as_vapp(self, body: bytes, server: str) -> Answer:
        given = self._import(body, "ImportVmAsVAppParams", _AS_VAPP, server)
        vdc = _in_href(given["Vdc"])
        vapp = Vapp(given["name"], vdc)

        def work() -> None:
            if any((each.name, each.vdc) == (vapp.name, vdc) for each in self.estate.vapps.values()):
                raise Refused(400, "DUPLICATE_NAME", f"The VDC has a vApp {vapp.name}.")
            network = next(each for each in self.estate.networks if each.parent == vdc)
            vapp.networks[network.name] = f"{self.base}/api/network/{network.id}"
            self.estate.vapps[vapp.id] = vapp
            self._take_in(given, vapp)

        return 201, f'<VApp xmlns="{_VCLOUD}"><Tasks>{self._later("Importing", work)}</Tasks></VApp>'

    def _import_into_vapp(self, body: bytes, server: str) -> Answer:
        given = self._import(body, "ImportVmIntoExistingVAppParams", _INTO_VAPP, server)
        vapp = self._vapp(_in_href(given["VApp"]))
        return 202, self._later("Importing", lambda: self._take_in(given, vapp))

    def _import(self, body: bytes, name: str, order: list[str], server: str) -> dict[str, str]:
        document = _document(body, name, _EXTENSION)
        names = [etree.QName(child).localname for child in document]
        if names != [each for each in order if each in names] or server != self.estate.vcenter:
            raise Refused(
                400, "BAD_REQUEST", f"The elements of {name} are not as its schema has them: {names}."
            )
        if document.get("sourceMove") != "true":
            raise Refused(400, "BAD_REQUEST", "Copies are not emulated.")
        found = {
            etree.QName(child).localname: child.get("href") or (child.text or "").strip()
            for child in document
        }
        return found | {"name": document.get("name") or ""}

    def _take_in(self, given: dict[str, str], vapp: Vapp) -> None:
        if self.refuse_import is not None:
            raise Refused(400, "BAD_REQUEST", self.refuse_import)
        profile = None
        if "VdcStorageProfile" in given:
            key = _in_href(given["VdcStorageProfile"])
            profile = next(
                each.name for each in self.estate.profiles if (each.id, each.parent) == (key, vapp.vdc)
            )
        self.estate.take_in(given["VmMoRef"], given["VmName"], vapp, profile)


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the handshake is what some tests are about."""


def _in_href(href: str) -> str:
    return href.rstrip("/")[-36:]


def _document(body: bytes, name: str, namespace: str = _VCLOUD) -> etree._Element:
    document = etree.fromstring(body)
    if document.tag != f"{{{namespace}}}{name}":
        raise Refused(400, "BAD_REQUEST", f"The body is a {document.tag}, not a {name}.")
    return document


def _handler(emulator: Emulator) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def setup(self) -> None:
            try:
                self.request.do_handshake()
            except (ssl.SSLError, OSError):
                self.request.close()
                raise ConnectionAbortedError from None
            super().setup()

        def _serve(self) -> None:
            if emulator.away:
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            bears = "with" if "Authorization" in self.headers else "without"
            emulator.seen.append(f"{self.command} {self.path.partition('?')[0]} {bears}")
            status, headers, document = emulator.answer(self.command, self.path, self.headers, body)
            content = document.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            """Tests say what went wrong."""

    return Handler
