"""The structs of ``bpf/layout.h`` for numpy; a test compiles that file and compares them."""

import numpy as np

MAX_LINEAGE = 8
PATH_COMPONENTS = 12
COMPONENT_SIZE = 48
SCRIPT_SIZE = 96
COMM_SIZE = 16
CGROUP_PATH_SIZE = 512

GROUP_SHIFT = 48
COUNT_MASK = (1 << GROUP_SHIFT) - 1

IMAGE_UNLINKED = 1
IMAGE_PATH_CUT = 2
IMAGE_DETACHED = 4

ARGUMENTS_SIZE = 512
MAX_ARGUMENTS = 1 << 30

GROUP_FREE = 0
GROUP_TAKING = 1
GROUP_TRACKED = 2
GROUP_ENDED = 3
GROUP_WIPED = 4

IMAGE_FOLDED = 1
ANY_USER = 0xFFFFFFFF

DIRECTIONS = ("in", "out")

EVENT_NGRAM = 1
EVENT_EXECUTION = 2
EVENT_CONNECTION = 3

SLOT = np.dtype([("group_count", "<u8"), ("ngram", "<u8")])

COUNTER = np.dtype([("calls", "<u8"), ("keys", "<u8")])

OWNER = np.dtype([("cgroup", "<u8"), ("state", "<u4"), ("unused", "<u4"), ("epoch", "<u8")])

NGRAM_KEY = np.dtype([("ngram", "<u8"), ("group", "<u8")])

EXECUTION_KEY = np.dtype([("lineage", "<u8", MAX_LINEAGE), ("group", "<u4"), ("uid", "<u4")])

CONNECTION_KEY = np.dtype(
    [
        ("group", "<u4"),
        ("port", "<u2"),
        ("family", "u1"),
        ("protocol", "u1"),
        ("direction", "u1"),
        ("folded", "u1"),
        ("unused", "V2"),
        ("address", "V16"),
    ]
)

IMAGE = np.dtype(
    [
        ("path", f"S{COMPONENT_SIZE}", PATH_COMPONENTS),
        ("script", f"S{SCRIPT_SIZE}"),
        ("flags", "<u4"),
        ("unused", "<u4"),
    ]
)

PROCESS = np.dtype([("lineage", "<u8", MAX_LINEAGE), ("group", "<u8")])

LEDGER = np.dtype(
    [
        (name, "<u8")
        for name in (
            "ngrams_overflowed",
            "ngrams_lost",
            "executions",
            "executions_lost",
            "connections",
            "connections_overflowed",
            "connections_lost",
            "events",
            "events_held_back",
            "events_lost",
            "lineages_lost",
            "images_lost",
            "overflow_keys",
            "execution_keys",
            "connection_keys",
            "folded_connection_keys",
            "processes",
        )
    ]
)

CONTROL = np.dtype(
    [
        (name, "<u8")
        for name in (
            "generation",
            "moves",
            "image_seed",
            "unattributed",
            "groups_exhausted",
            "epoch",
            "serial",
        )
    ]
)

# An event is this header and then its item, which is one of the keys above or an n-gram.
EVENT = np.dtype(
    [
        ("time", "<u8"),
        ("type", "<u4"),
        ("group", "<u4"),
        ("pid", "<u4"),
        ("tid", "<u4"),
        ("comm", f"S{COMM_SIZE}"),
        ("lineage", "<u8", MAX_LINEAGE),
        ("arguments_length", "<u4"),
        ("unused", "<u4"),
        ("arguments", f"V{ARGUMENTS_SIZE}"),
    ]
)
EVENT_SIZE = EVENT.itemsize + EXECUTION_KEY.itemsize
