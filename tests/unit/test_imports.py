"""The one direction of imports: deployments -> flows -> tasks -> facehog_core, and an order inside the core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LAYERS = ("facehog_core", "tasks", "flows", "deployments")
FILES = sorted(file for layer in LAYERS for file in (REPOSITORY / layer).glob("**/*.py"))

# What the core must run without, so that a notebook can use all of it.
ORCHESTRATION = {"prefect", "prefect_dask", "distributed", "watchdog"}
DATABASE = {
    *("schema", "database", "migrate", "migrations", "rows", "files", "story", "conditions", "queries", "fates"),
    *("catalogue", "archive"),
}
# Each module of the core may import those of the rows above it, and none of the rows below.
CORE_ORDER = (
    {"path_text"},
    {"errors"},
    {"crop", "sequence", "image", "params", "names"},
    {"source", "run_paths"},
    {
        "chunking",
        "cores",
        "kernels",
        "gradient_sums",
        "provenance",
        "quality",
        "verifications",
        "rounding",
        "filesystems",
        "intake",
        "scan",
        "server_locks",
        "disk",
        "effort",
        "mp4",
        "matroska",
        "h264",
        "mask",
        "manifest",
        "patience",
        "seconds",
        "selection",
        "timestamps",
    },
    {"limits", "locks", "causes"},
    {"container"},
    {"starts", "hog", "frame_index", "stills", "schema", "synthetic_portrait", "database"},
    {"filter_values"},
    {"filters", "sheets", "table", "csv_rows"},
    {"completeness", "migrations", "rows", "files", "story", "conditions"},
    {"picture", "recipe", "video", "grey", "synthetic_behaviour", "migrate", "queries", "fates"},
    {"timing", "view", "choices", "comparison"},
    {"decode", "layout", "receipts", "synthetic", "encoding", "inbox", "face_position", "looking"},
    {"store", "sealed", "reader", "warning", "pace", "conclusion", "checked_array"},
    {"sealing", "headway", "room", "progress"},
    {"session", "extract", "blocks", "session_facts", "confirm"},
    {"catalogue"},
    {"reconcile", "rest", "store_root", "vitals"},
    {"lookout"},
    {"leftovers"},
    {"describe_again"},
    {"verify"},
    {"reproduce"},
    {"exporting", "export_times"},
    {"crate", "archive"},
    {"export_csv", "export_mat", "export_npz", "export_nwb", "export_parquet"},
    {"export"},
    {"__init__"},
)


def imported(file: Path, *, only_at_the_top: bool = False) -> Iterator[str]:
    """Yield the absolute names of the modules that a file imports."""
    package = file.relative_to(REPOSITORY).parts[:-1]
    tree = ast.parse(file.read_text("utf-8"))
    for node in tree.body if only_at_the_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def module_of(file: Path) -> str:
    """Return which module of its layer a file is, or in which package of it."""
    return file.relative_to(REPOSITORY).parts[1].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_no_module_imports_from_a_layer_above_its_own(file: Path) -> None:
    own = LAYERS.index(file.relative_to(REPOSITORY).parts[0])
    above = set(LAYERS[own + 1 :])
    assert not {name for name in imported(file) if name.split(".")[0] in above}


@pytest.mark.parametrize("file", [file for file in FILES if "facehog_core" in file.parts], ids=lambda file: file.stem)
def test_the_core_knows_no_orchestration_and_the_catalogue_alone_a_database(file: Path) -> None:
    roots = {name.split(".")[0] for name in imported(file)}
    assert not roots & ORCHESTRATION
    assert "sqlalchemy" not in roots or module_of(file) in DATABASE
    # Dask arrays are for those who ask for one.
    assert "dask" not in {name.split(".")[0] for name in imported(file, only_at_the_top=True)}


@pytest.mark.parametrize("file", [file for file in FILES if "facehog_core" in file.parts], ids=lambda file: file.stem)
def test_inside_the_core_values_come_before_steps(file: Path) -> None:
    rank = {name: number for number, names in enumerate(CORE_ORDER) for name in names}
    ours = {name.split(".")[1] for name in imported(file) if name.startswith("facehog_core.")}
    later = {name for name in ours & set(rank) if rank[name] > rank[module_of(file)]}
    assert not later


@pytest.mark.parametrize("first", ["deployments.cli", "deployments.up", "flows.names"])
def test_what_starts_prefect_sets_it_up_first_and_so_does_not_load_it(first: str) -> None:
    loaded, left = set(), [first]
    while left:
        loaded.add(name := left.pop())
        file = REPOSITORY / f"{name.replace('.', '/')}.py"
        if file.exists():
            left += set(imported(file, only_at_the_top=True)) - loaded
    assert "facehog_core.catalogue" in loaded or first == "flows.names"
    assert not {name for name in loaded if name.split(".")[0] in {"prefect", "prefect_dask"}}


def test_every_module_of_the_core_has_its_place_in_the_order() -> None:
    modules = {module_of(file) for file in FILES if "facehog_core" in file.parts}
    assert modules == set.union(*CORE_ORDER)
