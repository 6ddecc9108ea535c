"""What was seen in contexts of one length, of n-grams and their suffixes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from baseline.model.novelty import Floats, Integers, escape_bits
from baseline.model.thinning import fewer_appearances, fewer_windows
from baseline.syscalls import KIND_SHIFT, SYMBOL_BITS

Ngrams = npt.NDArray[np.uint64]

_KIND = np.uint64(~((1 << KIND_SHIFT) - 1) & 0xFFFFFFFFFFFFFFFF)
_SYMBOL = np.uint64(SYMBOL_BITS)


def suffixes(ngrams: Ngrams, length: int) -> Ngrams:
    """The last ``length`` symbols of each n-gram, with its kind."""
    low = np.uint64((1 << SYMBOL_BITS * length) - 1)
    return ngrams & (low | _KIND)


def contexts_of(suffix: Ngrams, length: int) -> Ngrams:
    """What comes before the last symbol of each suffix, with its kind.

    Without any call before it the context is that of everything, whatever the kind.
    """
    if length == 0:
        return np.zeros_like(suffix)
    return (suffix & ~_KIND) >> _SYMBOL | suffix & _KIND


@dataclass(frozen=True)
class Order:
    """What was seen with contexts of one length.

    Attributes:
        length: of the contexts.
        contexts: distinct contexts, ascending, shape (c,).
        context_windows: windows in which each was seen, shape (c,).
        suffixes: distinct suffixes of one symbol more, ascending, shape (s,).
        suffix_windows: windows in which each was seen, shape (s,).
    """

    length: int
    contexts: Ngrams
    context_windows: Integers
    suffixes: Ngrams
    suffix_windows: Integers

    @classmethod
    def merged(cls, parts: Sequence["Order"]) -> "Order":
        """What all of them saw, of the same length; they share no window."""
        contexts, context_windows = _sums(
            [part.contexts for part in parts], [part.context_windows for part in parts]
        )
        kept, suffix_windows = _sums(
            [part.suffixes for part in parts], [part.suffix_windows for part in parts]
        )
        return cls(parts[0].length, contexts, context_windows, kept, suffix_windows)

    def discounted(self, factor: float, most: int) -> "Order":
        """The same of fewer windows, of any context at most so many."""
        context_of_suffix = np.searchsorted(self.contexts, contexts_of(self.suffixes, self.length))
        return replace(
            self,
            context_windows=fewer_windows(self.context_windows, factor, most),
            suffix_windows=fewer_appearances(
                self.suffix_windows, self.context_windows[context_of_suffix], factor, most
            ),
        )

    def capped(self, most: int) -> "Order":
        """The same with nothing in more windows than this."""
        return replace(
            self,
            context_windows=np.minimum(self.context_windows, most),
            suffix_windows=np.minimum(self.suffix_windows, most),
        )

    def escapes(self) -> Floats:
        """Surprise of something new in each context, shape (c,)."""
        once = contexts_of(self.suffixes[self.suffix_windows == 1], self.length)
        singletons = np.bincount(np.searchsorted(self.contexts, once), minlength=len(self.contexts))
        return escape_bits(self.context_windows, singletons)

    def require_of(self, ngrams: Ngrams) -> None:
        """Check that this is what can have been seen of these n-grams.

        Raises:
            ValueError: it is not.
        """
        contexts = contexts_of(self.suffixes, self.length)
        distinct = np.unique(contexts) if self.length else np.zeros(1, np.uint64)
        if not np.array_equal(self.suffixes, np.unique(suffixes(ngrams, self.length + 1))):
            raise ValueError("the suffixes are not those of the n-grams")
        if not np.array_equal(self.contexts, distinct) or (self.context_windows < 1).any():
            raise ValueError("the contexts are not those of the n-grams, or one was never seen")
        most = self.context_windows[np.searchsorted(self.contexts, contexts)]
        if ((self.suffix_windows < 1) | (self.suffix_windows > most)).any():
            raise ValueError("a suffix was seen in more windows than its context")


def _sums(keys: Sequence[Ngrams], windows: Sequence[Integers]) -> tuple[Ngrams, Integers]:
    """Distinct keys, ascending, each with the sum of its windows."""
    distinct, where = np.unique(np.concatenate(keys), return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, where, np.concatenate(windows))
    return distinct, sums


def are_among(
    ascending: npt.NDArray[np.unsignedinteger], wanted: npt.NDArray[np.unsignedinteger]
) -> npt.NDArray[np.bool_]:
    """Whether each n-gram, or symbol, is among ascending ones of the same type."""
    if not len(ascending):
        return np.zeros(len(wanted), np.bool_)
    return np.asarray(ascending.take(ascending.searchsorted(wanted), mode="clip") == wanted)
