"""Processes killed in the middle of a drill: the next start ends it, and the sandbox is empty."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import restore_sessions
from restorium.catalog.listing import Visibility
from restorium.emulator import find_qemu
from restorium.flows import drills
from restorium.vocabulary.drills import BootCheck, Checks
from restorium.vocabulary.sessions import SessionResult
from tests.support.boots import MARKER, make_bootable
from tests.support.drills import Drills
from tests.support.flows import CALLER, MIB, Site, files, make_vm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_qemu() is None, reason="QEMU for x86 is not installed"),
]

_DRILLING = "restorium.flows.drilling:Drilling"


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "place",
    [
        "restorium.flows.restore_record:RestoreRecord.copied",
        f"{_DRILLING}.check",
        f"-{_DRILLING}.remove",
        f"{_DRILLING}.close",
    ],
)
def test_a_drill_that_was_killed_goes_on_and_leaves_nothing(site: Site, place: str) -> None:
    make_bootable(make_vm(site.images, "web"))
    lab = Drills(site)
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    site.engine.stop()
    site.renew()
    checks = Checks(filesystems=True, boot=BootCheck(MARKER, 60, 64))
    run_id = drills.start(site.engine, lab.plan(lab.named(job_id, "web"), checks=checks), CALLER)
    _killed(site, place)
    site.engine.start()
    run = lab.ended(run_id)
    assert (run.result, run.reason) == (SessionResult.SUCCESS, None)
    [vm] = lab.vms(run_id)
    assert vm.result is SessionResult.SUCCESS and vm.recovery_ms
    assert lab.left() == set()
    assert files(site.images) == {"web.raw", "web.vm.toml"}
    assert len(_restores(site)) == 1, "the restore is not made twice"


def _restores(site: Site) -> set[UUID]:
    with site.database.read() as connection:
        return {row.id for row in restore_sessions.listing.page(connection, visible=Visibility.everything())}


def _killed(site: Site, place: str) -> None:
    """Let a process work on the site until it dies at ``place``."""
    command = [sys.executable, "-m", "tests.support.flow_child", site.folder, site.database_url, place]
    child = subprocess.run([*command, "1", str(MIB)], capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
