from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown import (
    CLIENT,
    CURL_STARTED,
    INTRUDER,
    SECOND,
    SHELL_STARTED,
    learned,
    window,
)
from strategies import MIDNIGHT

from baseline.live import newcomers as module
from baseline.live.newcomers import MINUTE, Newcomers
from baseline.model.calls import call_of
from baseline.model.score import Signal, signal_of

ITEMS = (1, 2, 3, 4, SHELL_STARTED, CURL_STARTED, CLIENT, INTRUDER)


def at(second: float) -> int:
    return MIDNIGHT + round(second * SECOND)


@given(st.lists(st.tuples(st.integers(0, 50), st.sets(st.sampled_from(range(len(ITEMS)))))))
def test_counts_what_was_first_seen_in_the_last_minute(steps: list[tuple[int, set[int]]]) -> None:
    """As the definition has it, over all that was ever seen."""
    newcomers = Newcomers(None)
    first: dict[int, int] = {}
    now = 0
    for pause, numbers in steps:
        now += pause
        chosen = [ITEMS[number] for number in sorted(numbers)]
        newcomers.add(
            window(
                now,
                {i: 1 for i in chosen if isinstance(i, int)},
                [i for i in chosen if i in {SHELL_STARTED, CURL_STARTED}],  # type: ignore[misc]
                [i for i in chosen if i in {CLIENT, INTRUDER}],  # type: ignore[misc]
            )
        )
        for number in numbers:
            first.setdefault(number, now)
        new = [ITEMS[n] for n, when in first.items() if (now - when) * SECOND < MINUTE]
        calls = [call_of(item) for item in new if isinstance(item, int)]
        assert newcomers.counts(at(now)) == Counter(map(signal_of, [*new, *calls]))


def test_what_learning_never_saw_stays_new_while_it_goes_on() -> None:
    newcomers = Newcomers(learned())
    for second in range(0, 90, 10):
        newcomers.add(window(second, {1: 1, 2: 1, 9: 1}, [SHELL_STARTED], [CLIENT, INTRUDER]))
    expected = {
        Signal.NGRAMS: 1,
        Signal.CALLS: 1,
        Signal.EXECUTIONS: 1,
        Signal.CONNECTIONS_OUT: 1,
    }
    assert newcomers.counts(at(80)) == expected
    assert newcomers.counts(at(139.9)) == expected
    assert newcomers.counts(at(140)) == {}


def test_programs_and_peers_by_name_the_latest_first() -> None:
    newcomers = Newcomers(None)
    newcomers.add(window(1, {1: 1}, [SHELL_STARTED]))
    newcomers.add(window(2, {7: 1}, [CURL_STARTED], [INTRUDER]))
    assert newcomers.named(at(2)) == (INTRUDER, CURL_STARTED, SHELL_STARTED)
    assert newcomers.named(at(61)) == (INTRUDER, CURL_STARTED)


def test_memory_is_bounded_and_keeps_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 10)
    monkeypatch.setattr(module, "MOST_NEW", 5)
    newcomers = Newcomers(None)
    newcomers.add(window(0, {1: 1}))
    for second in range(100, 200):
        newcomers.add(window(second, {1: 1, second: 1}))  # ever new beside ever the same
    assert newcomers.counts(at(199)) == {Signal.NGRAMS: 2, Signal.CALLS: 3}
    newcomers.add(window(300, {1: 1, 199: 1, 100: 1}))
    assert newcomers.counts(at(300)) == {Signal.NGRAMS: 1, Signal.CALLS: 1}  # 100 was forgotten
