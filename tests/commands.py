"""The command line as a user meets it, on runs that the core has made: without Prefect."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from deployments.cli import main
from facehog_core import Catalogue
from facehog_core.provenance import RunRecord
from facehog_core.sealed import read_record


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Answer]


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *words: str | Path
) -> Answer:
    """Run `facehog WORDS` in a folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["facehog", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    return Answer(int(stopped.value.code or 0), said.out, said.err)


def catalogue_run(folder: Path, store: Path) -> RunRecord:
    """Put a sealed store into the catalogue of a folder without a configuration."""
    record = read_record(store)
    with Catalogue(f"sqlite:///{folder / 'catalogue.db'}", create=True) as catalogue:
        catalogue.record(record)
    return record
