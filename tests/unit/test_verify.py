from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import write_recording
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import (
    BEGUN,
    ENDED,
    SMALL_HOG,
    fill_store,
    make_hogs,
    make_paths,
    make_store,
    make_work,
    run_recording,
    shards_of,
)

from facehog_core import store as store_module
from facehog_core.errors import StoreError
from facehog_core.extract import extract_chunk, plan_run
from facehog_core.hog import HogParams
from facehog_core.layout import Work
from facehog_core.mask import Box
from facehog_core.provenance import RunRecord
from facehog_core.receipts import ShardHogs, ShardReceipt
from facehog_core.recipe import Recipe
from facehog_core.sealed import FORMAT, METADATA, check_whole, digest_metadata, read_record, write_metadata
from facehog_core.sealing import seal_store
from facehog_core.session import open_session
from facehog_core.source import measure_file
from facehog_core.store import create_store, write_shard
from facehog_core.timestamps import TimestampsSource, find_timestamps
from facehog_core.verify import Step, Verdict, verify_store
from facehog_core.video import probe

RECIPE = Recipe(hog=SMALL_HOG, with_images=True, masks=(Box(x=0, y=0, width=6, height=6),))


def verdict_of(path: Path, expected: RunRecord | None = None) -> Verdict:
    *_, verdict = verify_store(path, expected)
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a recording that is nowhere any more."""
    return make_store(tmp_path_factory.mktemp("store"), make_work(recipe=RECIPE))


@pytest.fixture
def store(sealed: Path, tmp_path: Path) -> Path:
    """A copy, to damage."""
    return Path(shutil.copytree(sealed, tmp_path / sealed.name))


def files_of(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


# -- what is sound ----------------------------------------------------------------------------------------


def test_a_store_that_nobody_touched_is_sound(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 30)
    path = run_recording(tmp_path / "store", recording, Recipe(hog=HogParams(pixels_per_cell=(16, 16))))

    verdict = verdict_of(path, read_record(path))
    assert verdict == Verdict(store=path, findings=[], source="unchanged", n_described=8)
    assert verdict.is_sound


def test_the_frames_that_are_checked_are_told_on_the_way(sealed: Path) -> None:
    *steps, _ = verify_store(sealed)
    assert steps == [Step(doing="reads", n_done=n, n_all=23) for n in (10, 20, 23)]


def test_a_recording_that_is_gone_does_not_make_its_store_unsound(sealed: Path) -> None:
    verdict = verdict_of(sealed)

    assert verdict.is_sound
    assert verdict.source == "cannot be read (No such file or directory): /nowhere/m12.mp4"


def test_frames_that_are_unknown_are_sound(tmp_path: Path) -> None:
    def unknown(hogs: ShardHogs) -> ShardHogs:
        histograms, descriptors = hogs.histograms.copy(), hogs.descriptors.copy()
        histograms[1], descriptors[1] = np.nan, np.nan
        return replace(hogs, histograms=histograms, descriptors=descriptors)

    assert verdict_of(make_changed_store(tmp_path, unknown)).problems == []


# -- bytes ------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.data())
def test_a_flipped_bit_is_found_in_every_file_and_the_file_is_named(sealed: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(files_of(sealed)))
    content = (sealed / name).read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytes([content[place] ^ (1 << data.draw(st.integers(0, 7)))])
    (sealed / name).write_bytes(content[:place] + flipped + content[place + 1 :])
    try:
        verdict = verdict_of(sealed)
    finally:
        (sealed / name).write_bytes(content)

    assert [problem for problem in verdict.problems if name in problem]


def test_metadata_that_say_the_same_in_other_bytes_are_found(store: Path) -> None:
    metadata = store / "zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"  ", b" \t", 1))

    assert verdict_of(store).problems == ["zarr.json is not as it was sealed"]


@pytest.mark.parametrize("name", ["zarr.json", "descriptors/zarr.json", "descriptors/c/1/0", "time_s/c/0"])
def test_every_part_of_a_file_is_under_proof(sealed: Path, name: str) -> None:
    content = (sealed / name).read_bytes()
    missed = []
    try:
        # An odd step reaches every place within a byte.
        for bit in range(0, 8 * len(content), 8 * len(content) // 150 | 1):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            (sealed / name).write_bytes(flipped)
            with suppress(StoreError):
                check_whole(sealed)
                missed.append(bit)
    finally:
        (sealed / name).write_bytes(content)
    assert missed == []
    check_whole(sealed)


@pytest.mark.parametrize("name", ["descriptors/c/7/0", "descriptors/notes.txt", "more.bin", "images/c/0/0/.nfs01"])
def test_a_file_that_does_not_belong_to_a_store_is_found(store: Path, name: str) -> None:
    (store / name).parent.mkdir(parents=True, exist_ok=True)
    (store / name).write_bytes(b"\0")

    (finding,) = verdict_of(store).findings
    assert finding.fact == f"{name} does not belong to it"
    assert finding.remedy.startswith("Remove it")


def flip(file: Path) -> None:
    """Flip a bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip, "masked/c/0/0 has other bytes than those that were written"),
        (Path.unlink, "masked/c/0/0 is missing"),
    ],
    ids=["flipped", "missing"],
)
def test_a_mask_that_is_damaged_is_named_and_no_frame_is_accused(
    store: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(store / "masked" / "c" / "0" / "0")

    assert verdict_of(store).problems == [said]


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def grow(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


@pytest.mark.parametrize("damage", [Path.unlink, truncate, grow])
def test_every_file_that_is_missing_or_of_another_size_is_named(
    sealed: Path, store: Path, damage: Callable[[Path], None]
) -> None:
    for name in files_of(sealed):
        if name != "zarr.json":
            damage(store / name)
            (problem,) = verdict_of(store).problems
            assert name in problem
            shutil.copy(sealed / name, store / name)
    assert verdict_of(store).is_sound


def test_all_that_is_wrong_is_told_at_once(store: Path) -> None:
    truncate(store / "time_s" / "c" / "0")
    truncate(store / "histograms" / "c" / "1" / "0" / "0" / "0")
    (store / "corrupt" / "c" / "2").unlink()

    problems = verdict_of(store).problems
    assert [problem.split(" has ")[0] for problem in problems[:2]] == [
        "time_s/c/0",
        "frames 10-20: histograms/c/1/0/0/0",
    ]
    assert problems[2] == "frames 20-23: corrupt/c/2 is missing"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", {"hog": {}, "crop": None, "with_images": False}),
        ("shards", []),
        ("files", {}),
        ("run_id", "another"),
        ("metadata_digest", "0" * 32),
    ],
)
def test_a_store_that_says_something_else_of_itself_is_found(store: Path, key: str, value: object) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    metadata["attributes"][key] = value
    (store / "zarr.json").write_text(json.dumps(metadata))

    assert verdict_of(store).problems == ["zarr.json is not as it was sealed"]


def test_a_store_that_is_gone_is_found(store: Path) -> None:
    shutil.rmtree(store)

    assert verdict_of(store).problems == ["there is no store"]
    store.write_bytes(b"a file in its place")
    assert verdict_of(store).problems == ["there is no store"]


# -- values -----------------------------------------------------------------------------------------------


def make_changed_store(root: Path, change: Callable[[ShardHogs], ShardHogs]) -> Path:
    """Make a store whose second shard was computed in another way."""
    work = make_work()
    paths = make_paths(root, work)
    create_store(paths, work, BEGUN)
    hogs = [make_hogs(work, span) for span in shards_of(work)]
    hogs[1] = change(hogs[1])
    receipts = [write_shard(paths, span, made) for span, made in zip(shards_of(work), hogs, strict=True)]
    return seal_store(paths, receipts, ENDED)


@pytest.mark.parametrize("name", ["descriptors", "histograms"])
def test_descriptors_that_do_not_follow_from_the_histograms_are_found(tmp_path: Path, name: str) -> None:
    def change(hogs: ShardHogs) -> ShardHogs:
        values = getattr(hogs, name).copy()
        values[-1].flat[-1] *= np.float32(1.5)
        return replace(hogs, **{name: values})

    assert verdict_of(make_changed_store(tmp_path, change)).problems == [
        "frames 10-20: the descriptors do not follow from the histograms"
    ]


def seal_with(root: Path, work: Work, change: Callable[[Path, ShardReceipt], ShardReceipt]) -> Path:
    """Make a store whose second shard was wrong before it was measured."""
    paths = make_paths(root, work)
    create_store(paths, work, BEGUN)
    receipts = [write_shard(paths, span, make_hogs(work, span)) for span in shards_of(work)]
    receipts[1] = change(paths.working, receipts[1])
    return seal_store(paths, receipts, ENDED)


def test_values_that_are_not_those_that_were_computed_are_found(tmp_path: Path) -> None:
    store = seal_with(tmp_path, make_work(), lambda _working, receipt: replace(receipt, digest="0" * 32))

    assert verdict_of(store).problems == ["frames 10-20: other values are read than were computed"]


def test_a_mask_that_was_bad_before_it_was_measured_is_found(tmp_path: Path) -> None:
    work = make_work(recipe=RECIPE)
    paths = make_paths(tmp_path, work)
    receipts = fill_store(paths, work)
    mask = paths.working / "masked" / "c" / "0" / "0"
    flip(mask)
    metadata = json.loads((paths.working / "zarr.json").read_text())
    metadata["attributes"]["files"]["masked/c/0/0"] = measure_file(mask)
    (paths.working / "zarr.json").write_text(json.dumps(metadata))

    (problem,) = verdict_of(seal_store(paths, receipts, ENDED)).problems
    assert problem.startswith("masked: cannot be decoded: ")


def test_bytes_that_were_bad_before_they_were_measured_are_found(tmp_path: Path) -> None:
    def spoil(working: Path, receipt: ShardReceipt) -> ShardReceipt:
        name = next(name for name in receipt.files if name.startswith("descriptors"))
        content = bytearray((working / name).read_bytes())
        content[40] ^= 1
        (working / name).write_bytes(content)
        return replace(receipt, files=receipt.files | {name: measure_file(working / name)})

    (problem,) = verdict_of(seal_with(tmp_path, make_work(), spoil)).problems
    assert problem.startswith("frames 10-20: cannot be decoded: ")


# -- the source and the catalogue -------------------------------------------------------------------------


def test_a_recording_whose_content_has_changed_is_found_though_size_and_time_are_the_same(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 12)
    path = run_recording(tmp_path / "store", recording, Recipe())
    status, content = recording.stat(), bytearray(recording.read_bytes())
    content[-1] ^= 1
    recording.write_bytes(content)
    os.utime(recording, ns=(status.st_atime_ns, status.st_mtime_ns))

    verdict = verdict_of(path)
    assert verdict.source == "changed"
    assert verdict.problems == [
        f"{recording} is not the recording any more that was described: its content has changed"
    ]


def test_a_recording_that_was_only_touched_is_unchanged(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "m12.mp4", 12)
    path = run_recording(tmp_path / "store", recording, Recipe())
    os.utime(recording, ns=(0, 0))

    assert verdict_of(path) == Verdict(store=path, findings=[], source="unchanged", n_described=8)


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "another"},
        {"digest": "0" * 32},
        {"size_bytes": 1},
        {"recipe": {"hog": {}}},
        {"software": {"av": "17"}},
        {"n_frames": 22},
        {"n_corrupt": 9},
        {"n_dropped": 9},
        {"warnings": ["it rained."]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_row_of_the_catalogue_that_differs_is_named_with_both_values(sealed: Path, change: dict[str, object]) -> None:
    told = read_record(sealed)
    ((name, value),) = change.items()

    assert verdict_of(sealed, replace(told, **change)).problems == [
        f"{name}: the store says {getattr(told, name)!r}, the catalogue {value!r}"
    ]


def test_values_that_are_not_those_that_the_catalogue_knows_are_named(sealed: Path) -> None:
    told = read_record(sealed)
    first, *others = told.shards
    assert others
    known = replace(told, shards=[first, *(shard | {"digest": "0" * 32} for shard in others)])
    (problem,) = verdict_of(sealed, known).problems
    named = ", ".join(f"{shard['start']}-{shard['stop']}" for shard in others)
    assert problem == f"the values of frames {named} are not those that the catalogue knows"
    # A catalogue of an early version knows none.
    assert verdict_of(sealed, replace(told, shards=[])).is_sound


def test_a_row_of_the_catalogue_may_have_moved_on(sealed: Path) -> None:
    told = read_record(sealed)
    moved = replace(told, path=Path("/data/renamed.mp4"), state="duplicate", reason="holds the same bytes")

    assert verdict_of(sealed, moved).is_sound


def test_a_verdict_is_plain_values(sealed: Path) -> None:
    told = json.loads(json.dumps(verdict_of(sealed).as_dict()))
    assert (told["store"], told["problems"], told["is_sound"]) == (str(sealed), [], True)


def test_stores_of_another_format_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "FORMAT", FORMAT + 1)
        path = make_store(tmp_path, make_work())

    assert verdict_of(path).problems == ["this is no sealed store of facehog"]


@pytest.mark.parametrize(("n_stamps", "n_problems"), [(12, 1), (11, 0)], ids=["used", "not used"])
def test_only_timestamps_that_are_in_the_store_must_stay_as_they_were(
    tmp_path: Path, n_stamps: int, n_problems: int
) -> None:
    info, _ = probe(write_recording(tmp_path / "m12.mp4", 12))
    recipe = Recipe(timestamps=TimestampsSource(file="{stem}.csv"))
    (tmp_path / "m12.csv").write_text("\n".join(map(str, range(n_stamps))))
    paths = make_paths(tmp_path / "store", make_work(recipe=recipe))
    plan = plan_run(paths, info, recipe, BEGUN, find_timestamps(Path(info.path), recipe.timestamps))
    store = seal_store(paths, [receipt for chunk in plan for receipt in extract_chunk(paths, chunk)], ENDED)
    assert verdict_of(store).is_sound

    (tmp_path / "m12.csv").write_text("\n".join(map(str, range(1, 13))))
    assert len(verdict_of(store).problems) == n_problems


# -- stores of format 1 -----------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as facehog sealed it in format 1, of 9 frames (tests/barcode.py) with damage in one, 5 frames a shard."""
    shutil.unpack_archive(Path(__file__).parents[1] / "store_v1.zip", tmp_path)
    return next((tmp_path / "store" / "m12").iterdir())


def test_a_store_of_format_1_is_read(old: Path) -> None:
    record = read_record(old)

    assert (record.run_id, record.path) == (old.stem, Path("/data/inbox/m12.mp4"))
    assert (record.n_frames, record.n_corrupt, record.grey) == (9, 1, ["luma table"])
    assert record.reason == "9 frames are described, 1 of them corrupt"
    assert open_session(old).corrupt.values.nonzero()[0].tolist() == [6]


def test_a_store_of_format_1_is_verified(old: Path) -> None:
    assert verdict_of(old, read_record(old)).problems == []

    (old / "descriptors" / "c" / "1" / "0").unlink()
    assert verdict_of(old).problems == ["frames 5-9: descriptors/c/1/0 is missing"]


@pytest.mark.parametrize("shards", [[{}], ["mouse"], 7, [{"n_corrupt": 1, "files": {"a": 1}}]])
def test_a_store_whose_shards_cannot_be_read_is_refused_in_words(old: Path, shards: object) -> None:
    metadata = json.loads((old / "zarr.json").read_text())
    metadata["attributes"]["shards"] = shards
    (old / "zarr.json").write_text(json.dumps(metadata))

    with pytest.raises(StoreError, match="its metadata cannot be read: "):
        read_record(old)


# -- what another facehog, or a hand, has written ---------------------------------------------------------

ODD = st.sampled_from(["odd", -1, None, [], {}, 3.5, [[1]]])


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a recording that is there."""
    folder = tmp_path_factory.mktemp("described")
    recipe = Recipe(hog=HogParams(pixels_per_cell=(16, 16)), masks=RECIPE.masks)
    return run_recording(folder / "store", write_recording(folder / "m12.mp4", 8), recipe)


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let a store say something else of itself, as if it had been sealed so."""
    metadata = json.loads((path / METADATA).read_text("utf-8"))
    change(metadata["attributes"])
    metadata["attributes"]["metadata_digest"] = digest_metadata(metadata)
    (path / METADATA).write_text(write_metadata(metadata), "utf-8")


def places_in(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where there is anything in values of JSON."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inside for place in ((*at, key), *places_in(part, (*at, key)))]


@settings(max_examples=40)
@given(st.data())
def test_whatever_a_store_says_of_itself_is_judged_or_refused_in_words(described: Path, data: st.DataObject) -> None:
    text = (described / METADATA).read_text("utf-8")
    place = data.draw(st.sampled_from(places_in(json.loads(text)["attributes"])))
    what = data.draw(st.just("remove") | st.just("add") | ODD.map(lambda odd: ("set", odd)))

    def change(attributes: dict[str, Any]) -> None:
        inside: Any = attributes
        for key in place[:-1]:
            inside = inside[key]
        if what == "remove":
            del inside[place[-1]]
        elif what == "add" and isinstance(inside, dict):
            inside["newer"] = 1
        elif what != "add":
            inside[place[-1]] = what[1]

    expected = read_record(described)
    try:
        rewrite(described, change)
        assert isinstance(verdict_of(described, expected), Verdict)
        for look in (check_whole, read_record, open_session):
            with suppress(StoreError):
                look(described)  # type: ignore[operator]
    finally:
        (described / METADATA).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told["recipe"].update(block_overlap=1), "it says block_overlap, which is not known"),
        (lambda told: told["recipe"]["hog"].update(signed=True), "unexpected keyword argument 'signed'"),
        (lambda told: told["recipe"].update(masks=[{"circle": [1, 2, 3]}]), "circle"),
        (lambda told: told["recipe"].pop("crop"), "'crop' is missing"),
    ],
)
def test_choices_of_a_newer_facehog_accuse_no_frames(store: Path, change: Callable[[Any], None], said: str) -> None:
    rewrite(store, change)
    (finding,) = verdict_of(store).findings
    assert finding.fact.startswith("what a run was made with cannot be read: ")
    assert said in finding.fact
    assert finding.remedy == "If a newer facehog wrote it, use that one."
