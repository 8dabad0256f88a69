from __future__ import annotations

import pickle

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
    assert (copy.path, copy.fact, copy.remedy) == (path, fact, remedy)
    assert str(copy) == str(error)


def test_an_error_says_which_file_what_happened_and_what_to_do() -> None:
    error = FacehogError("/inbox/m12_cam0.mp4", "8731 of 9000 frames decode", "Copy it again from the rig.")
    assert str(error) == "m12_cam0.mp4: 8731 of 9000 frames decode. Copy it again from the rig."


def test_what_is_wrong_with_a_recording_is_told_from_what_may_pass() -> None:
    assert issubclass(errors.TruncatedError, errors.RecordingRefusedError)
    assert not issubclass(errors.ChangedError, errors.RecordingRefusedError)
