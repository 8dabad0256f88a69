from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
from rich.console import Console

from deployments import listing
from deployments.listing import print_fitting_rows, print_rows
from facehog_core.catalogue import COLUMNS

MOMENT = datetime(2026, 11, 22, 4, 50, 35, tzinfo=UTC)
REASON = "its index (moov) is missing: the file was not copied whole. Copy it again from the rig"
FINISHED = ("finished", "20211105_CSE020_plane1_-587.325.mp4", "CSE020", date(2021, 11, 5), "b7ad4c8af940-d42af42a")
ROWS: list[tuple[Any, ...]] = [
    (*FINISHED, 21612, 0, 0, MOMENT, "all frames are described"),
    ("quarantined", "20211107_CSE020_cam0.mp4", None, None, None, None, None, 0, MOMENT, REASON),
]


def look(monkeypatch: pytest.MonkeyPatch, width: int) -> io.StringIO:
    """Let what is listed go to a terminal of a width."""
    said = io.StringIO()
    terminal = Console(file=said, width=width, force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr(listing, "console", terminal)
    return said


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_on_a_terminal_of_any_width_nothing_that_is_shown_is_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    said = look(monkeypatch, width)
    left_out = print_fitting_rows(COLUMNS, ROWS)
    text = re.sub(r"\x1b\[\dm", "", said.getvalue())
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    shown = {"run": "b7ad4c8af940-d42af42a", "subject": "CSE020", "frames": "21612", "date": "2021-11-05"}
    assert {name for name, word in shown.items() if word in words} == set(shown) - set(left_out)
    assert {"finished", "quarantined", "20211105_CSE020_plane1_-587.325.mp4", "rig"} <= set(words)


def test_a_wide_terminal_shows_all_in_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    said = look(monkeypatch, 300)
    assert print_fitting_rows(COLUMNS, ROWS) == []
    assert len(said.getvalue().splitlines()) == 1 + len(ROWS)


def test_what_was_asked_for_is_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    said = look(monkeypatch, 60)
    print_rows(("run", "warnings"), [("b7ad4c8af940-d42af42a", 3)])
    assert "b7ad4c8af940-d42af42a" in said.getvalue()


def test_lines_in_a_file_do_not_end_with_spaces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listing, "console", Console(file=io.StringIO(), width=10_000, highlight=False))
    print_fitting_rows(COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert not any(line.endswith(" ") for line in lines)


def test_sizes_and_fractions_are_shown_as_people_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(("size", "brightness", "frames"), [(22_881_855, 43.957499999999996, 21612)])
    assert capsys.readouterr().out.splitlines()[1].split() == ["22.9", "MB", "43.957", "21612"]
