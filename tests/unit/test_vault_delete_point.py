"""Deleting a restore point takes its manifest away, and nothing that another point needs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from restorium.vocabulary.errors import InvalidInput, NotFound
from tests.support.vaults import CHUNK, MemoryDisk, back_up, new_vault, open_vault, restored


def test_deleted_point_is_gone_and_the_others_restore(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    content = random.Random(1).randbytes(4 * CHUNK)
    first, record = back_up(vault, MemoryDisk(content))
    changed = random.Random(2).randbytes(CHUNK) + content[CHUNK:]
    second, newer = back_up(vault, MemoryDisk(changed), record)
    packs = set((tmp_path / "vault").rglob("packs/**/*"))
    vault.delete_point(first)
    with pytest.raises(NotFound):
        vault.point(first)
    for opened in (vault, open_vault(tmp_path, cache="elsewhere")):
        assert opened.points() == [second]
        assert restored(opened, newer) == changed
        report = opened.verify()
        assert (report.points, report.findings) == (1, ())
    assert set((tmp_path / "vault").rglob("packs/**/*")) == packs
    assert packs


def test_deleting_again_is_no_error_and_other_objects_are_safe(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    name, _ = back_up(vault, MemoryDisk(bytes(CHUNK)))
    for _ in range(2):
        vault.delete_point(name)
    for wrong in ("../config", "config", "", f"{name}/../../config"):
        with pytest.raises(InvalidInput):
            vault.delete_point(wrong)
    assert open_vault(tmp_path, cache="elsewhere").points() == []
