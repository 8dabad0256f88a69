"""What every test shares: where the recordings lie, and how hypothesis searches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, and no verdict from the machine's speed.
# For a real search: pytest --hypothesis-profile=search
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", settings.get_profile("ci"), derandomize=False, max_examples=1000)
settings.load_profile("ci")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def videos_dir() -> Path:
    """Return the folder of test recordings, with `real/`, `derived/` and `stills/` in it."""
    folder = Path(os.environ.get("FACEHOG_TEST_VIDEOS", REPOSITORY.parent / "shared" / "videos"))
    if not folder.is_dir():
        pytest.skip(f"no test recordings in {folder}: set FACEHOG_TEST_VIDEOS to their folder")
    return folder
