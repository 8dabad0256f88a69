"""What `docs/catalogue.md` says that a lab is told, said by the commands themselves."""

from __future__ import annotations

import doctest
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import run_command
from example_lab import Clock, make_example_lab

PAGE = Path(__file__).resolve().parents[2] / "docs" / "catalogue.md"
TALKS = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the page's lab, at the page's time."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "120")
    if hasattr(time, "tzset"):
        time.tzset()
    clock = Clock()
    for module in ("catalogue", "fates"):
        monkeypatch.setattr(f"facehog_core.{module}.now", clock)
    make_example_lab(tmp_path, clock)
    yield tmp_path
    monkeypatch.undo()
    if hasattr(time, "tzset"):
        time.tzset()


def test_the_page_answers_as_the_commands_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(TALKS) >= 10
    checker, wrong = doctest.OutputChecker(), []
    for talk in TALKS:
        asked, _, expected = talk.partition("\n")
        assert asked.startswith("$ facehog "), asked
        answer = run_command(monkeypatch, capsys, folder, *shlex.split(asked)[2:])
        # What is told beside the answer stands on a terminal, too.
        said = "\n".join(line.rstrip() for line in (answer.out + answer.err).splitlines()) + "\n"
        said = said.replace(str(folder), "/data")
        # "..." stands for any lines.
        if not checker.check_output(expected, said, doctest.ELLIPSIS):
            wrong.append(f"{asked}\n{said}")
    assert not wrong, "\n".join(wrong)
