"""The slow, obvious twins of calibration, combination and the sequential test."""

import math
from collections.abc import Mapping, Sequence

from baseline.model.held_out import HeldOut
from baseline.model.score import NOVELTIES, Signal

PRIOR_EXCESSES = INSIDE = 10
BIT = 1 / math.log(2)


def predictive(excesses: Sequence[float], prior: tuple[float, float], beyond: float) -> float:
    """Probability of an excess above ``beyond``, the scale of all of them integrated out.

    Args:
        excesses: exponential, of one unknown scale.
        prior: shape and scale of the inverse gamma distribution that the scale has a priori; zeros
            for none, which leaves 1 / scale.
        beyond: at least 0.
    """
    shape, rate = prior

    def log_posterior(scale: float) -> float:
        likelihood = sum(-excess / scale - math.log(scale) for excess in excesses)
        return likelihood - (shape + 1) * math.log(scale) - rate / scale

    middle = (rate + sum(excesses)) / (shape + len(excesses))
    # 16 points to each e-fold, from far below what fits the excesses to far above what fits beyond
    lowest, highest = math.log(middle / 1e4), math.log((middle + beyond) * 1e4)
    number = int(16 * (highest - lowest))
    scales = [math.exp(lowest + (highest - lowest) * i / number) for i in range(number)]
    peak = max(map(log_posterior, scales))
    # in steps of log(scale), whose measure is scale itself
    weights = [math.exp(log_posterior(scale) - peak) * scale for scale in scales]
    above = [w * math.exp(-beyond / s) for w, s in zip(weights, scales, strict=True)]
    return math.fsum(above) / math.fsum(weights)


def p_value(
    held_out: Sequence[float], prior_scale: float, score: float, *, in_steps: bool = True
) -> float:
    """Probability that a normal window scores at least so much."""
    if score <= 0:
        return 1.0
    number = len(held_out)
    descending = sorted(held_out, reverse=True)
    positive = [s for s in descending if s > 0]
    kept = positive[: max(math.floor(math.sqrt(number)), INSIDE)]
    inside = kept[:INSIDE]
    edge = inside[-1] if inside else 0.0
    if score <= edge:
        return (1 + sum(s >= score for s in held_out)) / (1 + number)
    start = descending[len(kept)] if len(kept) < number else 0.0
    excesses = [s - start for s in kept]
    is_below = sum(excesses) < len(excesses) * prior_scale
    if is_below and in_steps:
        excesses = [prior_scale] * len(excesses)
    speaks_for_itself = len(excesses) >= PRIOR_EXCESSES and not is_below
    prior = (0, 0.0) if speaks_for_itself else (PRIOR_EXCESSES, PRIOR_EXCESSES * prior_scale)
    tail = predictive(excesses, prior, score - edge)
    return (1 + len(inside)) / (1 + number) * tail


def bits(p: float) -> float:
    return -math.log2(p)


def share(held_out: HeldOut, wholly_new: float, signal: Signal, counted: int) -> float:
    """What part of a signal's surprise counts in a window that counted so much."""
    if signal not in NOVELTIES or wholly_new == 0:
        return 1.0
    surprise = sum(held_out.bits[signal].tolist())
    expected = surprise / max(sum(held_out.counts[signal].tolist()), 1)
    return wholly_new / (wholly_new + expected * counted)


def compared(loads: Sequence[int], octave: int) -> list[int]:
    """Positions of the windows of training that one whose load is of this octave is compared with.

    Those within a factor of two of its middle, or more where these are too few.
    """
    distances = [abs(math.log2(load + 1) - octave) for load in loads]
    least = min(max(50, len(loads) // 8), len(loads))
    farthest = max(1.0, sorted(distances)[least - 1])
    return [row for row, distance in enumerate(distances) if distance <= farthest]


def p_value_at(
    held_out: Sequence[float], loads: Sequence[int], score: float, load: int | None
) -> float:
    """Probability that a normal window scores at least so much, given its load.

    At the load at which that is most, if it is not known or is none of those of training.
    """
    span = min(loads), max(loads)
    if load is not None and span[0] <= load <= span[1]:
        span = load, load
    lowest, highest = (round(math.log2(its + 1)) for its in span)
    neighbours = {tuple(compared(loads, octave)) for octave in range(lowest, highest + 1)}
    return max(p_value([held_out[row] for row in rows], BIT, score) for rows in neighbours)


def window_p_value(
    held_out: HeldOut,
    wholly_new: Mapping[Signal, float],
    by_signal: Mapping[Signal, float],
    load: int | None,
) -> float:
    """Probability that a normal window has as much evidence as these surprises of each signal."""
    rows = range(len(held_out))

    def normal(signal: Signal) -> list[float]:
        counts = held_out.counts.get(signal)
        return [
            float(held_out.bits[signal][row])
            * share(held_out, wholly_new[signal], signal, 0 if counts is None else int(counts[row]))
            for row in rows
        ]

    prior = {s: max(wholly_new[s] / math.log(1 + len(held_out)), BIT) for s in Signal}

    def evidence(surprise: Mapping[Signal, float]) -> float:
        return sum(
            bits(p_value(normal(s), prior[s], surprise[s], in_steps=s in NOVELTIES)) for s in Signal
        )

    of_rows = {s: normal(s) for s in Signal}
    in_normal_time = [evidence({s: of_rows[s][row] for s in Signal}) for row in rows]
    loads = held_out.counts[Signal.NGRAMS].tolist()
    return p_value_at(in_normal_time, loads, evidence(by_signal), load)
