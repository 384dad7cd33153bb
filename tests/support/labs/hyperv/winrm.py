"""A WinRM listener: HTTPS, Negotiate, WS-Management and PowerShell Remoting, as far as clients ask for them.

The protocol's messages are psrpcore's, the handshake is pyspnego's. What a pipeline does is handed in.
"""

from __future__ import annotations

import base64
import os
import ssl
import sys
import threading
import uuid
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import spnego
from psrpcore import Command, CreatePipelineEvent, PSRPPayload, ServerPipeline, ServerRunspacePool, StreamType
from psrpcore.types import NETException, PSInvocationState

from tests.support.certificates import Certificate

Shell = Callable[[Sequence[Command]], tuple[list[str], list[str], bool]]
"""Given a pipeline's commands; gives output, errors, and whether the last error ended it."""

_NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "f": "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault",
}
_NO_SUCH_SHELL = 2150858843
_DONE = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"
_RUNNING = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Running"


class WinRm:
    """Listens until it is closed. received: how many requests came with a body, authenticated or not."""

    def __init__(self, certificate: Certificate, users: Path, accounts: dict[str, str], shell: Shell) -> None:
        self.shell = shell
        self.pools: dict[str, ServerRunspacePool] = {}
        self.pipelines: dict[str, ServerPipeline] = {}
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        """Of runspaces."""
        self.received = 0
        self.users = users
        self.users.write_text("".join(f":{name}:{password}\n" for name, password in accounts.items()))
        self._context = certificate.serving()
        self.port = 0
        self._server: _Server | None = None
        self.start()

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._server = _Server(("127.0.0.1", self.port), self, self._context)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse and cut connections; runspaces are lost, as when the service is restarted."""
        if self._server is not None:
            self._server.stop()
        self._server = None
        self.pools.clear()
        self.pipelines.clear()

    def forget_shells(self) -> None:
        """Runspaces end while connections stay."""
        self.pools.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], winrm: WinRm, context: ssl.SSLContext) -> None:
        self.winrm = winrm
        self._context = context
        self._open: set[Any] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = self.socket.accept()
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up or refuse the certificate are no news; faults of this emulator are."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for request in list(self._open):
            try:
                request.shutdown(2)
            except OSError:
                continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._acceptor: Any = None
        self._known = False

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        winrm = self.server.winrm
        winrm.received += 1
        if not self._known and not self._prove():
            return
        try:
            status, answer = 200, self._answer(ET.fromstring(body))
        except KeyError:
            status, answer = 500, _fault(_NO_SUCH_SHELL, "The WS-Management service has no such shell.", body)
        self._send(status, answer)

    def _prove(self) -> bool:
        """One step of the handshake; answers the request unless the account is proven."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Negotiate":
            self._send(401, b"", "Negotiate")
            return False
        os.environ["NTLM_USER_FILE"] = str(self.server.winrm.users)
        try:
            if self._acceptor is None:
                self._acceptor = spnego.server(protocol="negotiate")
            out = self._acceptor.step(base64.b64decode(token))
        except spnego.exceptions.SpnegoError:
            self._acceptor = None
            self._send(401, b"", "Negotiate")
            return False
        if not self._acceptor.complete:
            self._send(401, b"", f"Negotiate {base64.b64encode(out or b'').decode()}")
            return False
        self._known = True
        return True

    def _send(self, status: int, body: bytes, challenge: str | None = None) -> None:
        self.send_response(status)
        if challenge is not None:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _answer(self, envelope: ET.Element) -> bytes:
        action = _text(envelope, "s:Header/a:Action").rsplit("/", 1)[-1]
        body = envelope.find("s:Body", _NS)
        assert body is not None
        if action == "Create":
            return self._create(envelope, body)
        shell_id = _text(envelope, "s:Header/w:SelectorSet/w:Selector").upper()
        pool = self.server.winrm.pools[shell_id]
        with self.server.winrm.locks[shell_id]:
            return _reply(envelope, getattr(self, f"_handle_{action.lower()}")(pool, body, shell_id))

    def _create(self, envelope: ET.Element, body: ET.Element) -> bytes:
        shell = body.find("rsp:Shell", _NS)
        assert shell is not None
        shell_id = shell.attrib.get("ShellId", str(uuid.uuid4())).upper()
        pool = self.server.winrm.pools[shell_id] = ServerRunspacePool()
        creation = next(each for each in shell if each.tag.endswith("creationXml"))
        self._feed(pool, base64.b64decode(creation.text or ""))
        return _reply(
            envelope,
            f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId></rsp:Shell><x:ResourceCreated><a:ReferenceParameters>"
            f'<w:SelectorSet><w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
            "</a:ReferenceParameters></x:ResourceCreated>",
        )

    def _handle_command(self, pool: ServerRunspacePool, body: ET.Element, _shell_id: str) -> str:
        line = body.find("rsp:CommandLine", _NS)
        assert line is not None
        command_id = line.attrib["CommandId"].upper()
        self.server.winrm.pipelines[command_id] = ServerPipeline(pool, uuid.UUID(command_id))
        self._feed(pool, base64.b64decode(_text(line, "rsp:Arguments")))
        return f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId></rsp:CommandResponse>"

    def _handle_send(self, pool: ServerRunspacePool, body: ET.Element, _shell_id: str) -> str:
        self._feed(pool, base64.b64decode(_text(body, "rsp:Send/rsp:Stream")))
        return "<rsp:SendResponse/>"

    def _handle_receive(self, pool: ServerRunspacePool, body: ET.Element, _shell_id: str) -> str:
        stream = body.find("rsp:Receive/rsp:DesiredStream", _NS)
        assert stream is not None
        command_id, content = stream.attrib.get("CommandId", "").upper(), b""
        while (payload := pool.data_to_send(200_000)) is not None:
            content += payload.data
        pipeline = self.server.winrm.pipelines.get(command_id)
        is_done = pipeline is not None and pipeline.state is PSInvocationState.Completed
        state = f'<rsp:CommandState CommandId="{command_id}" State="{_DONE if is_done else _RUNNING}"/>'
        attribute = f' CommandId="{command_id}"' if command_id else ""
        encoded = base64.b64encode(content).decode()
        return (
            f'<rsp:ReceiveResponse><rsp:Stream Name="stdout"{attribute}>{encoded}</rsp:Stream>'
            f"{state if command_id else ''}</rsp:ReceiveResponse>"
        )

    def _handle_signal(self, _pool: ServerRunspacePool, body: ET.Element, _shell_id: str) -> str:
        return "<rsp:SignalResponse/>"

    def _handle_delete(self, _pool: ServerRunspacePool, body: ET.Element, shell_id: str) -> str:
        del self.server.winrm.pools[shell_id]
        return ""

    def _feed(self, pool: ServerRunspacePool, data: bytes) -> None:
        pool.receive_data(PSRPPayload(data, StreamType.default, None))
        while (event := pool.next_event()) is not None:
            if isinstance(event, CreatePipelineEvent):
                self._run(pool, event)

    def _run(self, pool: ServerRunspacePool, event: CreatePipelineEvent) -> None:
        assert event.pipeline_id is not None
        pipeline = pool.pipeline_table[event.pipeline_id]
        assert isinstance(pipeline, ServerPipeline)
        pipeline.start()
        output, errors, failed = self.server.winrm.shell(event.pipeline.commands)
        for each in output:
            pipeline.write_output(each)
        for message in errors:
            pipeline.write_error(NETException(Message=message))
        if failed:
            pipeline._change_state(PSInvocationState.Failed)
        else:
            pipeline.complete()


def _reply(envelope: ET.Element, body: str) -> bytes:
    declared = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _NS.items())
    message_id = _text(envelope, "s:Header/a:MessageID")
    return (
        f"<s:Envelope {declared}><s:Header><a:RelatesTo>{message_id}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _fault(code: int, message: str, request: bytes) -> bytes:
    envelope = ET.fromstring(request)
    return _reply(
        envelope,
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:InvalidSelectors</s:Value></s:Subcode>"
        f"</s:Code><s:Reason><s:Text>{message}</s:Text></s:Reason><s:Detail>"
        f'<f:WSManFault Code="{code}" Machine="host"><f:Message>{message}</f:Message></f:WSManFault>'
        "</s:Detail></s:Fault>",
    )


def _text(element: ET.Element, path: str) -> str:
    found = element.find(path, _NS)
    assert found is not None, path
    return found.text or ""
