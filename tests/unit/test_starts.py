from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facehog_core.errors import CrashError
from facehog_core.starts import MOST_STARTS, note_of_probe, noting_start

CRASH = """
import ctypes, sys
from pathlib import Path
from facehog_core.starts import noting_start
with noting_start(Path(sys.argv[1]), "m12.mp4", "describing frames 0-250"):
    ctypes.string_at(0)
"""

# Four tasks in one process, as on a Dask worker with four threads. The first one crashes when all have begun.
NEIGHBOURS = """
import ctypes, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from facehog_core.errors import CrashError
from facehog_core.starts import noting_start

folder, is_first = Path(sys.argv[1]), not Path(sys.argv[1]).exists()
folder.mkdir(exist_ok=True)

def work(number):
    try:
        with noting_start(folder / f"{number}", "m12.mp4", f"task {number}"):
            if number == 0:
                while is_first and len(list(folder.iterdir())) < 4:
                    time.sleep(0.01)
                ctypes.string_at(0)
            time.sleep(600 if is_first else 0)
    except CrashError:
        return "crashes"
    return "done"

with ThreadPoolExecutor(4) as threads:
    print(*threads.map(work, range(4)))
"""


def test_a_crash_is_not_blamed_on_its_neighbours(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NEIGHBOURS, tmp_path / "begun"]
    for _ in range(MOST_STARTS):
        assert subprocess.run(command, check=False).returncode < 0
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == [
        "crashes",
        *3 * ["done"],
    ]


def test_what_ends_its_process_each_time_is_refused_in_the_end(tmp_path: Path) -> None:
    note = tmp_path / "begun" / "0-250"
    for n_starts in range(1, MOST_STARTS + 1):
        assert subprocess.run([sys.executable, "-c", CRASH, note], check=False).returncode < 0
        assert note.read_text() == str(n_starts)
    says = r"m12.mp4: describing frames 0-250 ended the worker's process 3 times, without a word\. The decoder"
    with pytest.raises(CrashError, match=says), noting_start(note, "/inbox/m12.mp4", "describing frames 0-250"):
        pytest.fail("it is begun again")


def test_what_ends_in_order_leaves_no_note(tmp_path: Path) -> None:
    note = tmp_path / "begun" / "0-250"
    for _ in range(MOST_STARTS + 1):
        with noting_start(note, "m12.mp4", "reading"):
            assert note.read_text() == "1"
        with pytest.raises(ValueError, match="no fault"), noting_start(note, "m12.mp4", "reading"):
            raise ValueError("no fault of the decoder")
    assert list(note.parent.iterdir()) == []


def test_a_note_that_cannot_be_read_counts_for_nothing(tmp_path: Path) -> None:
    note = tmp_path / "note"
    note.write_text("")  # a disk that was full
    with noting_start(note, "m12.mp4", "reading"):
        assert note.read_text() == "1"


def test_files_of_one_name_in_two_folders_are_noted_apart(tmp_path: Path) -> None:
    assert note_of_probe(tmp_path, Path("/a/m12.mp4")) != note_of_probe(tmp_path, Path("/b/m12.mp4"))
