"""Write docs/faults.md from the results of `make chaos`: ``python docs/list_faults.py RESULTS``."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from pathlib import Path

DOCS = Path(__file__).resolve().parent

HEAD = """# Faults

What was broken on purpose, for real, in a running service while a recording was on its way; what is promised; and how
often it was kept. Survived means: every recording was finished exactly once, with the bytes of an undisturbed run,
nothing that was described before was described again, and no process and nothing half made was left. The moments are
drawn by a seed, which each run of the suite prints (`FACEHOG_TEST_SEED`). This page is written by `docs/list_faults.py`
from the results of `make chaos`.

| what is broken | what is promised | survived |
|---|---|---|
"""


def write_page(results: list[dict[str, str]]) -> str:
    """Return the page.

    Parameters
    ----------
    results : list of dict
        The fault, what is promised and the outcome ("passed", "failed" or "skipped") of each test.
    """
    tried = Counter((told["fault"], told["promise"]) for told in results if told["outcome"] != "skipped")
    survived = Counter((told["fault"], told["promise"]) for told in results if told["outcome"] == "passed")
    rows = [f"| {fault} | {promise} | {survived[fault, promise]} of {n} |\n" for (fault, promise), n in tried.items()]
    machine = f"\nMeasured on {platform.system()} {platform.release()}, Python {platform.python_version()}.\n"
    return HEAD + "".join(rows) + machine


if __name__ == "__main__":
    lines = Path(sys.argv[1]).read_text("utf-8").splitlines()
    (DOCS / "faults.md").write_text(write_page([json.loads(line) for line in lines]), "utf-8")
