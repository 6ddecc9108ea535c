"""Messages name commands so that they can be typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
SCRIPT = "from baseline.invocation import this_command; print(this_command())"


@pytest.mark.parametrize("typed", ["absolute", "relative"])
def test_a_command_that_is_in_no_usual_place_is_named_by_its_path(
    typed: str, tmp_path: Path
) -> None:
    program = tmp_path / "baseline"
    program.write_text(f"#!{sys.executable}\n{SCRIPT}\n")
    program.chmod(0o755)
    done = subprocess.run(
        [program if typed == "absolute" else "./baseline"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{program}\n"


def test_another_program_that_uses_the_library_names_it_as_it_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "baseline\n"
