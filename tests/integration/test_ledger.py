"""What the flow notes of a recording that is processed a second time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from barcode import write_recording
from lab import Lab

from facehog_core import Catalogue, Recipe
from facehog_core.archive import rebuild
from facehog_core.filter_values import FIELDS
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


def test_a_catalogue_that_is_made_of_the_stores_answers_as_the_one_that_was_lost(lab: Lab) -> None:
    recording = write_recording(lab.folder / "20211105_CSE020.mp4", 5)
    copy, rebuilt = Path(shutil.copy(recording, lab.folder / "copy.mp4")), f"sqlite:///{lab.folder / 'rebuilt.db'}"
    for recipe in (Recipe(), Recipe(downsample=2)):
        assert lab.process(recording, recipe).is_completed()
    assert lab.process(copy, Recipe(downsample=2)).is_completed()
    recording.with_suffix(".facehog.toml").write_text('subject = "CSE021"')
    with Catalogue(lab.catalogue) as catalogue:
        assert catalogue.identify_all().n_changed == 1
    assert rebuild(lab.store, rebuilt).n_runs == 2

    # What no store tells: which other file held the same bytes, and when a file was first seen.
    fields, others = [name for name in FIELDS if name != "seen"], "state!=duplicate"
    with Catalogue(lab.catalogue) as lost, Catalogue(rebuilt) as again:
        assert len(lost.rows(others)) == 2
        assert again.rows(columns=fields) == lost.rows(others, columns=fields)
        assert again.records() == lost.records(others)
        (file,) = again.files().values()
        assert replace(file, signature=lost.files()[recording].signature) == lost.files()[recording]
