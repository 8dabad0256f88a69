"""The configuration: one commented TOML file, each value also settable from the environment.

It is read and checked once, when a command starts, and handed down as arguments.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from facehog_core.crop import Crop
from facehog_core.errors import ConfigError
from facehog_core.hog import HogParams
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Inbox
from flows.cluster import Cluster

FILE_NAME = "facehog.toml"
ENV_PREFIX = "FACEHOG_"
PATTERNS = ("*.mp4", "*.mov", "*.mkv", "*.avi", "*.ts", "*.h264")
SQLITE = "sqlite:///"
# Variables of ours that are no configuration.
RESERVED = frozenset({"FACEHOG_CONFIG", "FACEHOG_SERVICE"})
TEST_PREFIX = "FACEHOG_TEST_"

Pixels = tuple[int, int]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_crop(values: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    Crop.from_sequence(values)
    return values


CropList = Annotated[tuple[int, int, int, int], AfterValidator(_check_crop)]


class InboxConfig(_Strict):
    """A folder in which recordings land."""

    path: Path
    patterns: tuple[str, ...] = PATTERNS
    settle_s: NonNegativeFloat = 10
    crop: CropList | None = None


class HogConfig(_Strict):
    """Parameters of the descriptors."""

    orientations: int = 8
    pixels_per_cell: Pixels = (32, 32)
    cells_per_block: Pixels = (1, 1)
    block_norm: Literal["L1", "L1-sqrt", "L2", "L2-Hys"] = "L2-Hys"
    transform_sqrt: bool = True

    @model_validator(mode="after")
    def _check(self) -> HogConfig:
        HogParams(**self.model_dump())
        return self


class DaskConfig(_Strict):
    """Where chunks are computed."""

    n_workers: Literal["auto"] | PositiveInt = "auto"
    scheduler: str | None = None


class PrefectConfig(_Strict):
    """The Prefect server that `facehog up` starts."""

    port: Annotated[int, Field(ge=0, le=65535)] = 4200
    api_url: str | None = None
    runner: bool = True
    max_runs: PositiveInt = 2


class SensorConfig(_Strict):
    """How inboxes are watched."""

    interval_s: Annotated[float, Field(gt=0)] = 10


class Config(BaseSettings):
    """All that a user can set. Paths are absolute once `load_config` has returned."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    store: Path = Path("store")
    catalogue: str = f"{SQLITE}catalogue.db"
    images: bool = False
    inbox: tuple[InboxConfig, ...] = (InboxConfig(path=Path("inbox")),)
    hog: HogConfig = HogConfig()
    dask: DaskConfig = DaskConfig()
    prefect: PrefectConfig = PrefectConfig()
    sensor: SensorConfig = SensorConfig()
    # The folder of the configuration file, which relative paths start from.
    home: Path

    @field_validator("inbox")
    @classmethod
    def _check_inboxes(cls, inboxes: tuple[InboxConfig, ...]) -> tuple[InboxConfig, ...]:
        if not inboxes:
            raise ValueError("at least one [[inbox]] is needed")
        return inboxes

    @model_validator(mode="after")
    def _resolve_paths(self) -> Config:
        scheduler = self.dask.scheduler
        if scheduler and "://" not in scheduler:
            scheduler = str(_resolve(Path(scheduler), self.home))
        resolved = {
            "store": _resolve(self.store, self.home),
            "inbox": tuple(box.model_copy(update={"path": _resolve(box.path, self.home)}) for box in self.inbox),
            "catalogue": _resolve_url(self.catalogue, self.home),
            "dask": self.dask.model_copy(update={"scheduler": scheduler}),
        }
        for name, value in resolved.items():
            # The model is frozen for its users, not yet for its own validation.
            object.__setattr__(self, name, value)
        return self

    @model_validator(mode="after")
    def _check_apart(self) -> Config:
        """Refuse inboxes within each other: a file has one crop and one fate."""
        paths = [box.path for box in self.inbox]
        for number, path in enumerate(paths):
            for other in paths[:number]:
                if path.is_relative_to(other) or other.is_relative_to(path):
                    raise ValueError(f"the inboxes {other} and {path} are one, or one is in the other")
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

    def inboxes(self) -> list[Inbox]:
        """Return the inboxes as the core knows them."""
        return [
            Inbox(path=box.path, patterns=box.patterns, settle_s=box.settle_s, recipe=self._recipe(box))
            for box in self.inbox
        ]

    def recipe_for(self, path: Path, *, crop: Crop | None = None, with_images: bool = False) -> Recipe:
        """Return what is done to a recording.

        Parameters
        ----------
        path : Path
            Outside of every inbox the first one's values hold.
        crop : Crop, optional
            Instead of the inbox's.
        with_images : bool, optional
            Write HOG pictures whatever the configuration says.
        """
        recipe = self._recipe(self.find_inbox(path) or self.inbox[0])
        return replace(recipe, crop=crop or recipe.crop, with_images=with_images or recipe.with_images)

    def find_inbox(self, path: Path) -> InboxConfig | None:
        """Return the inbox that holds a path, or None."""
        return next((box for box in self.inbox if path.is_relative_to(box.path)), None)

    def _recipe(self, box: InboxConfig) -> Recipe:
        return Recipe(
            hog=HogParams(**self.hog.model_dump()),
            crop=Crop.from_sequence(box.crop) if box.crop else None,
            with_images=self.images,
        )

    def cluster(self, address: str | None = None) -> Cluster:
        """Return the Dask cluster that is set, or the one at an address."""
        n_workers = None if self.dask.n_workers == "auto" else self.dask.n_workers
        return Cluster(address=self.dask.scheduler or address, n_workers=n_workers)


def _resolve_url(url: str, home: Path) -> str:
    if not url.startswith(SQLITE):
        raise ValueError(f"the catalogue must be a SQLite file, such as {SQLITE}catalogue.db")
    return SQLITE + str(_resolve(Path(url.removeprefix(SQLITE)), home))


def _resolve(path: Path, home: Path) -> Path:
    """Return a path that starts from a folder, without ``~`` and ``..``: by its text it is compared with others."""
    return Path(os.path.abspath(home / path.expanduser()))  # noqa: PTH100 - resolve() would follow links


def find_config(given: Path | None) -> Path | None:
    """Return the configuration file that a command reads.

    Parameters
    ----------
    given : Path or None
        What ``--config`` names. Otherwise ``facehog.toml`` in the working folder, if it is there.

    Raises
    ------
    ConfigError
        If the file that was named is not there.
    """
    if given is None:
        default = Path.cwd() / FILE_NAME
        return default if default.is_file() else None
    if not given.is_file():
        raise ConfigError(given, "there is no such configuration file", "`facehog init` writes one.")
    return given.absolute()


def load_config(path: Path | None) -> Config:
    """Read and check the configuration.

    Parameters
    ----------
    path : Path or None
        The file; the defaults in the working folder where there is none.

    Raises
    ------
    ConfigError
        If a key is unknown or a value wrong: key, value and choices are named.
    """
    where = path or Path("the environment")
    try:
        values = tomllib.loads(path.read_text("utf-8")) if path else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(where, f"this is not TOML: {error}", "Mend the line that is named.") from error
    if "home" in values:
        raise _unknown_key(where, ("home",))
    _check_environment()
    try:
        return Config(**values, home=path.parent if path else Path.cwd())
    except ValidationError as error:
        raise _translate(where, error) from error
    except SettingsError as error:
        raise ConfigError(
            "the environment", f"{error}", "Lists and tables are written as JSON, such as '[32, 32]'."
        ) from error


def _check_environment() -> None:
    """Find variables that are meant for facehog and that it does not know: pydantic passes over them."""
    for name in os.environ:
        if not name.startswith(ENV_PREFIX) or name in RESERVED or name.startswith(TEST_PREFIX):
            continue
        keys = tuple(name.removeprefix(ENV_PREFIX).lower().split("__"))
        if keys == ("home",) or not _is_known(keys):
            raise _unknown_key(Path("the environment"), keys, shown=name)


def _is_known(keys: tuple[str, ...]) -> bool:
    *parents, last = keys
    return last in _names_at(tuple(parents))


def _names_at(parents: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a table of the configuration knows."""
    model: Any = Config
    for key in parents:
        if isinstance(key, int):
            model = InboxConfig
        elif key != "inbox":
            field = getattr(model, "model_fields", {}).get(key)
            model = field.annotation if field else None
    return [name for name in getattr(model, "model_fields", {}) if name != "home"]


def _unknown_key(where: Path, keys: tuple[int | str, ...], shown: str | None = None) -> ConfigError:
    choices = _names_at(keys[:-1])
    near = get_close_matches(str(keys[-1]), choices, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return ConfigError(
        where,
        f"unknown key {shown or _dotted(keys)}",
        f"{hint}Choose from {', '.join(choices) or 'nothing'}.",
    )


def _translate(where: Path, error: ValidationError) -> ConfigError:
    """Say the first thing that is wrong: key, value and choices."""
    first = error.errors()[0]
    keys = first["loc"]
    if first["type"] == "extra_forbidden":
        return _unknown_key(where, keys)
    said = first["msg"].removeprefix("Value error, ")
    if not keys:
        return ConfigError(where, said, "See the comments that `facehog init` writes.")
    # A union names the member that did not fit in brackets; the key is enough.
    keys = tuple(key for key in keys if isinstance(key, int) or key.isidentifier())
    value = "" if first["type"] == "missing" else f" = {first['input']!r}"
    return ConfigError(where, f"{_dotted(keys)}{value} is wrong", f"{said[:1].upper()}{said[1:]}.")


def _dotted(keys: tuple[int | str, ...]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


TEMPLATE = """\
# facehog: which recordings are processed, how, and where the results go.
# Relative paths start from the folder of this file. Each value can also be set in the environment:
# FACEHOG_STORE=/data/store, FACEHOG_HOG__ORIENTATIONS=9, FACEHOG_INBOX='[{"path": "/data/inbox"}]'.

store = "store"                              # where <recording stem>/<run id>.zarr go
catalogue = "sqlite:///catalogue.db"         # on a disk of this machine, not on a share
images = false                               # write HOG pictures too (large; they can be rendered at any time)

[[inbox]]                                    # repeat this table for each folder in which recordings land
path = "inbox"
patterns = ["*.mp4", "*.mov", "*.mkv", "*.avi", "*.ts", "*.h264"]
settle_s = 10                                # seconds that a file must stand still before it is taken up
# crop = [53, 22, 916, 475]                  # x, y, width, height in pixels; left out: the whole frame

[hog]                                        # Dolensek et al. 2020, doi 10.1126/science.aaz9468
orientations = 8
pixels_per_cell = [32, 32]                   # rows, columns
cells_per_block = [1, 1]                     # rows, columns
block_norm = "L2-Hys"                        # L1, L1-sqrt, L2 or L2-Hys
transform_sqrt = true

[dask]
n_workers = "auto"                           # one for each core
# scheduler = "tcp://host:8786"              # a Dask cluster that runs already

[prefect]
port = 4200                                  # of the server that `facehog up` starts; 0: a free one
# api_url = "http://127.0.0.1:4200/api"      # a Prefect server that runs already
max_runs = 2                                 # recordings that are processed at once
runner = true                                # false: a worker of yours runs the deployments of prefect.yaml

[sensor]
interval_s = 10                              # seconds between two looks at the inboxes
"""
