"""Processes killed in the middle of instant restores: the VM waits, and the next process ends the restore."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from restorium.flows import restore
from restorium.vocabulary.sessions import SessionResult
from tests.support.flows import Site
from tests.support.instant import ESTATES, InstantEstate
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(params=list(ESTATES))
def estate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InstantEstate]:
    """No engine runs."""
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    made = ESTATES[request.param](tmp_path, site)
    site.engine.stop()
    site.renew()
    yield made
    made.close()
    site.close()


def _killed(estate: InstantEstate, place: str, number: int) -> None:
    site = estate.site
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.flow_child",
            site.folder,
            site.database_url,
            place,
            str(number),
            "0",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


@pytest.mark.parametrize(
    ("estate", "places"),
    [
        pytest.param(kind, places, id=f"{kind}: {name}")
        for kind, made in ESTATES.items()
        for name, places in made.crashes.items()
    ],
    indirect=["estate"],
)
def test_the_next_process_goes_on_and_the_vm_with_it(
    estate: InstantEstate, places: list[tuple[str, int]]
) -> None:
    session_id = estate.start()
    for place, number in places:
        _killed(estate, place, number)
    estate.site.engine.start()
    estate.ends_rightly(session_id)


def test_a_cancel_after_a_crash_leaves_nothing(estate: InstantEstate) -> None:
    session_id = estate.start()
    _killed(estate, f"{estate.target}.start", 1)
    _cancelled(estate, session_id)
    estate.nothing_left()


def test_a_machine_that_lost_its_power_is_started_again_with_what_it_has_written(
    estate: InstantEstate,
) -> None:
    session_id = estate.start()
    _killed(estate, f"{estate.target}.moved", 1)
    estate.kill()
    written = ["qemu-io", "-f", "qcow2", "-c", "write -P 7 2M 64k", estate.second_image()]
    subprocess.run(written, check=True, capture_output=True)
    estate.site.engine.start()
    disk = bytearray(estate.before[estate.second])
    disk[2 << 20 : (2 << 20) + (64 << 10)] = b"\7" * (64 << 10)
    estate.before[estate.second] = bytes(disk)
    estate.ends_rightly(session_id)


def _cancelled(estate: InstantEstate, session_id: UUID) -> None:
    restore.cancel(estate.site.engine, session_id)
    estate.site.engine.start()
    session = estate.site.restore_ended(session_id)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "cancelled")
    wait_until(lambda: not estate.runs())
