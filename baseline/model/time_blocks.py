"""Windows in blocks of time, of which each is judged by what the others teach."""

from collections.abc import Sequence

import numpy as np

from baseline.window import Window

_MAX_BLOCKS = 10
_LEAST_BLOCKS = 5


def in_order(windows: Sequence[Window]) -> list[Window]:
    """Windows in the order of time in which models learn from them."""
    return sorted(windows, key=lambda w: (w.end, w.replica))


def blocks_of_time(ordered: Sequence[Window]) -> list[int]:
    """Number of each window's block: neighbours are alike, so they are left out together.

    Blocks are contiguous and about equally long.  Where the recording has pauses, such as between
    runs of a test, no block is torn out of the middle of a run, if that leaves enough blocks.
    """
    number = min(_MAX_BLOCKS, len(ordered))
    position = np.arange(len(ordered))
    starts = np.array([window.start for window in ordered])
    ends = np.maximum.accumulate([window.end for window in ordered])
    lengths = np.array([window.end - window.start for window in ordered])
    pauses = np.concatenate([[True], starts[1:] > ends[:-1] + lengths[:-1]])
    blocks = position * number // len(ordered)
    of_run = blocks[np.maximum.accumulate(np.where(pauses, position, 0))]
    if len(np.unique(of_run)) >= _LEAST_BLOCKS:
        blocks = of_run
    return list(map(int, blocks))
