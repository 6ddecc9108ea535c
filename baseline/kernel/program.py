"""What the kernel program consists of: its sources, sizes, maps and hooks, and where it is pinned.

The loader's own process uses this module with the system's Python, so it needs nothing installed.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from baseline.resources import resource_directory

SOURCES = (
    "prelude.h",
    "layout.h",
    "tracking.h",
    "events.h",
    "ngrams.c",
    "executions.c",
    "connections.c",
)
"""Files of ``bpf/``, in the order in which they are joined."""

MAPS = (
    "calls",
    "cgroup_paths",
    "connection_overflow",
    "connections",
    "control",
    "events",
    "executions",
    "free_groups",
    "images",
    "ledgers",
    "ngram_overflow",
    "nurseries",
    "processes",
    "slots",
    "tracked",
)

COUNTS = (
    "calls",
    "connection_overflow",
    "connections",
    "executions",
    "ledgers",
    "ngram_overflow",
    "slots",
    "threads",
)
"""Maps that the program alone writes: frozen, so that nobody can change a count by bpf(2)."""

RAW_TRACEPOINTS = (
    "cgroup_mkdir",
    "cgroup_rmdir",
    "inet_sock_set_state",
    "io_uring_submit_req",
    "sched_process_exec",
    "sched_process_exit",
    "sched_process_fork",
    "sys_enter",
)

CGROUP_HOOKS = {"connect4": 10, "connect6": 11, "sendmsg4": 14, "sendmsg6": 15}
"""Function -> its ``enum bpf_attach_type`` (include/uapi/linux/bpf.h)."""

MAX_GROUPS = 4096
"""Group numbers, as in ``bpf/layout.h``; 0 is none."""

BPFFS = Path("/sys/fs/bpf")
PIN_ROOT = BPFFS / "baseline"
"""Below it one folder for each version of the program, named by its fingerprint."""

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
        max_array_threads: highest pid_max for which threads live in an array by id, the fastest
            way, at 24 bytes each; above it in task storage.
    """

    slot_bits: int = 16
    slot_probes: int = 4
    ngram_overflow: int = 65536
    max_executions: int = 16384
    max_images: int = 8192
    max_processes: int = 32768
    max_connections: int = 65536
    connection_overflow: int = 4096
    event_pages: int = 128
    max_cgroup_depth: int = 12
    max_mounts: int = 8
    max_array_threads: int = 262144

    def defines(self) -> dict[str, int]:
        """The settings as macros, with what depends on this machine."""
        pid_max = int(Path("/proc/sys/kernel/pid_max").read_text())
        return {
            **{name.upper(): value for name, value in asdict(self).items()},
            "CPUS": possible_cpus(),
            "PID_MAX": pid_max + 1,
            "THREADS_IN_ARRAY": int(pid_max <= self.max_array_threads),
        }


def possible_cpus() -> int:
    """CPUs that this machine may ever have: what per-CPU data is sized by."""
    ranges = Path("/sys/devices/system/cpu/possible").read_text().strip()
    return int(ranges.split(",")[-1].split("-")[-1]) + 1


def program_text(settings: Settings, kernel_structs: str) -> str:
    """The one C text that BCC compiles; ``#line`` makes its errors name the true files."""
    parts = [f"#define {name} {value}" for name, value in settings.defines().items()]
    for name in SOURCES:
        parts += [f'#line 1 "bpf/{name}"', (resource_directory("bpf") / name).read_text()]
        if name == "prelude.h":
            parts += ['#line 1 "kernel structs"', kernel_structs]
    return "\n".join(parts)


def fingerprint(settings: Settings) -> str:
    """Names this version of the program: equal exactly for equal sources and sizes."""
    digest = hashlib.sha256(program_text(settings, "").encode())
    return digest.hexdigest()[:12]
