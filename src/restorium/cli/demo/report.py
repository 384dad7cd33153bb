"""What a demo says: each step as it goes, and the whole at the end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lxml import etree
from rich.console import Console
from rich.syntax import Syntax

from restorium.cli.sizes import format_size
from restorium.vocabulary.errors import InvalidInput


@dataclass(slots=True)
class Report:
    """The outcome of a demo. ``--report`` writes its members; ``seconds`` is by step."""

    server_url: str = ""
    username: str = ""
    restore_session_href: str = ""
    restore_session_xml: str = ""
    restore_session_json: str = ""
    source_sha256: str = ""
    restored_sha256: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_read: int = 0
    bytes_stored: int = 0

    def write(self, path: Path) -> None:
        """Write it as one JSON object. Raises InvalidInput if the file cannot be written."""
        try:
            path.write_text(json.dumps(asdict(self), indent=2) + "\n")
        except OSError as error:
            raise InvalidInput(
                f"cannot write {path}: {error.strerror}", hint="Choose another --report."
            ) from None


class Narrator:
    """Prints what happens and measures how long it takes."""

    def __init__(self, report: Report) -> None:
        self.console = Console(highlight=False)
        self._report = report

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Time the block as ``name`` in the report; ``title`` is printed with its seconds once it is over."""
        start = time.monotonic()
        with self.console.status(title):
            yield
        seconds = time.monotonic() - start
        self._report.seconds[name] = round(seconds, 3)
        self.console.print(f"[green]✓[/] {title:<62} {seconds:6.1f} s")

    def say(self, text: str) -> None:
        self.console.print(f"  {text}", style="dim", soft_wrap=True)

    def conclude(self) -> None:
        """Print the restore session in both forms, the digests and the sizes."""
        report = self._report
        document = etree.fromstring(report.restore_session_xml.encode())
        etree.indent(document)
        self._show("The restore session as XML", etree.tostring(document, encoding="unicode"), "xml")
        self._show(
            "The restore session as JSON",
            json.dumps(json.loads(report.restore_session_json), indent=2),
            "json",
        )
        self._heading("The disk")
        self.console.print(f"  SHA-256 at the first backup  {report.source_sha256}", soft_wrap=True)
        self.console.print(f"  SHA-256 as restored          {report.restored_sha256}", soft_wrap=True)
        self._heading("The sizes")
        self.console.print(
            f"  {format_size(report.bytes_read)} read in two runs,"
            f" {format_size(report.bytes_stored)} stored, encrypted, compressed and without duplicates"
        )

    def advise(self, lines: list[str]) -> None:
        """Print what to try next."""
        self._heading("What to try next")
        for line in lines:
            self.console.print(f"  {line}", soft_wrap=True)

    def _heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/]")

    def _show(self, heading: str, text: str, language: str) -> None:
        self._heading(heading)
        if self.console.is_terminal:
            self.console.print(Syntax(text, language, background_color="default", word_wrap=True))
        else:
            self.console.print(text, markup=False, soft_wrap=True)
