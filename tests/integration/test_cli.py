"""The command line, as a user meets it: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from barcode import write_recording
from commands import Run
from lab import Lab
from mounts import can_mount
from runs import BEGUN, make_hogs, make_paths, make_work, shards_of
from share import Share

from deployments import doctor
from deployments.choices import check_shared_timestamps
from deployments.cli import app
from deployments.template import TEMPLATE
from facehog_core import Catalogue, Recipe
from facehog_core.effort import Effort
from facehog_core.errors import ConfigError
from facehog_core.provenance import RunRecord
from facehog_core.schema import Fate
from facehog_core.source import Signature
from facehog_core.store import create_store, write_shard
from facehog_core.timestamps import TimestampsSource

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_init_writes_a_configuration_that_is_valid_and_refuses_to_overwrite_it(run: Run, tmp_path: Path) -> None:
    assert run("init").status == 0
    assert (tmp_path / "facehog.toml").read_text("utf-8") == TEMPLATE
    assert (tmp_path / "inbox").is_dir()

    again = run("init")
    assert again.status == 2
    assert "there is a configuration already" in again.err


COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback)


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_every_command_explains_itself(run: Run, words: list[str]) -> None:
    answer = run(*words)
    assert "Usage" in answer.out + answer.err
    assert answer.status == (2 if not words else 0)


def test_find_lists_what_was_processed_and_filters(run: Run, processed: Path, lab: Lab) -> None:
    record = lab.record(processed)
    assert processed.name in run("find").out
    (found,) = json.loads(run("find", "state=finished", f"run={record.run_id}", "--json").out)
    assert (found["path"], found["n_frames"]) == (str(processed), 12)
    nothing = run("find", "state=failed")
    assert (nothing.status, nothing.out) == (0, "")
    assert "nothing is found" in nothing.err


def test_a_wrong_filter_is_named_with_the_choices_and_its_place(run: Run, processed: Path) -> None:
    for words, said in [
        (["stat=finished"], "Did you mean state? Choose from state, name, path"),
        (["state=done"], "waiting, queued"),
        (["finished"], "finished is compared with nothing"),
        (["--columns", "name,stat"], "there is no field 'stat'"),
        (["--sort=-stat"], "there is no field 'stat'"),
        (["--json", "--csv"], "Choose one of the two"),
    ]:
        answer = run("find", *words)
        assert answer.status == 2
        assert said in answer.err
    assert run("find", "state=finished", "corrupt<").err.splitlines()[1:] == [
        "  state=finished corrupt<",
        f"{' ' * 25}^",
    ]


def test_what_is_found_is_put_in_order_and_columns_for_people_and_programs(run: Run, lab: Lab) -> None:
    with Catalogue(lab.catalogue, create=True) as catalogue:
        for name in ("20211105_CSE020_a.mp4", "20211106_CSE021_b.mp4", f"{'long' * 40}.mp4"):
            catalogue.set_fate(Path("/inbox") / name, Fate.WAITING, "is new", signature=Signature.of(lab.folder))

    columns = ["--columns", "name,subject,date", "--sort=-date"]
    assert run("find", "subject!=none", *columns, "--csv").out.splitlines() == [
        "name,subject,date",
        "20211106_CSE021_b.mp4,CSE021,2021-11-06",
        "20211105_CSE020_a.mp4,CSE020,2021-11-05",
    ]
    (found,) = json.loads(run("find", "date<2021-11-06", *columns, "--json").out)
    assert found == {"name": "20211105_CSE020_a.mp4", "subject": "CSE020", "date": "2021-11-05"}
    # A line for each, however long it is: others read them.
    assert len(run("find", "subject=none", *columns).out.splitlines()) == 2
    some = run("find", "--limit", "2")
    assert len(some.out.splitlines()) == 3
    assert "there are more" in some.err
    assert "there are more" not in run("find", "--limit", "3").err


def test_an_error_is_json_too_where_json_is_asked_for(run: Run, processed: Path) -> None:
    for words, status in [(["find", "stat=x"], 2), (["show", "nosuchrun"], 1), (["probe", "no such file"], 3)]:
        answer = run(*words, "--json")
        told = json.loads(answer.out)["error"]
        assert answer.status == told["status"] == status
        assert told["fact"] in answer.err


def test_the_catalogue_is_kept_lost_and_made_again(run: Run, lab: Lab, processed: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.db"
    columns = ["--columns", "name,run,state,frames,store", "--csv"]
    found = run("find", *columns).out
    for name in ("backup.db", "runs.csv", "all.db"):
        assert run("catalogue", "backup" if name == "backup.db" else "export", name).status == 0
    assert run("catalogue", "export", "runs.xls").status == 2
    assert run("catalogue", "rebuild").status == 1, "there is one"
    for words in (["rebuild"], ["restore", "backup.db"]):
        file.rename(tmp_path / f"lost-by-{words[0]}.db")
        assert run("catalogue", *words).status == 0
        assert run("find", *columns).out == found
        not_known = "when it was first seen is not known" in " ".join(run("why", str(processed)).err.split())
        assert not_known == (words == ["rebuild"]), "a backup knows it"
    (lab.folder / "store" / "broken" / "1.zarr").mkdir(parents=True)
    file.rename(tmp_path / "lost.db")
    broken = run("catalogue", "rebuild")
    assert (broken.status, "1.zarr: " in broken.err) == (1, True)
    assert "of 0 files" in run("catalogue", "identify").out


def test_two_runs_are_compared(run: Run, lab: Lab, processed: Path) -> None:
    lab.process(processed, replace(Recipe(), with_images=True))
    lab.process(processed, replace(Recipe(), downsample=2))
    with Catalogue(lab.catalogue) as catalogue:
        plain, pictured, small = (run for (run,) in catalogue.rows(sort="changed", columns=["run"]))

    assert run("diff", plain, pictured).out.startswith("by the same parameters: yes\n")
    told = json.loads(run("diff", plain, small, "--json").out)
    assert (told["answer"], told["reasons"]) == ("no", ["downsample differs, which shapes every number"])
    assert [step["name"] for step in told["differences"] if step["about"] == "parameters"] == ["downsample"]
    assert json.loads(run("find", "--comparable-with", plain, "--columns", "run", "--json").out) == [{"run": pictured}]
    assert "nothing is found" in run("find", "--comparable-with", small).err


def test_show_tells_everything_of_a_run_by_the_beginning_of_its_name(run: Run, processed: Path, lab: Lab) -> None:
    record = lab.record(processed)
    shown = run("show", (record.run_id or "")[:6]).out
    for part in (record.run_id, record.digest, str(record.store), "L2-Hys", "libavcodec", "variance of the Laplacian"):
        assert str(part) in shown
    told = json.loads(run("show", record.run_id or "", "--json").out)
    assert [step["state"] for step in told.pop("history")] == ["running", "finished"]
    assert told.pop("verifications") == []
    assert told == json.loads(json.dumps(record.as_dict()))


def test_show_of_an_unknown_run_fails_in_words(run: Run, processed: Path) -> None:
    answer = run("show", "nosuchrun")
    assert answer.status == 1
    assert "no run" in answer.err
    assert "facehog find" in answer.err


def test_why_tells_the_story_of_a_file_in_order(run: Run, processed: Path) -> None:
    steps = json.loads(run("why", processed.name, "--json").out)
    assert [step["state"] for step in steps] == ["running", "running", "finished"]
    assert "finished" in run("why", processed).out

    unknown = run("why", "never seen.mp4")
    assert unknown.status == 1
    assert "no inbox has seen this file" in unknown.err


WARNINGS = ["2 of 300 frames are corrupt: [10, 12).", "A clock ran backwards, [bold] and loud."]


@pytest.fixture
def warned(lab: Lab, tmp_path: Path) -> Path:
    """Return a recording whose finished run the catalogue has with warnings."""
    path = tmp_path / "warned.mp4"
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    told = {"path": path, "state": "finished", "reason": "300 frames are described", "changed_at": moment}
    with Catalogue(lab.catalogue, create=True) as catalogue:
        run = {
            "size_bytes": 1,
            "run_id": "1f0c",
            "digest": "1f0c",
            "started_at": moment,
            "finished_at": moment,
            "n_frames": 300,
        }
        catalogue.record(RunRecord(**told, **run, warnings=WARNINGS))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_recording_whose_name_is_no_valid_text_is_processed_and_found_as_others_are(
    run: Run, lab: Lab, tmp_path: Path, prefect_server: None
) -> None:
    path = write_recording(tmp_path / "m12.mp4", 12).rename(tmp_path / os.fsdecode(b"20211105_M\xfc12.mp4"))
    assert lab.process(path).is_completed()
    twin = tmp_path / os.fsdecode(b"twin\xff.mp4")
    twin.write_bytes(path.read_bytes())
    assert lab.process(twin).name == "Duplicate"

    ((name, store, subject),) = json.loads(
        run("find", "state=finished", "--columns", "path,store,subject", "--json").out, object_hook=lambda d: d.values()
    )
    assert name == f"{tmp_path}/20211105_M\N{REPLACEMENT CHARACTER}DCFC12.mp4"
    assert (Path(store).parent.name, subject) == ("20211105_M_12", "M\N{REPLACEMENT CHARACTER}DCFC12")
    for told in (path, name):
        assert "12 frames are described" in run("why", told).out
        assert run("why", told, "--json").status == 0
    assert f"holds the same bytes as {name}" in run("why", twin).out
    assert name in run("show", Path(store).stem).out
    assert run("verify", Path(store).stem).status == 0
    assert run("provenance", Path(store).stem).status == 0
    assert run("why", tmp_path / "none\udcff.mp4").status == 1


def test_warnings_are_told_by_show_find_and_why(run: Run, warned: Path) -> None:
    for words in (["show", "1f0c"], ["why", warned.name]):
        lines = run(*words).out.splitlines()
        assert [line.strip() for line in lines if "warning:" in line] == [f"warning: {text}" for text in WARNINGS]
    assert json.loads(run("show", "1f0c", "--json").out)["warnings"] == WARNINGS
    assert json.loads(run("why", warned.name, "--json").out)[-1]["warnings"] == WARNINGS
    assert re.search(r"finished .* 300 +2 ", run("find").out)
    assert warned.name in run("find", "warnings>0").out
    assert "nothing is found" in run("find", "warnings=0").err


def test_verify_passes_a_sound_store_and_names_what_is_broken(run: Run, processed: Path, lab: Lab) -> None:
    record = lab.record(processed)
    assert run("verify", "--all").status == 0
    assert run("find", "verdict=sound and brightness>0", "--columns", "run", "--csv").out == f"run\n{record.run_id}\n"

    assert record.store is not None
    shard = record.store / "descriptors" / "c" / "0" / "0"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    answer = run("verify", record.run_id or "", "--json")
    assert answer.status == 1
    assert "descriptors/c/0/0" in answer.err
    (verdict,) = json.loads(answer.out)
    assert "descriptors/c/0/0" in verdict["problems"][0]
    shown = json.loads(run("show", record.run_id, "--json").out)
    assert shown["verified"] == {"at": verdict["at"], "verdict": "wrong", "wrong_since": verdict["at"]}
    assert "; `facehog verify RUN` looks again" in run("show", str(record.run_id)).out
    assert [each["problems"] for each in shown["verifications"]] == [[], verdict["problems"]]

    assert run("verify").status == 2


def test_probe_says_what_a_recording_is_and_refuses_what_is_none(run: Run, real_clip: Path, tmp_path: Path) -> None:
    facts = json.loads(run("probe", real_clip, "--json").out)
    assert (facts["n_frames"], facts["width"], facts["keyframes"]) == (501, 720, [0, 250, 500])
    said = run("probe", real_clip).out
    assert "yuvj420p" in said
    assert "None" not in said
    assert "yes: all frames that its index names are there" in said

    (tmp_path / "text.mp4").write_text("this is a text", "utf-8")
    refused = run("probe", tmp_path / "text.mp4")
    assert refused.status == 3
    assert refused.err.count("\n") == 1, "one line"


def test_probe_tells_times_as_a_run_would_with_the_configuration_and_the_file_beside(run: Run, tmp_path: Path) -> None:
    raw = write_recording(tmp_path / "raw.h264", 4)
    counted = run("probe", raw)
    assert "time_s holds frame numbers" in counted.out
    assert "average_rate" not in counted.out, "FFmpeg's guess, since raw H264 says none"

    (tmp_path / "facehog.toml").write_text("[[inbox]]\npath = 'inbox'\nframe_rate = 50")
    assert json.loads(run("probe", raw, "--json").out)["timing"]["source"] == "frame rate 50"
    (tmp_path / "raw.facehog.toml").write_text("timestamps = { file = 'times.csv', unit = 'ms' }")
    (tmp_path / "times.csv").write_text("0\n10\n20\n60\n")
    told = json.loads(run("probe", raw, "--json").out)
    assert (told["timing"]["source"], told["n_dropped"]) == ("sidecar times.csv", 3)


def test_one_file_of_timestamps_is_not_joined_with_two_recordings(run: Run, tmp_path: Path) -> None:
    paths = [write_recording(tmp_path / f"{name}.mp4", 2) for name in "ab"]
    (tmp_path / "times.csv").write_text("0\n1\n")
    answer = run("process", *paths, "--timestamps", "times.csv")
    assert answer.status == 2
    assert "times.csv is named for a.mp4 and for b.mp4 too. Name it by {stem} or {name}" in answer.err
    assert not (tmp_path / "store").exists()


def test_each_recording_may_have_timestamps_of_its_own(tmp_path: Path) -> None:
    one, other = TimestampsSource(file="{stem}.csv"), TimestampsSource(file="times.csv")
    check_shared_timestamps({tmp_path / "a.mp4": one, tmp_path / "b.mp4": one})
    check_shared_timestamps({tmp_path / "1" / "a.mp4": other, tmp_path / "2" / "a.mp4": other})
    with pytest.raises(ConfigError):
        check_shared_timestamps({tmp_path / "a.mp4": other, tmp_path / "b.mp4": other})


def test_doctor_finds_what_is_wrong_and_says_what_to_do(run: Run, tmp_path: Path) -> None:
    run("init")
    (tmp_path / "facehog.toml").write_text(TEMPLATE.replace("port = 4200", "port = 0"), "utf-8")
    well = run("doctor")
    assert well.status == 0
    assert "decodes H264" in well.out

    (tmp_path / "inbox").rmdir()
    findings = json.loads((answer := run("doctor", "--json")).out)
    assert answer.status == 1
    (bad,) = [finding for finding in findings if finding["verdict"] == "bad"]
    assert "inbox" in bad["subject"]
    assert "mount the share" in bad["remedy"]


@pytest.mark.skipif(not can_mount(), reason="mounts a share: on Linux, as root, with FUSE")
def test_doctor_says_which_share_hangs_and_which_kind_the_others_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.5)
    folders = [tmp_path / name for name in ("server", "hung", "local")]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "facehog.toml").write_text("".join(f'[[inbox]]\npath = "{name}"\n' for name in ("hung", "local")))
    (tmp_path / "local" / "link.mp4").symlink_to("nowhere.mp4")
    share = Share(folders[0], folders[1])
    share.attach()
    try:
        with share.hanging():
            findings = json.loads((answer := run("doctor", "--json")).out)
    finally:
        share.detach()
    assert answer.status == 1
    told = {finding["fact"]: finding for finding in findings if "inbox" in finding["subject"]}
    assert told["does not answer within 0.5 s"]["verdict"] == "bad"
    assert [fact for fact in told if "watched by events and looks" in fact]
    assert [fact for fact in told if "is a symbolic link and is left out" in fact]


def test_doctor_names_what_is_to_be_done_to_no_recording(run: Run, tmp_path: Path) -> None:
    run("init")
    (tmp_path / "facehog.toml").write_text(TEMPLATE.replace("port = 4200", "port = 0"), "utf-8")
    day = tmp_path / "inbox" / "day 1"
    (day / "face_01").mkdir(parents=True)
    for name in ("m12.mp4", "face_01/img1.png", "m12.facehog.toml", "face_01.facehog.toml", ".m12.facehog.toml"):
        (day / name).write_bytes(b"")
    config = tmp_path / "facehog.toml"
    config.write_text(config.read_text("utf-8").replace('"*.mp4"', '"*.png", "*.mp4"'), "utf-8")

    def found() -> list[str]:
        findings = json.loads((answer := run("doctor", "--json")).out)
        assert answer.status == 0
        return [finding["fact"] for finding in findings if "no recording" in finding["fact"]]

    assert found() == []
    for name in ("m12.mkv.facehog.toml", "M13.FACEHOG.TOML"):
        (day / name).write_bytes(b"")
    assert found() == ["what is chosen there reaches no recording: day 1/M13.FACEHOG.TOML, day 1/m12.mkv.facehog.toml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hog]\norientation = 8\n", ["hog.orientation", "orientations"]),
        ('[hog]\nblock_norm = "L3"\n', ["hog.block_norm", "'L3'", "L2-Hys"]),
        ('[[inbox]]\npath = "inbox"\ncrop = [0, 0, 10]\n', ["inbox[0].crop"]),
        ("store = \n", ["TOML"]),
        ('catalogue = "mysql://host/db"\n', ["catalogue", "sqlite"]),
    ],
)
def test_a_wrong_configuration_is_one_error_with_key_and_choices(
    run: Run, tmp_path: Path, text: str, said: list[str]
) -> None:
    (tmp_path / "facehog.toml").write_text(text, "utf-8")
    answer = run("find")
    assert answer.status == 2
    assert answer.err.startswith("facehog: facehog.toml: ")
    for part in said:
        assert part in answer.err


def test_commands_before_the_first_run_say_that_there_is_no_catalogue_yet(run: Run) -> None:
    answer = run("find")
    assert answer.status == 1
    assert "no catalogue yet" in answer.err


def test_show_tells_how_far_a_running_run_is_how_fast_and_how_long_it_will_take(run: Run, tmp_path: Path) -> None:
    run("init")
    work = make_work()
    paths = make_paths(tmp_path / "store", work)
    create_store(paths, work, BEGUN)
    first = shards_of(work)[0]
    # Three quarters of the time for decoding.
    effort = Effort(worker="rig:1:1", began_at=NOON.timestamp(), first_frame_s=0.1, decoding_s=3.75, describing_s=1.25)
    write_shard(paths, first, replace(make_hogs(work, first), effort=effort))
    record = RunRecord(
        path=tmp_path / "inbox" / "m12.mp4",
        state=Fate.RUNNING,
        reason="23 frames are being described",
        changed_at=NOON,
        started_at=NOON,
        size_bytes=work.info.size_bytes,
        run_id=paths.run_id,
        digest=work.info.digest,
        recipe=work.recipe.as_dict(),
    )
    with Catalogue(f"sqlite:///{tmp_path / 'catalogue.db'}", create=True) as catalogue:
        catalogue.record(record)

    (line,) = [line for line in run("show", paths.run_id).out.splitlines() if "frames a second" in line]
    assert re.fullmatch(r"  10 of 23 frames; \d+ frames a second, \d+ % of the decoder's limit, \d+ s left", line)
    told = json.loads(run("show", paths.run_id, "--json").out)["progress"]
    assert (told["n_done"], told["n_frames"]) == (10, 23)
    # Writing takes a little as well.
    assert 0 < told["pace"]["decoder_share"] < 0.75
