import subprocess
import sys

HEAVY = {"pandas", "sklearn", "scipy", "matplotlib", "pyarrow.dataset"}


def test_watching_imports_nothing_heavy() -> None:
    program = "import sys, baseline.cli.watch; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert "baseline.model.workload_model" in imported
    assert not imported & HEAVY
