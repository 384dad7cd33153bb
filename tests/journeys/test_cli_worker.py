"""`restorium worker` where it cannot work; what it does beside a server is tried by ``python -m trials restarts``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from restorium.cli.app import run


@pytest.mark.parametrize(
    ("settings", "told"),
    [("", "none is set"), ('database_url = "postgresql+psycopg://nobody@localhost/none"', "no master.key")],
)
def test_a_worker_that_cannot_work_says_what_is_missing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: str,
    told: str,
) -> None:
    config = tmp_path / "settings.toml"
    config.write_text(settings)
    monkeypatch.setattr(
        sys, "argv", ["restorium", "worker", "--data", str(tmp_path / "data"), "--config", str(config)]
    )
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
