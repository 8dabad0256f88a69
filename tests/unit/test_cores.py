from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from facehog_core import cores
from facehog_core.cores import taking_cores


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "list_cores", lambda: [0, 1, 2, 5])


def test_who_comes_first_has_what_is_of_use_and_the_next_what_is_left(tmp_path: Path) -> None:
    with taking_cores(1, tmp_path) as one, taking_cores(12, tmp_path) as rest, taking_cores(12, tmp_path) as none:
        # Whoever was sent to work may, on one core.
        assert (one, rest, none) == (1, 3, 1)


def test_cores_are_free_again_when_their_taker_has_done_or_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), taking_cores(3, tmp_path):
        raise RuntimeError
    with taking_cores(12, tmp_path) as taken:
        assert taken == 4


TAKE = """
import sys
from pathlib import Path
from facehog_core import cores
cores.list_cores = lambda: [0, 1, 2, 5]
with cores.taking_cores(3, Path(sys.argv[1])) as taken:
    print(taken, flush=True)
    sys.stdin.read()
"""


def test_another_process_counts_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().split() == [b"3"]
        with taking_cores(12, tmp_path) as taken:
            assert taken == 1
        process.kill()
        process.wait()
        with ExitStack() as stack:
            assert [stack.enter_context(taking_cores(2, tmp_path)) for _ in range(2)] == [2, 2]


def test_where_no_lock_can_be_had_one_core_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with taking_cores(4, tmp_path / "file") as taken:
        assert taken == 1
