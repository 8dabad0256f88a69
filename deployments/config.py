"""The configuration as the rest of the program knows it: checked, with absolute paths, handed down as arguments."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from facehog_core.choices import choose, identify
from facehog_core.crop import Crop
from facehog_core.inbox import Inbox
from facehog_core.names import Identity, NamePattern
from facehog_core.params import HogParams
from facehog_core.recipe import Recipe
from flows.cluster import Cluster

from .doors import is_loopback
from .tables import DaskConfig, HealthConfig, HogConfig, InboxConfig, NotifyConfig, PrefectConfig, SensorConfig

ENV_PREFIX = "FACEHOG_"
SQLITE, POSTGRESQL = "sqlite:///", "postgresql://"
# As SQLAlchemy writes it: the one driver that there is here need not be named.
WITH_DRIVER = "postgresql+psycopg://"


class Config(BaseSettings):
    """All that a user can set. Paths are absolute once `load_config` has returned."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    store: Path = Field(Path("store"), description="a folder")
    catalogue: str = Field(
        f"{SQLITE}catalogue.db",
        description=f"a SQLite file, such as {SQLITE}catalogue.db or {SQLITE}/data/catalogue.db, or a database of "
        "PostgreSQL, such as postgresql://user@host/name",
    )
    keep_partial_days: float = Field(30, ge=1, allow_inf_nan=False, description="a number of days from 1 on")
    images: bool = Field(False, description="true or false")
    inbox: tuple[InboxConfig, ...] = Field(
        (InboxConfig(path=Path("inbox")),), min_length=1, description="at least one table, written [[inbox]]"
    )
    hog: HogConfig = Field(HogConfig(), description="a table, written [hog]")
    dask: DaskConfig = Field(DaskConfig(), description="a table, written [dask]")
    prefect: PrefectConfig = Field(PrefectConfig(), description="a table, written [prefect]")
    sensor: SensorConfig = Field(SensorConfig(), description="a table, written [sensor]")
    health: HealthConfig = Field(HealthConfig(), description="a table, written [health]")
    notify: NotifyConfig = Field(NotifyConfig(), description="a table, written [notify]")
    # The folder of the configuration file, which relative paths start from.
    home: Path

    @field_validator("catalogue")
    @classmethod
    def _check_catalogue(cls, url: str) -> str:
        if not any(url.startswith(kind) and url != kind for kind in (SQLITE, POSTGRESQL, WITH_DRIVER)):
            raise ValueError("neither a SQLite file nor a database of PostgreSQL")
        return url

    @model_validator(mode="after")
    def _resolve_paths(self) -> Config:
        scheduler = self.dask.scheduler
        if scheduler and "://" not in scheduler:
            scheduler = str(_resolve(Path(scheduler), self.home))
        resolved = {
            "store": _resolve(self.store, self.home),
            "inbox": tuple(_place_inbox(box, self.home) for box in self.inbox),
            "catalogue": f"{SQLITE}{_resolve(file, self.home)}" if (file := self.catalogue_file) else self.catalogue,
            "dask": self.dask.model_copy(update={"scheduler": scheduler}),
        }
        for name, value in resolved.items():
            # The model is frozen for its users, not yet for its own validation.
            object.__setattr__(self, name, value)
        return self

    @model_validator(mode="after")
    def _check_apart(self) -> Config:
        """Refuse inboxes within each other: a file has one crop and one fate. Inboxes are only read."""
        paths = [box.path for box in self.inbox]
        for number, path in enumerate(paths):
            for other in paths[:number]:
                if path.is_relative_to(other) or other.is_relative_to(path):
                    raise ValueError(f"the inboxes {other} and {path} are one, or one is in the other")
            if self.store.is_relative_to(path):
                raise ValueError(f"the store {self.store} lies in the inbox {path}: put it elsewhere")
        return self

    @model_validator(mode="after")
    def _check_secrets(self) -> Config:
        """Refuse a password where it would be handed on: to each run, and so to Prefect's database and its UI."""
        address = urlsplit(self.catalogue)
        if address.password is not None or "password" in parse_qs(address.query):
            raise ValueError(
                "catalogue holds a password, which everybody would see in Prefect: take it out, and write it into "
                "~/.pgpass, or into PGPASSWORD in the environment"
            )
        return self

    @model_validator(mode="after")
    def _check_doors(self) -> Config:
        """Refuse to let others in who need not show that they may."""
        if not is_loopback(self.prefect.host) and self.prefect.auth_string is None:
            raise ValueError(
                f"with host = {self.prefect.host!r} under [prefect] everybody in the network could start runs here: "
                "set auth_string there, too, or leave host out"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment come before the file, whose values are given to the constructor."""
        return env_settings, init_settings

    @property
    def state_dir(self) -> Path:
        """Folder of what facehog needs for itself: Prefect's database, logs, the running service's addresses."""
        return self.home / ".facehog"

    @property
    def catalogue_file(self) -> Path | None:
        """The catalogue's file; None if it is on a server."""
        return Path(self.catalogue.removeprefix(SQLITE)) if self.catalogue.startswith(SQLITE) else None

    def inboxes(self) -> list[Inbox]:
        """Return the inboxes as the core knows them."""
        return [
            Inbox(
                path=box.path,
                patterns=box.patterns,
                settle_s=box.settle_s,
                recipe=self._recipe(box),
                crops=[(pattern, Crop.from_sequence(crop)) for pattern, crop in box.crops.items()],
                depth=box.depth,
                priority=box.priority,
                ready=box.ready,
                name_pattern=NamePattern(text=box.name_pattern),
            )
            for box in self.inbox
        ]

    def recipe_for(self, path: Path, **changes: Any) -> Recipe:
        """Return what is done to a recording.

        Parameters
        ----------
        path : Path
            Outside of every inbox the first one's values hold.
        **changes
            Fields of the recipe that win over the inbox and over the file beside the recording.

        Raises
        ------
        ConfigError
            If the file beside the recording is wrong.
        """
        inbox = next((inbox for inbox in self.inboxes() if path.is_relative_to(inbox.path)), self.inboxes()[0])
        return replace(inbox.recipe_for(path), **changes)

    def identify(self, path: Path, known: Identity | None = None) -> Identity:
        """Say who was recorded and when; outside of every inbox as in the first one."""
        box = self.find_inbox(path) or self.inbox[0]
        return identify(path, known, NamePattern(text=box.name_pattern))

    def find_inbox(self, path: Path) -> InboxConfig | None:
        """Return the inbox that holds a path, or None."""
        return next((box for box in self.inbox if path.is_relative_to(box.path)), None)

    def _recipe(self, box: InboxConfig) -> Recipe:
        reference = None if box.reference is None else str(box.reference)
        hog = HogParams(**self.hog.model_dump())
        return choose(Recipe(hog=hog, with_images=self.images, reference=reference), box.choices())

    def cluster(self, address: str | None = None) -> Cluster:
        """Return the Dask cluster that is set, or the one at an address."""
        n_workers = None if self.dask.n_workers == "auto" else self.dask.n_workers
        return Cluster(address=self.dask.scheduler or address, n_workers=n_workers)


def _place_inbox(box: InboxConfig, home: Path) -> InboxConfig:
    reference = box.reference and _resolve(box.reference, home)
    return box.model_copy(update={"path": _resolve(box.path, home), "reference": reference})


def _resolve(path: Path, home: Path) -> Path:
    """Return a path that starts from a folder, without ``~`` and ``..``: by its text it is compared with others."""
    # pathlib's resolve() would follow links, and its expanduser() fails where there is no such user.
    return Path(os.path.abspath(home / os.path.expanduser(path)))  # noqa: PTH100, PTH111
