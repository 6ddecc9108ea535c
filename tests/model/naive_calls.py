"""The slow, obvious twins of the models of calls: sums over windows, in plain loops."""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

LEVELS = 48
HEADROOM = 8

Row = Sequence[int]
"""Of one window the level or the count of each call."""


NEAR_BORDER = 2 ** (1 / 6)


def level(count: float) -> int:
    """The bin of a count: of all powers of two the one that is nearest as a ratio."""
    if count == 0:
        return 0
    octave = next(o for o in itertools.count() if count**2 < 2 ** (2 * o + 1))
    return min(octave + 1, LEVELS - 1)


def column(rows: Iterable[Row], call: int) -> list[int]:
    return [row[call] for row in rows]


def entropy(values: Sequence[object], weight: float = 1) -> float:
    """Of what was seen, in bits, with the bias for values of such a weight (Miller, 1955)."""
    seen = Counter(values)
    shares = [times / len(values) for times in seen.values()]
    bias = (len(seen) - 1) / (2 * weight * len(values) * math.log(2))
    return bias - sum(share * math.log2(share) for share in shares)


def mutual_information(rows: Sequence[Row], one: int, other: int, weight: float = 1) -> float:
    """Of the levels of two calls, in bits."""
    a, b = column(rows, one), column(rows, other)
    together = list(zip(a, b, strict=True))
    return entropy(a, weight) + entropy(b, weight) - entropy(together, weight)


def best_forest(rows: Sequence[Row], weight: float = 1) -> float:
    """The most mutual information that any forest over the calls has, by trying every one."""
    calls = len(rows[0])
    edges = list(itertools.combinations(range(calls), 2))
    information = {edge: mutual_information(rows, *edge, weight) for edge in edges}
    forests = (
        chosen
        for number in range(calls)
        for chosen in itertools.combinations(edges, number)
        if is_forest(chosen)
    )
    return max(sum(information[edge] for edge in forest) for forest in forests)


def is_forest(edges: Iterable[tuple[int, int]]) -> bool:
    component: dict[int, int] = {}
    for one, other in edges:
        a, b = component.get(one, one), component.get(other, other)
        if a == b:
            return False
        members = {one, other} | {call for call, c in component.items() if c in (a, b)}
        component |= dict.fromkeys(members, a)
    return True


def near(seen: dict[int, float], bins: Sequence[int]) -> dict[int, float]:
    """Probability of each bin: what was seen, backing off to bins that are half with each step."""
    total = sum(seen.values())
    trust = total / (total + len(seen)) if seen else 0.0
    kernel = {b: {c: 0.5 ** abs(b - c) for c in bins} for b in bins}
    shares = {b: seen.get(b, 0) / total if seen else 1 / len(bins) for b in bins}
    spread = {
        c: sum(shares[b] * kernel[b][c] / sum(kernel[b].values()) for b in bins) for c in bins
    }
    return {b: trust * shares[b] + (1 - trust) * spread[b] for b in bins}


def absence(zeros: float, windows: float) -> float:
    """Jeffreys' estimate."""
    return (zeros + 0.5) / (windows + 1)


def alone(levels: Sequence[int], weight: float = 1) -> dict[int, float]:
    """Probability of each level of a call that depends on none."""
    seen = {value: weight * times for value, times in Counter(levels).items()}
    absent = absence(seen.get(0, 0), sum(seen.values()))
    present = near({v: times for v, times in seen.items() if v}, range(1, LEVELS))
    return {0: absent} | {v: (1 - absent) * p for v, p in present.items()}


def keeping_ratio(
    parents: Sequence[int], levels: Sequence[int], parent: int, weight: float = 1
) -> dict[int, float]:
    """Probability of each level, if only its distance to that of the parent matters."""
    pairs = [(p, v) for p, v in zip(parents, levels, strict=True) if p]
    absent = absence(weight * sum(v == 0 for _, v in pairs), weight * len(pairs))
    distances = Counter(v - p for p, v in pairs if v)
    seen = {distance: weight * times for distance, times in distances.items()}
    by_distance = near(seen, range(-LEVELS, LEVELS))
    present = {v: by_distance[v - parent] for v in range(1, LEVELS)}
    total = sum(present.values())
    return {0: absent} | {v: (1 - absent) * p / total for v, p in present.items()}


def beside(
    parents: Sequence[int], levels: Sequence[int], parent: int, *, depends: bool, weight: float = 1
) -> dict[int, float]:
    """Probability of each level of a call where another one, its parent, has this level."""
    own = alone(levels, weight)
    ratio = keeping_ratio(parents, levels, parent, weight)
    if parent > max(parents):
        return ratio
    if not depends:
        return own
    there = Counter(v for p, v in zip(parents, levels, strict=True) if p == parent)
    seen = weight * there.total()
    trust = seen / (seen + len(there)) if there else 0.0
    belief = own if parent == 0 else {v: (own[v] + ratio[v]) / 2 for v in own}
    return {
        v: trust * (there[v] / there.total() if there else 0) + (1 - trust) * belief[v] for v in own
    }


def volume_bits(
    training: Sequence[Row], parents: Sequence[int], row: Row, weight: float = 1
) -> list[float]:
    """Surprise of the level of each call in one window, given the tree.

    Args:
        training: windows, as levels.
        parents: of each call, -1 for none.
        row: the window that is judged, as levels.
        weight: what each window of training counts for.
    """
    top = min(max(map(max, training)) + HEADROOM, LEVELS - 1)
    columns = [column(training, call) for call in range(len(row))]
    load = max(range(len(row)), key=lambda call: (sum(columns[call]), -call))
    bits = []
    for call, own in enumerate(columns):
        if call == load:
            absent = absence(weight * own.count(0), weight * len(own))
            bits.append(-math.log2(1 - absent if row[call] else absent))
            continue
        depends = parents[call] >= 0
        other = parents[call] if depends else load
        probability = beside(
            columns[other], own, min(row[other], top), depends=depends, weight=weight
        )
        bits.append(-math.log2(probability[min(row[call], top)]))
    return bits


def volume_bits_of_counts(
    training: Sequence[Row], parents: Sequence[int], counts: Row
) -> list[float]:
    """The same of counts, each on the less surprising side of a border between bins nearby."""
    levels = [level(count) for count in counts]
    bits = []
    for call, count in enumerate(counts):
        sides = {levels[call], level(count / NEAR_BORDER), level(count * NEAR_BORDER)}
        rows = [[*levels[:call], side, *levels[call + 1 :]] for side in sides]
        bits.append(min(volume_bits(training, parents, row)[call] for row in rows))
    return bits


def mix_bits(training: Row, window: Row) -> list[float]:
    """What each call adds to the relative entropy of a window's shares, less its bias.

    Args:
        training: how often each call was made.
        window: how often it was made in the window that is judged.
    """
    if sum(window) == 0:
        return [0.0] * len(window)
    expected = [(n + 0.5) / (sum(training) + 0.5 * (len(training) + 1)) for n in training]
    shares = [n / sum(window) for n in window]
    bits = [s * math.log2(s / e) if s else 0.0 for s, e in zip(shares, expected, strict=True)]
    distinct = sum(n > 0 for n in window)
    bias = (distinct - 1) / (2 * sum(window) * math.log(2))
    return [b * max(1 - bias / sum(bits), 0) for b in bits]
