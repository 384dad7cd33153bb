"""A backed up VM with files in it, and the words in which tests ask the interface for them."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from restorium.catalog import restore_sessions
from restorium.catalog.listing import Row, Visibility
from tests.support.clock import ManualClock
from tests.support.em import EmClient, Site, attributes, children

DOWNLOAD = b"<FileRestoreSpec><ForDirectDownload /></FileRestoreSpec>"


@dataclass
class Lab:
    """A VM ``web`` with a FAT and an ext4 partition, of which ``files`` are on both."""

    site: Site
    clock: ManualClock
    point: Row
    files: dict[str, bytes]

    @property
    def mounts(self) -> str:
        return f"/vmRestorePoints/{self.point.id}/mounts"

    def sessions(self) -> list[Row]:
        with self.site.database.read() as connection:
            return list(
                restore_sessions.listing.page(
                    connection, order=[("created_at", False)], visible=Visibility.everything()
                )
            )


def task_of(client: EmClient, path: str, body: bytes = b"") -> etree._Element:
    """The finished task of a POST."""
    answer = client.post(path, body)
    assert answer.status == 202, answer.text
    return client.follow(attributes(answer.xml)["Href"]).xml


def outcome(task: etree._Element) -> tuple[str | None, str]:
    result = children(task, "Result")[0]
    return result.get("Success"), str(children(result, "Message")[0].text)


def names(element: etree._Element, kind: str) -> list[str]:
    return [str(children(each, "Name")[0].text) for found in children(element, kind) for each in found]
