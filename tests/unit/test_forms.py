from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from barcode import write_recording
from forms import CHUNKS, COUNTED, FORMS, WHOLE

from facehog_core.video import probe

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_page_of_forms_is_up_to_date(tmp_path: Path) -> None:
    script = REPOSITORY / "docs" / "list_forms.py"
    code = f"import runpy; print(runpy.run_path({str(script)!r})['write_page'](), end='')"
    page = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert page == (REPOSITORY / "docs" / "forms.md").read_text("utf-8"), "run docs/list_forms.py"


@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_as_the_page_says(tmp_path: Path, form: str) -> None:
    name, options, _, outcome = FORMS[form]
    _, index = probe(write_recording(tmp_path / name, 60, **options))
    has_keyframes = len(np.flatnonzero(index.is_keyframe)) > 1
    expected = CHUNKS if index.is_seekable and has_keyframes else WHOLE if index.is_seekable else COUNTED
    assert outcome == expected
