from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facehog_core import cores
from facehog_core.cores import sharing_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "list_cores", lambda: [0, 1, 2, 5])


def test_who_comes_first_has_what_is_of_use_and_the_next_what_is_left(tmp_path: Path) -> None:
    with sharing_cores(folder=tmp_path) as one, sharing_cores(folder=tmp_path) as rest:
        assert (one.take(1), rest.take(12)) == (1, 3)
        # Whoever was sent to work may, on one core.
        with sharing_cores(folder=tmp_path) as none:
            assert none.take(12) == 1


def test_who_asks_again_has_what_others_have_given_back(tmp_path: Path) -> None:
    with sharing_cores(folder=tmp_path) as later:
        with sharing_cores(folder=tmp_path) as first:
            assert (first.take(12), later.take(3)) == (4, 1)
            first.keep(3)
            # Also who has but the one core to which he has leave says so, when there is one.
            assert (later.take(3), first.take(4)) == (1, 3)
        assert later.take(3) == 3
        with sharing_cores(folder=tmp_path) as third:
            assert third.take(2) == 1
            later.keep(1)
            assert third.take(4) == 3


def test_no_more_cores_are_taken_in_all_than_there_are_workers(tmp_path: Path) -> None:
    with sharing_cores(2, tmp_path) as some, sharing_cores(2, tmp_path) as others, sharing_cores(9, tmp_path) as all_:
        assert (some.take(12), others.take(12), all_.take(12)) == (2, 1, 2)


def test_cores_are_free_again_when_their_taker_has_done_or_failed(tmp_path: Path) -> None:
    def fail() -> None:
        with sharing_cores(folder=tmp_path) as cores:
            cores.take(3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with sharing_cores(folder=tmp_path) as cores:
        assert cores.take(12) == 4


TAKE = """
import sys
from pathlib import Path
from facehog_core import cores
cores.list_cores = lambda: [0, 1, 2, 5]
with cores.sharing_cores(folder=Path(sys.argv[1])) as taken:
    print(taken.take(3), flush=True)
    sys.stdin.read()
"""


def test_another_process_counts_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == [b"3"]
        with sharing_cores(folder=tmp_path) as cores:
            assert cores.take(12) == 1
            process.kill()
            process.wait()
            assert cores.take(12) == 4


def test_where_no_lock_can_be_had_one_core_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with sharing_cores(folder=tmp_path / "file") as cores:
        assert cores.take(4) == 1
