"""Imports run one way (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "baseline"

GROUND_FLOOR = {
    path.stem for path in PACKAGE.glob("*.py") if path.stem not in {"__init__", "__main__"}
}
ALLOWED = {
    "workloads": set(),
    "kernel": {"workloads"},
    "recordings": set(),
    "model": set(),
    "alerts": {"model"},
    "live": {"model", "alerts"},
    "report": {"model", "recordings"},
    "demo": {"workloads"},
    "cli": {"workloads", "kernel", "recordings", "model", "alerts", "live", "report", "demo"},
}


def imported_modules(file: Path) -> set[str]:
    """By their full names."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import"
            if node.module == "baseline":
                modules |= {f"baseline.{alias.name}" for alias in node.names}
            else:
                modules.add(str(node.module))
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return modules


def test_every_folder_is_a_known_room() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ALLOWED)


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_imports_only_what_its_room_may(file: Path) -> None:
    place = file.relative_to(PACKAGE).parts
    room = place[0] if len(place) > 1 else ""
    may = GROUND_FLOOR | ALLOWED.get(room, set()) | {room, "__version__"}
    if file.name == "__main__.py":
        may = {"cli"}
    modules = imported_modules(file)
    assert {name.split(".")[1] for name in modules if name.startswith("baseline.")} <= may


def test_only_the_loader_imports_bcc() -> None:
    importing = {
        file.name
        for file in PACKAGE.rglob("*.py")
        if any(name.split(".")[0] == "bcc" for name in imported_modules(file))
    }
    assert importing == {"bcc_loader.py"}
