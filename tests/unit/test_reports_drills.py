"""Reports of drills: a page without scripts and foreign markup, and a table without formulas."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

from lxml import html

from restorium.reports import DrillReport, DrillRow, as_csv, as_html
from restorium.vocabulary.drills import CheckKind, CheckOutcome, CheckResult
from tests.support.clock import START

_EVIL = "=cmd|'/c calc'!A1"
_MARKUP = "<script>alert(1)</script>"


def _row(vm: str, reason: str | None = None) -> DrillRow:
    outcomes = [CheckOutcome(CheckKind.FILE, CheckResult.PASSED, "is there", "/etc/fstab")]
    return DrillRow(
        vm=vm,
        vm_ref="vm-1",
        point="web@2031",
        point_created_at=START,
        started_at=START + timedelta(hours=1),
        ended_at=None,
        plan="weekly",
        requested_by="@operator",
        recovery_ms=12345,
        objective_seconds=60,
        merkle_root="ab" * 32,
        result="Success",
        reason=reason,
        outcomes=outcomes,
        evidence="6f9619ff-8b86-d011-b42d-00c04fc964ff",
    )


def _report(*rows: DrillRow) -> DrillReport:
    return DrillReport("Restore drills", "lab", START, START, None, 3, 1, 1, ["mail", _MARKUP], rows)


def test_page_says_everything_and_runs_nothing() -> None:
    page = as_html(_report(_row(_MARKUP, reason="'\"><img src=x onerror=alert(1)>")))
    read = html.document_fromstring(page)
    assert read.xpath("//script | //img | //link | //iframe | //@src | //@href | //@onerror") == []
    text = " ".join(read.text_content().split())
    for told in ("VMs to drill3", "Drilled1", "Passed at least once1", "Not drilled2", "mail", _MARKUP):
        assert told in text
    cells = [" ".join(cell.text_content().split()) for cell in read.xpath("//tbody/tr/*")]
    assert cells[0] == _MARKUP
    assert cells[4:6] == ["12.3", "60"]
    assert "file /etc/fstab: Passed, is there" in cells[7]
    assert ("ab" * 32) in cells[8] and "6f9619ff" in cells[8]
    assert 'color-scheme" content="light dark"' in page
    assert "There was no drill." in as_html(_report())


def test_table_has_every_column_and_no_formula() -> None:
    first, row = csv.reader(io.StringIO(as_csv(_report(_row(_EVIL, reason="-1+1")))))
    shown = dict(zip(first, row, strict=True))
    assert shown["vm"] == f"'{_EVIL}"
    assert (shown["reason"], shown["requested_by"]) == ("'-1+1", "'@operator")
    assert (shown["recovery_seconds"], shown["objective_seconds"]) == ("12.3", "60")
    assert (shown["point_created_at"], shown["ended_at"]) == ("2031-02-03T04:05:06Z", "")
    assert shown["merkle_root"] == "ab" * 32
    assert shown["checks"] == "file /etc/fstab: Passed, is there"
