"""What the documentation says is there, and what is there is documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from baseline.cli.main import COMMANDS
from baseline.cli.reference import commands_reference

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])


def test_the_reference_of_commands_is_current() -> None:
    written = (ROOT / "docs" / "commands.md").read_text()
    assert written == commands_reference(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_commands_of_a_page_exist(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text):
        assert (page.parent / target).exists(), target
    for command in re.findall(r"`(?:sudo )?baseline ([a-z]+)", text):
        assert command in {*COMMANDS, "recording", "model"}, command  # the last two name formats
    for file in re.findall(
        r"(?:benchmarks|scripts|data|tests|bpf|baseline)/[\w/.-]+\.(?:py|c|h)\b", text
    ):
        assert (ROOT / file).exists(), file


def test_every_target_of_make_is_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.M)[0].split())
    assert targets == set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))


def test_the_commands_of_the_readme_print_what_it_shows(tmp_path: Path) -> None:
    """In what a checkout holds: one by one, as they stand there, but for where lines end."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    for path in ROOT.iterdir():
        if path.name not in ignored:
            (tmp_path / path.name).symlink_to(path)
    readme = (ROOT / "README.md").read_text()
    examples = re.findall(r"^```\n\$ baseline (.*--from data/.*)\n([^`]*)```$", readme, re.M)
    assert len(examples) == 2
    for arguments, shown in examples:
        done = subprocess.run(
            [sys.executable, "-m", "baseline", *arguments.split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        for part in shown.split("\n\n"):
            assert " ".join(part.split()) in " ".join(done.stdout.split())
