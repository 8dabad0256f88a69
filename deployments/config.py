"""The configuration: one commented TOML file, each value also settable from the environment.

It is read and checked once, when a command starts, and handed down as arguments.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from facehog_core.choices import CHOICES, choose, read_rate
from facehog_core.crop import Crop
from facehog_core.errors import ConfigError
from facehog_core.params import BLOCK_NORMS, MAX_ORIENTATIONS, HogParams
from facehog_core.recipe import Recipe
from facehog_core.reconcile import Inbox
from facehog_core.rounding import ALL_BITS
from facehog_core.timestamps import UNITS, TimestampsSource
from flows.cluster import Cluster

FILE_NAME = "facehog.toml"
ENV_PREFIX = "FACEHOG_"
PATTERNS = ("*.mp4", "*.mov", "*.mkv", "*.avi", "*.ts", "*.h264")
SQLITE = "sqlite:///"
# Variables of ours that are no configuration.
RESERVED = frozenset({"FACEHOG_CONFIG", "FACEHOG_SERVICE"})
TEST_PREFIX = "FACEHOG_TEST_"
_ENVIRONMENT = Path("the environment")
_EXAMPLE = '[{"path": "/data/inbox"}]'
_HOME = "home"

# What stands in each field's description completes the sentence "<key> must be ...".


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_yes_and_no(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is wanted: Python takes them for 1 and 0."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are no numbers")
        return value


def _check_crop(values: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    Crop.from_sequence(values)
    return values


def _check_rate(value: Any) -> str:
    Recipe(frame_rate=read_rate(value))
    return str(value)


FrameRate = Annotated[str, BeforeValidator(_check_rate)]
CropList = Annotated[tuple[int, int, int, int], AfterValidator(_check_crop)]


class TimestampsConfig(_Table):
    """Where each frame's own time is written beside a recording."""

    file: str = Field(description="a path from the recording's folder, such as '{stem}_timestamps.csv'")
    column: str | int | None = Field(None, description="a column's name, or its number from 1 on")
    unit: str = Field("s", description=f"one of {', '.join(map(repr, UNITS))}")

    @model_validator(mode="after")
    def _check(self) -> TimestampsConfig:
        TimestampsSource(**self.model_dump())
        return self


class RecordingConfig(_Table):
    """What is chosen for recordings. The core reads the values, since a recording's own file may set them too."""

    crop: CropList | None = Field(None, description=CHOICES["crop"])
    grey: Any = Field("rgb", description=CHOICES["grey"])
    downsample: Any = Field(1, description=CHOICES["downsample"])
    masks: Any = Field([], description=CHOICES["masks"])
    apply_rotation: StrictBool = Field(False, description=CHOICES["apply_rotation"])
    frames: Any = Field(None, description=CHOICES["frames"])
    seconds: Any = Field(None, description=CHOICES["seconds"])
    every: Any = Field(1, description=CHOICES["every"])
    max_corrupt: Any = Field(0.05, description=CHOICES["max_corrupt"])
    keep_bits: Any = Field(ALL_BITS, description=CHOICES["keep_bits"])
    stream: Any = Field(None, description=CHOICES["stream"])
    frame_rate: FrameRate | None = Field(None, description=CHOICES["frame_rate"])
    timestamps: TimestampsConfig | None = Field(None, description=CHOICES["timestamps"])

    # The others are checked by their types.
    @field_validator(*(name for name in CHOICES if name not in ("frame_rate", "timestamps")))
    @classmethod
    def _check_choice(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None:
            choose(Recipe(), {str(info.field_name): value})
        if info.field_name == "seconds" and value is not None and info.data.get("frames") is not None:
            raise ValueError("beside frames")
        return value

    def choices(self) -> dict[str, Any]:
        """Return what is chosen, by the keys of `CHOICES`."""
        return {name: value for name, value in self.model_dump(include=set(CHOICES)).items() if value is not None}


class InboxConfig(RecordingConfig):
    """A folder in which recordings land."""

    path: Path = Field(description="a folder")
    patterns: tuple[str, ...] = Field(PATTERNS, min_length=1, description='a list of names such as ["*.mp4", "*.mkv"]')
    settle_s: float = Field(10, ge=0, allow_inf_nan=False, description="a number of seconds from 0 on")
    crops: dict[str, CropList] = Field(
        {}, description='a table, written [inbox.crops], of names and crops such as "*m12*" = [53, 22, 916, 475]'
    )


class HogConfig(_Table):
    """Parameters of the descriptors."""

    orientations: int = Field(8, description=f"a whole number from 1 to {MAX_ORIENTATIONS}")
    pixels_per_cell: tuple[int, int] = Field((32, 32), description="[rows, columns], whole numbers from 1 on")
    cells_per_block: tuple[int, int] = Field((1, 1), description="[rows, columns], whole numbers from 1 on")
    block_norm: str = Field("L2-Hys", description=f"one of {', '.join(map(repr, BLOCK_NORMS))}")
    transform_sqrt: bool = Field(True, description="true or false")

    @field_validator("*")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        HogParams(**{str(info.field_name): value})
        return value


class DaskConfig(_Table):
    """Where chunks are computed."""

    n_workers: Literal["auto"] | PositiveInt = Field("auto", description="'auto', or a whole number from 1 on")
    scheduler: str | None = Field(None, description="an address such as 'tcp://host:8786', or a scheduler file")


class PrefectConfig(_Table):
    """The Prefect server that `facehog up` starts."""

    port: int = Field(4200, ge=0, le=65535, description="a whole number from 0 (a free port) to 65535")
    api_url: str | None = Field(None, description="an address such as 'http://127.0.0.1:4200/api'")
    runner: bool = Field(True, description="true or false")
    max_runs: PositiveInt = Field(4, description="a whole number from 1 on")


class SensorConfig(_Table):
    """How inboxes are watched."""

    interval_s: float = Field(10, gt=0, allow_inf_nan=False, description="a number of seconds above 0")


class Config(BaseSettings):
    """All that a user can set. Paths are absolute once `load_config` has returned."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    store: Path = Field(Path("store"), description="a folder")
    catalogue: str = Field(
        f"{SQLITE}catalogue.db",
        description=f"a SQLite file, such as {SQLITE}catalogue.db or {SQLITE}/data/catalogue.db",
    )
    images: bool = Field(False, description="true or false")
    inbox: tuple[InboxConfig, ...] = Field(
        (InboxConfig(path=Path("inbox")),), min_length=1, description="at least one table, written [[inbox]]"
    )
    hog: HogConfig = Field(HogConfig(), description="a table, written [hog]")
    dask: DaskConfig = Field(DaskConfig(), description="a table, written [dask]")
    prefect: PrefectConfig = Field(PrefectConfig(), description="a table, written [prefect]")
    sensor: SensorConfig = Field(SensorConfig(), description="a table, written [sensor]")
    # The folder of the configuration file, which relative paths start from.
    home: Path

    @field_validator("catalogue")
    @classmethod
    def _check_catalogue(cls, url: str) -> str:
        if not url.removeprefix(SQLITE) or not url.startswith(SQLITE):
            raise ValueError("no SQLite file")
        return url

    @model_validator(mode="after")
    def _resolve_paths(self) -> Config:
        scheduler = self.dask.scheduler
        if scheduler and "://" not in scheduler:
            scheduler = str(_resolve(Path(scheduler), self.home))
        resolved = {
            "store": _resolve(self.store, self.home),
            "inbox": tuple(box.model_copy(update={"path": _resolve(box.path, self.home)}) for box in self.inbox),
            "catalogue": f"{SQLITE}{_resolve(Path(self.catalogue.removeprefix(SQLITE)), self.home)}",
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
            Inbox(
                path=box.path,
                patterns=box.patterns,
                settle_s=box.settle_s,
                recipe=self._recipe(box),
                crops=[(pattern, Crop.from_sequence(crop)) for pattern, crop in box.crops.items()],
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

    def find_inbox(self, path: Path) -> InboxConfig | None:
        """Return the inbox that holds a path, or None."""
        return next((box for box in self.inbox if path.is_relative_to(box.path)), None)

    def _recipe(self, box: InboxConfig) -> Recipe:
        return choose(Recipe(hog=HogParams(**self.hog.model_dump()), with_images=self.images), box.choices())

    def cluster(self, address: str | None = None) -> Cluster:
        """Return the Dask cluster that is set, or the one at an address."""
        n_workers = None if self.dask.n_workers == "auto" else self.dask.n_workers
        return Cluster(address=self.dask.scheduler or address, n_workers=n_workers)


def _resolve(path: Path, home: Path) -> Path:
    """Return a path that starts from a folder, without ``~`` and ``..``: by its text it is compared with others."""
    # pathlib's resolve() would follow links, and its expanduser() fails where there is no such user.
    return Path(os.path.abspath(home / os.path.expanduser(path)))  # noqa: PTH100, PTH111


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
    values = _read_toml(path) if path else {}
    _check_environment()
    try:
        return Config(**values, home=path.absolute().parent if path else Path.cwd())
    except ValidationError as error:
        raise _translate(path or _ENVIRONMENT, values, error) from error
    except SettingsError as error:
        name = _find_broken_json()
        remedy = f"It must be JSON, such as '[32, 32]' or '{_EXAMPLE}'."
        raise ConfigError(_ENVIRONMENT, f"{name} = {os.environ[name]!r} is wrong", remedy) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(path, f"it cannot be read: {error.strerror}", "Check the path and its rights.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, f"this is not TOML: {error}", "Mend the line that is named.") from error
    if _HOME in values:
        raise _unknown_key(path, (_HOME,))
    return values


def _check_environment() -> None:
    """Find variables that are meant for facehog and that it does not know: pydantic passes over them."""
    for name in os.environ:
        # pydantic takes lower case for the same.
        if not name.upper().startswith(ENV_PREFIX) or name in RESERVED or name.startswith(TEST_PREFIX):
            continue
        table, *rest = keys = tuple(name[len(ENV_PREFIX) :].lower().split("__"))
        if table == "inbox" and rest:
            raise ConfigError(_ENVIRONMENT, f"unknown key {name}", f"Write FACEHOG_INBOX='{_EXAMPLE}'.")
        if keys[-1] not in _names_at(keys[:-1]):
            raise _unknown_key(_ENVIRONMENT, keys, shown=name)


def _names_at(parents: tuple[int | str, ...]) -> list[str]:
    """Return the keys that a table of the configuration knows."""
    match [key for key in parents if isinstance(key, str)]:
        case []:
            return [name for name in Config.model_fields if name != _HOME]
        case [name] if name in _TABLES:
            return list(_TABLES[name].model_fields)
        case ["inbox", "timestamps"]:
            return list(TimestampsConfig.model_fields)
        case _:
            return []


def _unknown_key(where: Path, keys: tuple[int | str, ...], shown: str | None = None) -> ConfigError:
    choices = _names_at(keys[:-1])
    near = get_close_matches(str(keys[-1]), choices, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return ConfigError(
        where,
        f"unknown key {shown or _dotted(keys)}",
        f"{hint}Choose from {', '.join(choices) or 'nothing'}.",
    )


def _translate(where: Path, values: dict[str, Any], error: ValidationError) -> ConfigError:
    """Say one thing that is wrong: key, value and choices."""
    mistakes = error.errors()
    # A key that is missing may be the one that is misspelt.
    first = next((mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"), mistakes[0])
    keys = first["loc"]
    if not keys:
        said = first["msg"].removeprefix("Value error, ")
        return ConfigError(where, said, "See the comments that `facehog init` writes.")
    variable = _find_variable(keys)
    if first["type"] == "extra_forbidden":
        return _unknown_key(_ENVIRONMENT if variable else where, keys)
    keys, field = _find_field(keys)
    remedy = f"It must be {field.description}."
    if variable:
        if variable.upper() != _name_variable(*keys):
            remedy = remedy.replace("It", _dotted(keys), 1)
        return ConfigError(_ENVIRONMENT, f"{variable} = {os.environ[variable]!r} is wrong", remedy)
    if first["type"] == "missing" and len(keys) == len(first["loc"]):
        return ConfigError(where, f"{_dotted(keys)} is missing", remedy)
    for key in keys:
        values = values[key]  # type: ignore[index]
    return ConfigError(where, f"{_dotted(keys)} = {values!r} is wrong", remedy)


def _find_variable(keys: tuple[int | str, ...]) -> str | None:
    """Return the variable of the environment that sets a value."""
    named = {name.upper(): name for name in os.environ}
    names = [_name_variable(*keys[:n]) for n in range(len(keys), 0, -1)]
    return next((named[name] for name in names if name in named), None)


def _name_variable(*keys: int | str) -> str:
    return ENV_PREFIX + "__".join(map(str, keys)).upper()


def _find_field(keys: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], FieldInfo]:
    """Return the keys that lead to a field, without those of what is within its value, and the field."""
    first = str(keys[0])
    for n, key in enumerate(keys[1:], start=2):
        if first in _TABLES and key in _TABLES[first].model_fields:
            return keys[:n], _TABLES[first].model_fields[str(key)]
    return keys[:1], Config.model_fields[first]


def _find_broken_json() -> str:
    """Return the variable whose JSON cannot be read: that of a table, or one that begins like a list or table."""
    tables = [_name_variable(name) for name in _TABLES]
    return next(
        name
        for name, text in os.environ.items()
        if name.upper().startswith(ENV_PREFIX)
        and (name.upper() in tables or text.lstrip().startswith(("[", "{")))
        and not _is_json(text)
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _dotted(keys: tuple[int | str, ...]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


_TABLES: dict[str, type[BaseModel]] = {
    "inbox": InboxConfig,
    "hog": HogConfig,
    "dask": DaskConfig,
    "prefect": PrefectConfig,
    "sensor": SensorConfig,
}

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
# Add "*.png", "*.jpg" or "*.tif", and each sub-folder of numbered images is a recording too.
settle_s = 10                                # seconds that a file or folder must stand still before it is taken up
# crop = [53, 22, 916, 475]                  # x, y, width, height in pixels; left out: the whole frame
grey = "rgb"                                 # the grey of RGB, as in 2020; "luma": Y as it is stored
downsample = 1                               # 2: the mean of 2 x 2 pixels of the crop is one pixel
masks = []                                   # what has no say, in pixels of the whole frame, such as
                                             # [{ box = [600, 400, 80, 60] }, { polygon = [[0, 0], [90, 0], [0, 70]] }]
apply_rotation = false                       # true: turn frames as the file asks for, before crop and masks
# frames = [0, 9000]                         # the first, and the one after the last; left out: all
# seconds = [60, 360]                        # instead of frames, by their times: from 60 s on, before 360 s
every = 1                                    # 10: every tenth frame of those
max_corrupt = 0.05                           # with more damaged or missing frames than this share it is quarantined
# keep_bits = 10                             # round values to so many bits, as float16 does; left out: float32 as it is
# stream = 0                                 # number of the video stream; left out: the best one
# frame_rate = 30                            # of raw .h264 and of images, which are not timed; also "30000/1001"
# The time of each frame, one a line, where the rig writes it beside the recording. {stem} is its name without ".mp4";
# column: a name, or a number from 1 on, and not needed where there is one alone; unit: s, ms, us or ns.
# timestamps = { file = "{stem}_timestamps.csv", column = "time", unit = "s" }
# A file m12_cam0.facehog.toml beside m12_cam0.mp4 sets these keys, from crop on, for that recording alone.
# [inbox.crops]                              # crops by name, instead of the inbox's; the first that matches counts
# "*m12*" = [60, 30, 916, 475]

[hog]                                        # Dolensek et al. 2020, doi 10.1126/science.aaz9468
orientations = 8
pixels_per_cell = [32, 32]                   # rows, columns
cells_per_block = [1, 1]                     # rows, columns
block_norm = "L2-Hys"                        # L1, L1-sqrt, L2 or L2-Hys
transform_sqrt = true

[dask]
n_workers = "auto"                           # worker processes, with one thread each; "auto": one for each core
# scheduler = "tcp://host:8786"              # a Dask cluster that runs already, or its scheduler file. Start its
                                             # workers with --nthreads 1: a decoder that crashes ends its whole process

[prefect]
port = 4200                                  # of the server that `facehog up` starts; 0: a free one
# api_url = "http://127.0.0.1:4200/api"      # a Prefect server that runs already
max_runs = 4                                 # recordings that are processed at once; they share the workers
runner = true                                # false: a worker of yours runs the deployments of prefect.yaml

[sensor]
interval_s = 10                              # seconds between two looks at the inboxes
"""
