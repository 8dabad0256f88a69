"""Which runs may be compared, by their records and as the catalogue finds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from catalogue_users import make_record

from facehog_core.catalogue import Catalogue
from facehog_core.comparison import compare_runs, find_comparable
from facehog_core.names import Identity
from facehog_core.provenance import RunRecord

TURNED = {"hog": {"orientations": 8}, "crop": None, "apply_rotation": True}


def make_turned(number: int, width: int, height: int, **stream: Any) -> RunRecord:
    """Make a run of whole frames that are turned as their file asks for."""
    told = {"width": width, "height": height, "n_frames": 300, "duration_s": 10.0, **stream}
    return make_record(f"{number}.mp4", f"{number:012x}-00000001", recipe=TURNED, stream=told)


def test_runs_are_comparable_with_one_whose_crop_was_moved_a_thousand_times(catalogue: Catalogue) -> None:
    record, other = make_record(), make_record("b.mp4", "2f0c2a9b77d3-00000777")
    catalogue.record(record)
    catalogue.record(other)
    catalogue.record(make_record("c.mp4", "3f0c2a9b77d3-000007770"))
    moved = [(f"{number:08x}", {"hog": {"orientations": 8}, "crop": [number, 0, 64, 64]}) for number in range(3000)]

    assert catalogue.records(find_comparable(record, [(str(record.run_id)[13:], record.recipe), *moved])) == [other]


def test_whole_frames_are_compared_as_they_are_turned(catalogue: Catalogue) -> None:
    record = make_turned(0, 720, 540, rotation=90)
    cropped = {**TURNED, "crop": [8, 0, 540, 720]}
    alike = [
        make_turned(1, 540, 720),
        make_turned(2, 540, 720, rotation=180),
        make_turned(3, 720, 540, rotation=-90),
        make_record("4.mp4", "000000000004-00000002", recipe=cropped),
    ]
    others = [make_turned(5, 720, 540), make_turned(6, 540, 720, rotation=270), make_turned(7, 720, 540, rotation=180)]
    for each in (record, *alike, *others):
        catalogue.record(each)

    for each in (*alike, *others):
        assert compare_runs(record, each).answer == ("yes" if each in alike else "no")
    found = catalogue.records(catalogue.comparable_with(str(record.run_id)), sort="name")
    assert found == alike
    assert len(catalogue.records(catalogue.comparable_with(str(alike[3].run_id)))) == 4


def test_that_two_runs_show_another_mouse_by_another_camera_is_said_beside_the_answer() -> None:
    first = make_record(identity=Identity(subject="CSE020", camera="0"), stream={"width": 640, "height": 480})
    second = replace(first, identity=Identity(subject="CSE021", camera="1"), stream={"width": 1280, "height": 1024})
    small = {"crop": [0, 0, 64, 64], "hog": {"orientations": 8}}

    verdict = compare_runs(replace(first, recipe=small), replace(second, recipe=small))
    said = ["other frame size: 640 x 480 and 1280 x 1024", "other subject: CSE020 and CSE021", "other camera: 0 and 1"]
    assert (verdict.answer, verdict.remarks) == ("yes", said)
    # What is not known is not another one.
    assert compare_runs(first, replace(first, identity=Identity(), stream={})).remarks == []
