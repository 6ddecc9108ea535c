"""What the kernel program consists of: its sources, sizes, maps and hooks, and where it is pinned.

The loader's own process uses this module with the system's Python, so it needs nothing installed.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from baseline.kernel.kernel_functions import RDONLY_CAST_MARK
from baseline.resources import resource_directory

SOURCES = (
    "prelude.h",
    "current.h",
    "layout.h",
    "tracking.h",
    "events.h",
    "ngrams.c",
    "executions.c",
    "connections.c",
)
"""Files of ``bpf/``, in the order in which they are joined."""

MAPS = (
    "cgroup_paths",
    "connection_overflow",
    "connections",
    "control",
    "counters",
    "events",
    "executions",
    "free_groups",
    "images",
    "ledgers",
    "ngram_overflow",
    "nurseries",
    "owners",
    "processes",
    "slots",
    "tracked",
)

OWN_MAPS = ("displaced", "pristine", "run_queues", "threads")
"""Maps that the program alone writes: frozen, so that nobody can hide a thread by bpf(2)."""

RAW_TRACEPOINTS = (
    "cgroup_attach_task",
    "cgroup_mkdir",
    "cgroup_rmdir",
    "inet_sock_set_state",
    "io_uring_submit_req",
    "sched_process_exec",
    "sched_process_exit",
    "sched_process_fork",
    "sys_enter",
)

FORMER_NAMES = {"io_uring_submit_req": "io_uring_submit_sqe"}
"""Raw tracepoint -> its name before Linux 6.4, where it has the same first argument."""

FUNCTION_PREFIX = "at_"
"""Before the name of a raw tracepoint: the function for it (``AT_TRACEPOINT`` in ``prelude.h``)."""

SYSTEM_CALLS = "sys_enter"
"""The raw tracepoint that every system call passes."""

COUNT_CALL = ("count_call_at_run_queue", "count_call_anywhere")
"""What counts there, the fastest first; the one that is attached is the first that loads."""

CGROUP_HOOKS = {"connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15}
"""Function -> its ``enum bpf_attach_type`` (include/uapi/linux/bpf.h)."""

THREAD_BYTES = 32
"""Of the state of a thread, as in ``bpf/tracking.h``."""

MAX_GROUPS = 4096
"""Group numbers, as in ``bpf/layout.h``; 0 is none."""

BPFFS = Path("/sys/fs/bpf")
PIN_ROOT = BPFFS / "baseline"
"""Below it one folder for each version of the program, named by its fingerprint."""

COUNTING_PIN = PIN_ROOT / "counting"
"""The map that all versions share: which of them counts, by CPU."""

LINK_PREFIX = "link_"
UNFINISHED_PREFIX = "loading-"
"""Of the folder that a loader is filling; one without a running loader is what a crash left."""


@dataclass(frozen=True)
class Settings:
    """Sizes of the kernel's tables; each becomes a ``#define`` of the same name in capitals.

    Attributes:
        slot_bits: log2 of the n-gram slots of each CPU, of 16 bytes each.
        slot_probes: slots tried before an n-gram goes to the overflow table.
        ngram_overflow: entries of the n-grams' overflow table.
        max_executions: distinct lineages, over all workloads.
        max_images: distinct program images.
        max_processes: living processes in tracked cgroups.
        max_connections: distinct peers, over all workloads.
        connection_overflow: entries for peers that are folded when that is full.
        event_pages: pages of the ring buffer for first-sight events; a power of two.
        max_cgroup_depth: levels of cgroups that are searched for a tracked ancestor.
        max_mounts: mount points that a path may cross.
        thread_places: threads whose state is kept where it is found fastest, at 32 bytes each; a
            power of two.
        shares: a workload may have one in so many entries of each table, so that one that makes up
            ever new things uses up its own share and not its neighbours'.
    """

    slot_bits: int = 16
    slot_probes: int = 4
    ngram_overflow: int = 65536
    max_executions: int = 16384
    max_images: int = 16384
    max_processes: int = 32768
    max_connections: int = 65536
    connection_overflow: int = 4096
    event_pages: int = 256
    max_cgroup_depth: int = 12
    max_mounts: int = 8
    thread_places: int = 262144
    shares: int = 8

    @property
    def places_of_threads(self) -> int:
        """How many there are on this machine: more than there are ids would stay empty."""
        pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
        return min(self.thread_places, 1 << (pid_max - 1).bit_length())

    def defines(self) -> dict[str, int | str]:
        """The settings as macros, with what depends on this machine."""
        return {
            **{name.upper(): value for name, value in asdict(self).items()},
            "CPUS": possible_cpus(),
            "THREAD_PLACES": self.places_of_threads,
            "SLOT_QUOTA": (1 << self.slot_bits) // self.shares,
            "NGRAM_OVERFLOW_QUOTA": self.ngram_overflow // self.shares,
            "EXECUTION_QUOTA": self.max_executions // self.shares,
            "CONNECTION_QUOTA": self.max_connections // self.shares,
            "FOLDED_CONNECTION_QUOTA": self.connection_overflow // self.shares,
            "PROCESS_QUOTA": self.max_processes // self.shares,
            "RDONLY_CAST_MARK": RDONLY_CAST_MARK,
        }


def possible_cpus() -> int:
    """CPUs that this machine may ever have: what per-CPU data is sized by."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(ranges.split(",")[-1].split("-")[-1]) + 1


def program_text(settings: Settings, kernel_structs: str, serial: int) -> str:
    """The one C text that BCC compiles; ``#line`` makes its errors name the true files.

    Args:
        settings: sizes of the tables.
        kernel_structs: declarations of the kernel's structs.
        serial: names this loading of the program; 64 bits.
    """
    parts = [f"#define {name} {value}" for name, value in settings.defines().items()]
    parts.append(f"#define SERIAL {serial}ULL")
    for name in SOURCES:
        parts += [f'#line 1 "bpf/{name}"', (resource_directory("bpf") / name).read_text()]
        if name == "prelude.h":
            parts += ['#line 1 "kernel structs"', kernel_structs]
    return "\n".join(parts)


def fingerprint(settings: Settings) -> str:
    """Names this version of the program: equal exactly for equal sources and sizes.

    What comes before the dash is equal for versions whose tables can be read alike.
    """
    layout = (resource_directory("bpf") / "layout.h").read_bytes()
    text = program_text(settings, "", 0).encode()
    return f"{hashlib.sha256(layout).hexdigest()[:4]}-{hashlib.sha256(text).hexdigest()[:12]}"
