"""CSV of the catalogue: the same words from every command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from catalogue_users import make_record
from commands import run_command

from facehog_core.catalogue import Catalogue
from facehog_core.filter_values import FIELDS


def test_what_is_found_and_what_is_exported_are_the_same_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        catalogue.record(make_record("a, b.mp4"))
    found = run_command(monkeypatch, capsys, tmp_path, "find", "--csv", "--columns", ",".join(FIELDS)).out
    run_command(monkeypatch, capsys, tmp_path, "catalogue", "export", "all.csv")
    assert (tmp_path / "all.csv").read_text("utf-8") == found
    (row,) = pd.read_csv(tmp_path / "all.csv").to_dict("records")
    assert (row["name"], row["state"]) == ("a, b.mp4", "finished")
    assert "T" in row["changed"]
    assert row["changed"].endswith("+00:00")
