"""Items, contexts and parts of them as text: JSON, with tuples as lists."""

import json
from collections.abc import Hashable
from typing import Any

_MAX_TEXT = 1 << 19
"""Characters of an item: eight paths and scripts of PATH_MAX, every byte escaped, fit."""


def encode(key: Hashable) -> str:
    """The text of nested tuples."""
    return json.dumps(key, separators=(",", ":"))


def decode(text: str) -> Any:
    """Nested tuples of a text.

    Raises:
        ValueError: it is too long, no JSON, or holds what is not Unicode.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError("a text is too long")
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()  # raises ValueError for what is not Unicode
    return _as_tuples(value)


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
