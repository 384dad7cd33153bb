"""The native API tells when a job runs by itself."""

from __future__ import annotations

from datetime import time
from pathlib import Path

from restorium.catalog import schedules
from restorium.catalog.database import Database
from restorium.native import app as native
from restorium.vocabulary.schedule import Daily, Schedule
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, populate, site
from tests.support.native import NativeClient


def test_job_tells_its_next_run(database: Database, tmp_path: Path, clock: ManualClock) -> None:
    with site(database, tmp_path, clock) as made:
        populate(made, clock)
        client = NativeClient(native.create(made.engine)).log_on("administrator", PASSWORD)
        for enabled, next_run in ((True, "2031-02-03T22:00:00Z"), (False, None)):
            with database.write() as connection:
                schedules.configure(
                    connection, made.ids["Job"], Schedule(daily=Daily(time(22))), enabled=enabled
                )
            [job] = [
                each for each in client.get("/jobs").json()["items"] if each["id"] == str(made.ids["Job"])
            ]
            assert (job["schedule_enabled"], job["next_run"]) == (enabled, next_run)
