"""What nobody would write: changed copies of what is valid, for every test of a parser.

``BASELINE_FUZZ=100 pytest -k any_`` looks at a hundred times as many examples.
"""

import copy
import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from baseline.errors import BaselineError

_FACTOR = int(os.environ.get("BASELINE_FUZZ", "1"))


def fuzzed(examples: int) -> settings:
    """Settings of a test that looks at so many examples, or at many more if asked to."""
    return settings(
        max_examples=examples * _FACTOR,
        deadline=None,
        # Fixtures are read here, never written.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def refusal_of(use: Callable[[], object], error: type[BaselineError] = BaselineError) -> str | None:
    """What is wrong, where it is refused; ``None`` where it is not."""
    refused: BaselineError | None = None
    try:
        use()
    except error as cause:
        refused = cause
    if refused is None:
        return None
    assert refused.way_out
    assert len(str(refused)) < 4096
    return refused.problem


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([-1, 2**31, 2**63, 2**64, 10**400, 1e308, float("nan"), float("inf")]),
        st.floats(),
        st.text(max_size=9),
        st.sampled_from(["", "\ud800", "\0", "../../etc/passwd", "x" * 5000]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def nested(depth: int) -> str:
    """JSON of so many lists in each other; some hundred are read and cannot be written again."""
    return "[" * depth + "]" * depth


DEPTHS = [*range(300, 900, 50), *range(900, 1000, 3), 10**5]

_edges = st.sampled_from(
    [b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\n", b"{", b'"', b"9"]
)


@st.composite
def changed_bytes(draw: st.DrawFn, valid: bytes) -> bytes:
    """A copy in which bits are flipped and pieces cut off, taken out, doubled or put in."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(start + draw(st.integers(1, 64)), len(content))
        match draw(st.integers(0, 5)):
            case 0 if start < len(content):
                content[start] ^= 1 << draw(st.integers(0, 7))
            case 1:
                del content[start:]
            case 2:
                del content[start:end]
            case 3:
                content[start:start] = content[start:end]
            case 4:
                content[start:end] = draw(_edges)
            case _:
                content[start:end] = draw(st.binary(max_size=16))
    return bytes(content)


@st.composite
def changed_json(draw: st.DrawFn, document: object) -> Any:
    """A copy in which values anywhere are replaced, taken out or put elsewhere."""
    root = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        place, key = _somewhere(draw, root)
        match draw(st.integers(0, 3)):
            case 0 if place is not root:
                del place[key]
            case 1:
                other, other_key = _somewhere(draw, root)
                place[key] = copy.deepcopy(other[other_key])
            case 2 if isinstance(place[key], list):
                place[key].extend(place[key][:1] or [place[key][:0]])
            case _:
                place[key] = draw(json_values)
    return root[0]


def _somewhere(draw: st.DrawFn, root: Any) -> tuple[Any, Any]:
    """A list or an object inside of this one, and one of its keys."""
    place, key = root, 0
    while isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
        place = place[key]
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(keys))
    return place, key


def changed_document(document: object) -> st.SearchStrategy[bytes]:
    """JSON that is not what was written, as JSON or as bytes, or nothing of the kind."""
    return st.one_of(
        changed_json(document).map(lambda value: json.dumps(value).encode()),
        changed_bytes(json.dumps(document).encode()),
        st.binary(max_size=99),
        st.sampled_from([b"[" * 10**5, b"9" * 10**5, b'{"":' * 10**5, b'"\\ud800"']),
    )
