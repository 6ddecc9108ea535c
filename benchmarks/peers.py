"""The detectors that baseline is compared with, each an ordinary implementation of its method.

All give one score for each thing that is judged; high means anomalous.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from labelled_rows import Case
from labelled_traces import Trace
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TraceDetector = Callable[[Sequence[Trace], Sequence[Trace]], Floats]
"""Traces to learn from and traces to judge -> scores of the latter."""

VectorDetector = Callable[[Floats, Floats], Floats]
"""Rows to learn from, shape (n, d), and rows to judge, shape (m, d) -> scores, shape (m,)."""

WITTEN_BELL_ORDER = 6
POSSIBLE_CALLS = 512
OUTLIERS_IN_TRAINING = 0.01
KEPT_VARIANCE = 0.95


@dataclass(frozen=True)
class _Calls:
    """All calls of a data set one after the other, ready to be counted.

    Attributes:
        symbols: calls numbered from 1; zeros before each trace, where there is no call yet.
        trace: to which trace each symbol belongs; those to learn from come first.
        position: of each call in its trace, from 0; negative where there is no call yet.
        train: number of traces to learn from.
        judged: number of traces to judge.
    """

    symbols: Integers
    trace: Integers
    position: Integers
    train: int
    judged: int

    @classmethod
    def of(cls, train: Sequence[Trace], judged: Sequence[Trace], longest: int) -> "_Calls":
        """Lay traces out for n-grams of up to ``longest`` calls, at least two."""
        before = longest - 1
        traces = [*train, *judged]
        lengths = np.array([len(trace.calls) for trace in traces]) + before
        start = np.cumsum(lengths) - lengths
        trace_of = np.repeat(np.arange(len(traces)), lengths)
        position = np.arange(lengths.sum()) - start[trace_of] - before
        symbols = np.zeros(len(position), np.int64)
        numbers = np.concatenate([trace.calls for trace in traces])
        symbols[position >= 0] = 1 + np.unique(numbers, return_inverse=True)[1]
        return cls(symbols, trace_of, position, len(train), len(judged))

    @property
    def learned(self) -> npt.NDArray[np.bool_]:
        """Whether each symbol is a call to learn from."""
        return (self.trace < self.train) & (self.position >= 0)

    def longer(self, ngrams: Integers) -> Integers:
        """Number the n-grams that end at each call, given those of one call less."""
        pairs = np.roll(ngrams, 1) * (self.symbols.max() + 1) + self.symbols
        return np.unique(pairs, return_inverse=True)[1]

    def means(self, values: Floats, which: npt.NDArray[np.bool_]) -> Floats:
        """Mean of each judged trace, over some of its calls; 0 where there are none."""
        which = which & (self.trace >= self.train)
        trace = self.trace[which] - self.train
        sums = np.bincount(trace, values[which], self.judged)
        return sums / np.maximum(np.bincount(trace, minlength=self.judged), 1)


def stide(train: Sequence[Trace], judged: Sequence[Trace], length: int) -> Floats:
    """Share of a trace's n-grams that were never seen (Forrest et al., 1996; Warrender, 1999)."""
    calls = _Calls.of(train, judged, length)
    ngrams = calls.symbols
    for _ in range(length - 1):
        ngrams = calls.longer(ngrams)
    whole = calls.position >= length - 1
    known = np.zeros(ngrams.max() + 1, np.bool_)
    known[ngrams[whole & calls.learned]] = True
    return calls.means(~known[ngrams] * 1.0, whole)


def witten_bell(train: Sequence[Trace], judged: Sequence[Trace]) -> Floats:
    """Mean surprise of a call after the six before it, in bits (Witten and Bell, 1991, method C).

    A context that was seen N times, before T different calls, leaves T / (N + T) to the one that is
    a call shorter; that of no call leaves it to all possible calls alike.
    """
    calls = _Calls.of(train, judged, WITTEN_BELL_ORDER + 1)
    learned = calls.learned
    probability = np.full(len(calls.symbols), 1 / POSSIBLE_CALLS)
    contexts, ngrams = np.zeros_like(calls.symbols), calls.symbols
    for order in range(WITTEN_BELL_ORDER + 1):
        if order:
            contexts, ngrams = np.roll(ngrams, 1), calls.longer(ngrams)
        _, first = np.unique(ngrams[learned], return_index=True)
        occurrences = np.bincount(ngrams[learned], minlength=ngrams.max() + 1)[ngrams]
        seen = np.bincount(contexts[learned], minlength=contexts.max() + 1)[contexts]
        followers = np.bincount(contexts[learned][first], minlength=contexts.max() + 1)[contexts]
        interpolated = (occurrences + followers * probability) / np.maximum(seen + followers, 1)
        probability = np.where(seen > 0, interpolated, probability)
    return calls.means(-np.log2(probability), calls.position >= 0)


def isolation_forest(train: Floats, judged: Floats) -> Floats:
    """How soon random cuts isolate a row (Liu et al., 2008)."""
    return -IsolationForest(random_state=0).fit(train).score_samples(judged)


def one_class_svm(train: Floats, judged: Floats) -> Floats:
    """How far a row is outside of a boundary around the known ones (Schölkopf et al., 2001)."""
    return -OneClassSVM(nu=OUTLIERS_IN_TRAINING).fit(train).score_samples(judged)


def nearest_neighbours(train: Floats, judged: Floats, neighbours: int) -> Floats:
    """Mean distance to the nearest known rows."""
    model = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(train)
    return model.kneighbors(judged)[0].mean(axis=1)


def pca(train: Floats, judged: Floats) -> Floats:
    """Squared distance to the subspace that holds most of the known variance."""
    model = PCA(KEPT_VARIANCE, svd_solver="covariance_eigh").fit(train)
    return ((judged - model.inverse_transform(model.transform(judged))) ** 2).sum(axis=1)


def standardised(train: Floats, judged: Floats, detector: VectorDetector) -> Floats:
    """Judge vectors whose entries have the same variance in what is learned from."""
    scaler = StandardScaler().fit(train)
    return detector(scaler.transform(train), scaler.transform(judged))


def unseen_calls(train: Floats, judged: Floats) -> Floats:
    """How many different calls of a row were never made."""
    return (judged[:, ~train.any(axis=0)] > 0).sum(axis=1).astype(np.float64)


def bag_of_calls(
    train: Sequence[Trace], judged: Sequence[Trace], detector: VectorDetector
) -> Floats:
    """Judge traces by how often each call is made, whatever the order.

    The vectors are square roots of relative frequencies: their distance is Hellinger's, and no
    entry needs to be scaled.
    """
    distinct = np.unique(np.concatenate([trace.calls for trace in [*train, *judged]]))
    counts = np.array(
        [
            np.bincount(np.searchsorted(distinct, trace.calls), minlength=len(distinct))
            for trace in [*train, *judged]
        ]
    )
    vectors = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
    return detector(vectors[: len(train)], vectors[len(train) :])


def cross_fitted_alarms(
    case: Case, detector: VectorDetector, promised_rate: float
) -> list[npt.NDArray[np.bool_]]:
    """Alarms of the rows of each attacked run, up to the success of its attack.

    Each normal run is judged by what the others teach.  A row is an alarm if its conformal p-value
    among those scores, (1 + scores at least as high) / (1 + scores), is at most ``promised_rate``;
    or, where there are too few scores for that, if it is above all of them.
    """
    normal = [np.log1p(run.counts) for run in case.normal]
    held_out = np.concatenate(
        [
            detector(
                np.concatenate([*normal[:left_out], *normal[left_out + 1 :]]), normal[left_out]
            )
            for left_out in range(len(normal))
        ]
    )
    higher = max(int(promised_rate * (1 + len(held_out)) + 1e-9) - 1, 0)
    threshold = np.sort(held_out)[-1 - higher]
    rows = [np.log1p(run.counts[: attack.success + 1]) for run, attack in case.attacked]
    alarms = detector(np.concatenate(normal), np.concatenate(rows)) > threshold
    return np.split(alarms, np.cumsum([len(part) for part in rows])[:-1])


TRACE_PEERS: dict[str, TraceDetector] = {
    **{f"stide-{length}": partial(stide, length=length) for length in range(3, 8)},
    "witten-bell": witten_bell,
    "isolation-forest": partial(bag_of_calls, detector=isolation_forest),
    "one-class-svm": partial(bag_of_calls, detector=one_class_svm),
    "nearest-neighbours": partial(bag_of_calls, detector=partial(nearest_neighbours, neighbours=5)),
    "pca": partial(bag_of_calls, detector=pca),
}

ROW_PEERS: dict[str, VectorDetector] = {
    "unseen-calls": unseen_calls,
    "nearest-neighbour": partial(nearest_neighbours, neighbours=1),
    "isolation-forest": isolation_forest,
    "one-class-svm": partial(standardised, detector=one_class_svm),
    "pca": partial(standardised, detector=pca),
}
