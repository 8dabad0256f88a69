from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core import errors
from facehog_core.errors import FacehogError

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, FacehogError)]


@pytest.mark.parametrize("kind", CLASSES)
@given(path=st.text(), fact=st.text(), remedy=st.text())
def test_an_error_comes_whole_out_of_a_pickle(kind: type[FacehogError], path: str, fact: str, remedy: str) -> None:
    error = kind(path, fact, remedy)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.args[:3] == (path, fact, remedy)
    assert str(copy) == str(error)


def test_an_error_says_which_file_what_happened_and_what_to_do() -> None:
    error = FacehogError("/inbox/m12_cam0.mp4", "8731 of 9000 frames decode", "Copy it again from the rig.")
    assert str(error) == "m12_cam0.mp4: 8731 of 9000 frames decode. Copy it again from the rig."


def test_what_is_wrong_with_a_recording_is_told_from_what_may_pass() -> None:
    assert issubclass(errors.TruncatedError, errors.RecordingRefusedError)
    assert not issubclass(errors.ChangedError, errors.RecordingRefusedError)


def test_the_documentation_names_every_error_once_with_what_to_do() -> None:
    table = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text("utf-8")
    rows = {row.split("`")[1]: row.split("|")[2:-1] for row in table.splitlines() if row.startswith("| `")}
    assert table.count("\n| `") == len(rows)
    assert set(rows) == {kind.__name__ for kind in CLASSES}
    assert all(len(cells) == 3 and cells[0].strip() for cells in rows.values())
    assert all(cells[2].strip().endswith(".") for name, cells in rows.items() if name != "FacehogError")
