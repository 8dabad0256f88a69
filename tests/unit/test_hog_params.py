from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facehog_core.hog import BLOCK_NORMS, HogParams


def test_the_defaults_are_those_of_dolensek_2020() -> None:
    assert HogParams().as_dict() == {
        "orientations": 8,
        "pixels_per_cell": [32, 32],
        "cells_per_block": [1, 1],
        "block_norm": "L2-Hys",
        "transform_sqrt": True,
    }


@given(
    st.builds(
        HogParams,
        orientations=st.integers(1, 180),
        pixels_per_cell=st.tuples(st.integers(1, 99), st.integers(1, 99)),
        cells_per_block=st.tuples(st.integers(1, 9), st.integers(1, 9)),
        block_norm=st.sampled_from(sorted(BLOCK_NORMS)),
        transform_sqrt=st.booleans(),
    )
)
def test_parameters_survive_json(params: HogParams) -> None:
    assert HogParams(**json.loads(json.dumps(params.as_dict()))) == params


def test_parameters_are_plain_values_that_cannot_change() -> None:
    params = HogParams(orientations=np.int64(9), pixels_per_cell=[np.int32(8), 16])  # type: ignore[arg-type]
    assert params == HogParams(orientations=9, pixels_per_cell=(8, 16))
    assert len({params, HogParams(orientations=9, pixels_per_cell=(8, 16))}) == 1
    assert type(params.orientations) is type(params.pixels_per_cell[0]) is int
    with pytest.raises(FrozenInstanceError):
        params.orientations = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [
        *[("orientations", value, "1 to 180") for value in (0, -1, 181, 8.0, True, "8", None)],
        *[
            (field, value, "at least 1")
            for field in ("pixels_per_cell", "cells_per_block")
            for value in (8, (8,), (8, 8, 8), (0, 8), (8, 8.0), (True, 8), "88", None)
        ],
        *[("block_norm", value, "L1, L1-sqrt, L2, L2-Hys") for value in ("l2", "", None, ["L2"])],
        *[("transform_sqrt", value, "true or false") for value in (1, "yes", None)],
    ],
)
def test_a_wrong_parameter_is_named_with_its_value_and_the_choices(field: str, value: Any, choices: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} .*{choices}, got {re.escape(repr(value))}$"):
        HogParams(**{field: value})
