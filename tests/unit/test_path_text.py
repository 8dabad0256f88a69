from __future__ import annotations

import json
import os
import shlex
import sqlite3
import unicodedata
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from facehog_core.errors import FacehogError
from facehog_core.path_text import as_text, as_typed, as_word, from_text, printable, showable

MARK = "\N{REPLACEMENT CHARACTER}"
# What Python gives of names on a disk, and names that look like the text of others.
NAMES = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from(f"{MARK}DCF8/"))
VALID_NAMES = st.text(st.characters(exclude_characters=f"{MARK}\0", codec="utf-8"))


@given(NAMES)
def test_every_name_becomes_text_that_others_take_and_comes_back(name: str) -> None:
    text = as_text(name)
    assert from_text(text) == name
    text.encode("utf-8")
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text


@given(NAMES, NAMES)
def test_different_names_are_different_texts(one: str, other: str) -> None:
    assert (as_text(one) == as_text(other)) == (one == other)


@given(VALID_NAMES)
def test_a_valid_name_stays_as_it_is(name: str) -> None:
    assert as_text(name) == showable(name) == name


@given(NAMES)
def test_what_is_printed_of_a_name_has_no_control_characters_and_is_a_name_of_the_file_too(name: str) -> None:
    shown = printable(as_text(name))
    assert not [letter for letter in shown + as_typed(name) if unicodedata.category(letter) == "Cc"]
    assert from_text(shown) == name


def test_an_error_and_a_folder_do_not_carry_what_commands_a_terminal() -> None:
    assert str(FacehogError("in/a\x1b[31mb.mp4", "is red", "Wait.")) == f"a{MARK}001B[31mb.mp4: is red. Wait."
    assert as_typed("a\x1b[31m\nb\x7f\x9b") == "a_[31m_b__"


@given(st.binary())
def test_every_name_of_linux_comes_back(name: bytes) -> None:
    assert os.fsencode(from_text(as_text(os.fsdecode(name)))) == name
    assert len(os.fsencode(as_typed(os.fsdecode(name)))) <= len(name)


def test_the_text_of_a_name_can_be_read_and_is_stored_by_a_database() -> None:
    assert as_text("m\udcff.mp4") == f"m{MARK}DCFF.mp4"
    assert as_text(f"m{MARK}.mp4") == f"m{MARK}FFFD.mp4"
    with closing(sqlite3.connect(":memory:")) as database:
        assert database.execute("SELECT ?", [as_text("m\udcff\ud800.mp4")]).fetchone() == (
            f"m{MARK}DCFF{MARK}D800.mp4",
        )


@given(NAMES)
def test_a_message_may_be_made_showable_twice(name: str) -> None:
    message = f"{name} and {as_text(name)} are refused"
    assert showable(showable(message)) == showable(message)
    showable(message).encode("utf-8")
    assert "\0" not in showable(message)


def test_what_was_never_made_by_it_stays_as_it_is() -> None:
    # Of catalogues and stores that are older.
    assert from_text(f"/data/caf{MARK}.mp4") == f"/data/caf{MARK}.mp4"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_shell_takes_a_name_for_one_word(name: str) -> None:
    assert os.name == "nt" or shlex.split(as_word(name)) == [as_text(name)]


def test_a_name_without_anything_odd_is_typed_as_it_is() -> None:
    assert as_word("m12_cam0.mp4") == "m12_cam0.mp4"
    assert as_word("a mouse.mp4") in ("'a mouse.mp4'", '"a mouse.mp4"')
