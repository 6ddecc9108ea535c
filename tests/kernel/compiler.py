"""The C compiler as the judge of claims about types."""

import re
import subprocess
from pathlib import Path

from requirements import require_tools


def refuted(declarations: str, claims: list[str], folder: Path) -> list[str]:
    """The claims, as C expressions, that are false after these declarations."""
    require_tools("gcc")
    asserted = [f'_Static_assert({claim}, "{claim}");' for claim in claims]
    (folder / "claims.c").write_text("\n".join([declarations, *asserted]))
    command = ["gcc", "-w", "-std=gnu11", "-fsyntax-only", str(folder / "claims.c")]
    compiler = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    false = re.findall(r'error: static assertion failed: "(.*)"', compiler.stderr)
    assert bool(false) == bool(compiler.returncode), compiler.stderr
    return false
