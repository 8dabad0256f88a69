"""The nightly look at inboxes: what it takes up it notes as the inbox says."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.logging import disable_run_logger
from rig import FakeLauncher

from deployments.config_file import load_config
from facehog_core.catalogue import Catalogue
from facehog_core.names import Identity
from facehog_core.schema import Fate
from flows import reconcile_inboxes
from flows.cluster import Cluster

CONFIG = r"""
[[inbox]]
path = "inbox"
settle_s = 0
name_pattern = '(?P<subject>[^-]+)-(?P<camera>\d)'
"""


def test_names_are_read_as_the_inbox_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "facehog.toml").write_text(CONFIG, "utf-8")
    recording = tmp_path / "inbox" / "m12-3.mp4"
    recording.parent.mkdir()
    recording.write_bytes(b"x")
    config = load_config(tmp_path / "facehog.toml")
    (inbox,) = config.inboxes()
    # As Prefect hands it to the flow.
    inbox = reconcile_inboxes._read_inbox(reconcile_inboxes.describe_inbox(inbox))
    monkeypatch.setattr(reconcile_inboxes, "PrefectLauncher", lambda **_: FakeLauncher())

    with disable_run_logger():
        assert reconcile_inboxes.reconcile_inbox.fn(inbox, config.store, config.catalogue, Cluster()) == 1
    with Catalogue(config.catalogue) as catalogue:
        file = catalogue.file(recording)
    assert file
    assert (file.state, file.identity) == (Fate.QUEUED, Identity(subject="m12", camera="3"))
