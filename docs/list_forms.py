"""Write docs/forms.md from the tests' own list of recordings: ``python docs/list_forms.py``."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from forms import FORMS  # noqa: E402
from recordings import DERIVED, REAL, REFUSED  # noqa: E402

HEAD = """# Forms of recordings

What the tests write or have, and what facehog does with it. This page is written by `docs/list_forms.py`.

## Written by the tests

Each has 60 frames that show their own number, and is read whole and in chunks of 1, 7 and 16 frames: frame i shows i.

| form | file | what it is | what facehog does |
|---|---|---|---|
"""
REFUSED_HEAD = """
## Refused in words

| recording | error | the message has |
|---|---|---|
"""
SHARED_HEAD = """
## Made by cameras and other encoders

Every frame is compared with what FFmpeg's own binary decodes.

"""


def write_page() -> str:
    """Return the page."""
    forms = [f"| {form} | `{name}` | {what} | {outcome} |" for form, (name, _, what, outcome) in FORMS.items()]
    refused = [
        f"| `{name}` | `{kind.__name__}` | {says.replace('.*', ' ... ')} |" for name, (kind, says) in REFUSED.items()
    ]
    shared = [f"- `{name}`" for name in REAL + DERIVED]
    parts = ((HEAD, forms), (REFUSED_HEAD, refused), (SHARED_HEAD, shared))
    return "".join(head + "".join(f"{row}\n" for row in rows) for head, rows in parts)


if __name__ == "__main__":
    (DOCS / "forms.md").write_text(write_page(), "utf-8")
