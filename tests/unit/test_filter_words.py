"""What a filter takes for a word of its own, and what it says where a word was meant otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from catalogue_users import make_record
from commands import run_command

from facehog_core import filter_values
from facehog_core.catalogue import Catalogue
from facehog_core.filters import Comparison, parse_filter


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("date=today", "date=2026-11-22"),
        ("date>=today-7", "date>=2026-11-15"),
        ("seen>=yesterday", "seen>=2026-11-21"),
        ("changed=today", "changed=2026-11-22"),
    ],
)
def test_days_are_told_from_today_on(told: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Half past midnight by this machine's clock, wherever that is.
    monkeypatch.setattr(filter_values, "now", lambda: datetime(2026, 11, 22, 0, 30).astimezone(UTC))
    read, expected = parse_filter(told), parse_filter(meant)
    assert isinstance(read, Comparison)
    assert isinstance(expected, Comparison)
    assert read.values[0].known == expected.values[0].known
    assert str(read) == told


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("name=M12.MP4", ["name=m12.mp4"]),
        ("state=finished and (name=M12.mp4 or host=nobody)", ["name=m12.mp4"]),
        ("name=m12.mp4 and frames<0", []),
        ("name=M13.mp4", []),
        ("name=M*.mp4", []),
        ('name="m12[.]mp4" and frames<0', []),
        (f"name={','.join('abcde')},M12.mp4", []),
    ],
)
def test_what_is_missed_by_case_alone_is_named(where: str, told: list[str], catalogue: Catalogue) -> None:
    catalogue.record(make_record("m12.mp4"))
    assert catalogue.other_cases(parse_filter(where)) == told


def test_find_says_that_case_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        catalogue.record(make_record("m12.mp4"))
        catalogue.record(make_record("m13.mp4", "2f0c2a9b77d3-5e21c0aa"))
    told = run_command(monkeypatch, capsys, tmp_path, "find", "name=M12.mp4")
    assert (told.status, told.out) == (0, "")
    assert "there is name=m12.mp4: lower and upper case differ" in told.err
    assert 'facehog: "": 2 runs begin so' in run_command(monkeypatch, capsys, tmp_path, "show", "").err
