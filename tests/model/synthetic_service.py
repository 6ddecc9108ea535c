"""A made-up web service: a Markov chain of system calls, with paths that it takes rarely."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from strategies import MIDNIGHT

from baseline.syscalls import NGRAM_LENGTH, pack, syscall_names
from baseline.window import Connection, Execution, Image, NgramCounts, Window

SECOND = 10**9
ARCHITECTURE = "x86_64"
NUMBERS = {name: number for number, name in syscall_names(ARCHITECTURE, compat=False).items()}

NGINX, SHELL, CURL, ID = (Image(f"/usr/bin/{name}") for name in ("nginx", "dash", "curl", "id"))
SHELL_STARTED = Execution((NGINX, SHELL), 33)
CURL_STARTED = Execution((NGINX, SHELL, CURL), 33)
CLIENT = Connection("in", "tcp", "10.0.0.7", 80)
INTRUDER = Connection("out", "tcp", "203.0.113.9", 4444)

REQUESTS = (
    (70, "accept4 recvfrom newfstatat openat fstat pread64 writev write close setsockopt recvfrom"),
    (25, "accept4 recvfrom socket connect getsockopt writev recvfrom recvfrom writev close close"),
    (4.9, "accept4 recvfrom newfstatat openat fstat sendfile sendfile sendfile close close"),
    (0.1, "accept4 recvfrom getrandom openat write fsync rename unlink writev close"),
)
"""Share of each kind of request in percent, and the calls that serve it."""

SHELL_CALLS = """execve brk mmap access openat fstat mmap close openat read fstat mmap mmap mmap
    close arch_prctl mprotect mprotect munmap getuid getgid getpid rt_sigaction geteuid getppid
    getcwd newfstatat ioctl rt_sigaction rt_sigaction newfstatat clone wait4 exit_group"""


def symbols(calls: str) -> list[int]:
    """Symbols of calls by name, in the native ABI."""
    return [NUMBERS[name] + 1 for name in calls.split()]


def count_ngrams(calls: list[int]) -> NgramCounts:
    """Histogram of one new thread's n-grams."""
    thread = np.array([0] * (NGRAM_LENGTH - 1) + calls, np.int64)
    ngrams = pack(np.lib.stride_tricks.sliding_window_view(thread, NGRAM_LENGTH))
    return NgramCounts.collect(ngrams, np.ones(len(ngrams), np.int64))


def single_calls(*counts: int) -> NgramCounts:
    """So many of the first call, the second, ...: every one the first of its thread."""
    symbols = np.zeros((len(counts), NGRAM_LENGTH), np.int64)
    symbols[:, -1] = np.arange(1, len(counts) + 1)
    return NgramCounts.collect(pack(symbols), np.array(counts, np.int64))


def window(
    number: int,
    ngrams: NgramCounts | None = None,
    executions: Mapping[Execution, int] | None = None,
    connections: Mapping[Connection, int] | None = None,
    replica: str = "shop/web-1",
) -> Window:
    """One second of the workload ``web``."""
    start = MIDNIGHT + number * SECOND
    return Window(
        "web",
        replica,
        start,
        start + SECOND,
        SECOND,
        ngrams or NgramCounts.empty(),
        executions or {},
        connections or {},
    )


def serving(seed: int, requests: int = 60) -> Iterator[Window]:
    """Windows of the service under steady load, one a second, without end."""
    chance = np.random.default_rng(seed)
    kinds = [symbols(calls) for _, calls in REQUESTS]
    weights = [weight / 100 for weight, _ in REQUESTS]
    (wait,) = symbols("epoll_wait")
    for number in itertools.count():
        calls = []
        for kind in chance.choice(len(kinds), requests, p=weights):
            calls += [wait] * chance.choice((1, 1, 1, 2)) + kinds[kind]
        yield window(number, count_ngrams(calls), connections={CLIENT: requests})


CALLS_OF_REQUESTS = np.array(
    [[3, 1, 1, 0, 2, 2, 0, 1], [1, 2, 0, 3, 0, 1, 0, 1], [0, 0, 5, 0, 1, 0, 1, 1]]
)
"""How often each of eight calls is made for each of three kinds of request."""

SHARES_OF_REQUESTS = np.array([0.6, 0.3, 0.1])


def counts_under_load(seed: int, loads: Sequence[float]) -> list[list[int]]:
    """How often each call is made in each second, of so many requests on average."""
    chance = np.random.default_rng(seed)
    requests = chance.poisson(np.array(loads)[:, None] * SHARES_OF_REQUESTS)
    return (requests @ CALLS_OF_REQUESTS).tolist()


def seconds_of(counts: Sequence[Sequence[int]]) -> list[Window]:
    """Windows of single calls, one a second."""
    return [window(number, single_calls(*row)) for number, row in enumerate(counts)]


def intruded(normal: Window) -> Window:
    """The same window in which the service started a shell, and that a download tool."""
    return normal + window(
        0,
        count_ngrams(symbols(SHELL_CALLS)),
        {SHELL_STARTED: 1, CURL_STARTED: 1},
        {INTRUDER: 1},
        normal.replica,
    )
