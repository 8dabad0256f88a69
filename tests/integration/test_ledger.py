"""What the flow notes of a recording that is processed a second time."""

from __future__ import annotations

import pytest
from barcode import write_recording
from lab import Lab

from facehog_core import Catalogue
from facehog_core.names import Identity
from facehog_core.schema import Fate

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_who_is_said_to_have_been_recorded_is_noted_again_and_the_story_runs_forwards(lab: Lab) -> None:
    recording = write_recording(lab.folder / "m12.mp4", 5)
    for subject in ("m12", "m13"):
        assert lab.process(recording, identity=Identity(subject=subject).as_dict()).is_completed()
        assert lab.record(recording).identity.subject == subject

    with Catalogue(lab.catalogue) as catalogue:
        story = catalogue.story(recording)
    states = [step.state for step in story]
    assert states[-2:] == [Fate.RUNNING, Fate.FINISHED]
    assert states.count(Fate.FINISHED) == 2
    assert [step.at for step in story] == sorted(step.at for step in story)
