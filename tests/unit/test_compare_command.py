"""What `facehog diff` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalogue_users import make_record
from commands import run_command

from facehog_core.catalogue import Catalogue


def test_numbers_are_told_without_what_is_left_of_a_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        for name, rate in (("1f0c2a9b77d3-5e21c0aa", 88.66999999999999), ("2f0c2a9b77d3-5e21c0aa", 29.97)):
            stream = {**make_record().stream, "duration_s": rate}
            catalogue.record(make_record(f"{name}.mp4", name, stream=stream))
    told = run_command(monkeypatch, capsys, tmp_path, "diff", "1f0c", "2f0c").out
    assert "88.67 " in told
    assert "29.97" in told
    assert "99999" not in told
