"""What docs/alert-format.md says there is."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "alert-format.md").read_text()


def section(title: str) -> str:
    """The text of a section, without those below it."""
    return re.split(rf"^#+ {title}$", PAGE, flags=re.MULTILINE)[1].split("\n#")[0]


def rows(title: str) -> dict[str, str]:
    """The table of a section: first cell -> second."""
    return dict(re.findall(r"^\| (?!-|key|of \|)(.*?) \| (.*) \|$", section(title), re.MULTILINE))


def names(text: str) -> set[str]:
    """What stands in backticks, but for what is in brackets."""
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", text)))


def documented(title: str) -> set[str]:
    """The keys in the table of a section."""
    return set().union(*map(names, rows(title)))
