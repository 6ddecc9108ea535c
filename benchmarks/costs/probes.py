"""The ways to look at every system call of a cgroup, each as a context manager.

Each proves that it ran: it says how many calls it saw, and :meth:`Probe.require` is told how many
were made.  A comparison with something that was not attached would be worth nothing.
"""

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, ClassVar, NamedTuple, Self

from baseline.demo.cgroup import OwnCgroup
from baseline.errors import KernelError
from baseline.kernel.collector import loader_python, pinned_versions
from baseline.kernel.program import BPFFS, Settings
from baseline.kernel.source import KernelSource
from baseline.resources import resource_directory
from baseline.window import Window
from baseline.workloads.cgroups import CgroupSelector, cgroup2_mount, cgroup_id
from costs.compiling import compiled
from costs.needed import require

PARENT = "baseline-costs"
"""All cgroups of these benchmarks are below it, so that a probe can look at all of them."""

OWN_CALLS = 1000
"""As in ``bcc_program.py``."""

_TRACEFS = "/sys/kernel/tracing"
_MOUNT_TRACEFS = f"mountpoint -q {_TRACEFS} || mount -t tracefs tracefs {_TRACEFS}; exec "
_SETTLING_SECONDS = 0.5
"""After a compiler has heated the processor; bpftrace also needs a moment to attach."""
_PATIENCE_SECONDS = 20


class Seen(NamedTuple):
    """What a probe says of the calls made while it was attached.

    Attributes:
        counted: those it knows of.
        lost: those of which it only knows that there were so many.
    """

    counted: int
    lost: int = 0


class Probe:
    """One way to look at the system calls of all that runs below ``PARENT``.

    Attributes:
        seen: once the context ended, what it saw; ``None`` for one that does not count.
    """

    name: ClassVar[str]
    counts: ClassVar[bool] = False
    """Whether it says what it saw."""
    loop_option: ClassVar[str] = ""
    """What ``syscall_loop`` is told beside the rest."""
    seen: Seen | None = None

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._attach(stack)
            time.sleep(_SETTLING_SECONDS)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _attach(self, stack: ExitStack) -> None:
        """Attach it, and have the stack undo that and set :attr:`seen`."""

    def pause(self) -> None:
        """Detach all that it attached, in milliseconds, until :meth:`resume`."""

    def resume(self) -> None:
        """Attach it again after :meth:`pause`."""

    def around(self, command: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs another one under it."""
        return list(command)

    def require(self, calls: int) -> None:
        """Insist that it saw at least so many calls.

        Raises:
            KernelError: it did not.
        """
        seen = sum(self.seen or ())
        if self.counts and seen < calls:
            raise KernelError(
                f"{self.name} saw {seen:,} of {calls:,} calls",
                "Its cost is that of another program: do not compare with it",
            )


class Nothing(Probe):
    """No probe at all."""

    name = "none"

    def _attach(self, stack: ExitStack) -> None:
        if pinned_versions():
            raise KernelError(
                "The kernel program is loaded already, and would be measured with everything",
                "End its commands, then run `baseline unload`",
            )


class Empty(Probe):
    """A program that does nothing, on the hook that ours uses: the floor."""

    name = "empty"
    text: ClassVar[str] = "RAW_TRACEPOINT_PROBE(sys_enter) { return 0; }"

    def _attach(self, stack: ExitStack) -> None:
        self._program = stack.enter_context(bcc_program(self.text))
        if self._program.runs < OWN_CALLS:
            raise KernelError(
                f"The {self.name} probe ran {self._program.runs} times in {OWN_CALLS} calls",
                "Find out what else uses its hook: bpftool prog",
            )

    def pause(self) -> None:
        """Detach it."""
        self._program.switch("off")

    def resume(self) -> None:
        """Attach it again."""
        self._program.switch("on")


class Tracked(Probe):
    """baseline on cgroups that it counts, their windows read every second."""

    name = "baseline"
    counts = True
    settings: ClassVar[Settings] = Settings()

    def _attach(self, stack: ExitStack) -> None:
        self._count(f"{PARENT}/*", stack)

    def _count(self, glob: str, stack: ExitStack) -> None:
        selector = CgroupSelector.parse(glob, cgroup2_mount())
        source = stack.enter_context(
            KernelSource([selector], say=lambda _: None, settings=self.settings, first_sights=False)
        )
        ended = threading.Event()
        reader = threading.Thread(target=self._read, args=(source, ended.is_set))
        reader.start()
        stack.callback(reader.join)
        stack.callback(ended.set)

    def _read(self, source: KernelSource, stop: Callable[[], bool]) -> None:
        counted = lost = 0
        for window in source.observations(stop=stop):
            if isinstance(window, Window):
                counted += window.ngrams.total
                lost += window.ledger.ngrams.lost
        self.seen = Seen(counted, lost)


class Displaced(Tracked):
    """The same for threads that find another one at their place in the table."""

    name = "displaced"
    settings = Settings(thread_places=1)


class Untracked(Tracked):
    """baseline on cgroups that it does not count, while it counts another."""

    name = "untracked"

    def _attach(self, stack: ExitStack) -> None:
        self._other = stack.enter_context(OwnCgroup(f"{PARENT}-other"))
        self._count(self._other.path, stack)
        self._other.run(["/bin/true"])

    def require(self, calls: int) -> None:
        """Insist that it counted the other one, and that one alone.

        Raises:
            KernelError: it did not.
        """
        if not self.seen or not 0 < self.seen.counted < min(calls, OWN_CALLS):
            raise KernelError(
                f"baseline counted {self.seen} in a cgroup that only ran `true`",
                "Run the tests of the kernel part: something is wrong with counting",
            )


class Bpftrace(Probe):
    """bpftrace with the one line that everybody writes."""

    name = "bpftrace"
    counts = True
    by_name: Counter[str]
    """Name of a thread -> calls of all that are called so."""
    text: ClassVar[str] = "tracepoint:raw_syscalls:sys_enter { @[comm, args->id] = count(); }"

    def _attach(self, stack: ExitStack) -> None:
        require("bpftrace")
        output = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "output"
        process = subprocess.Popen(
            with_tracefs(["bpftrace", "-o", output, "-e", self.text]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

        def end() -> None:
            process.send_signal(signal.SIGINT)
            try:
                _, complaints = process.communicate(timeout=_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                _, complaints = process.communicate()
            written = output.read_text() if output.exists() else ""
            counts = re.findall(r"^@\[(.*), \d+\]: (\d+)$", written, re.M)
            if process.returncode or not counts:
                raise KernelError(
                    f"bpftrace ended with {process.returncode}: {complaints}{written[-500:]}",
                    "Run it by hand",
                )
            self.by_name = Counter()
            for thread, count in counts:
                self.by_name[thread] += int(count)
            self.seen = Seen(self.by_name.total())

        stack.callback(end)
        wait_until(lambda: output.exists() and output.stat().st_size > 0, "bpftrace", process)


class Stream(Probe):
    """One small event for each call through a ring buffer of 8 MiB, read by a program in C."""

    name = "stream"
    counts = True
    text: ClassVar[str] = """
    struct event { u64 time, cgroup; u32 process, thread; u64 call; };
    BPF_RINGBUF_OUTPUT(events, 2048);
    BPF_PERCPU_ARRAY(lost, u64, 1);
    RAW_TRACEPOINT_PROBE(sys_enter)
    {
        u32 zero = 0;
        struct event event = {};
        if (bpf_get_current_ancestor_cgroup_id(1) != PARENT)
            return 0;
        event.time = bpf_ktime_get_ns();
        event.cgroup = bpf_get_current_cgroup_id();
        event.process = bpf_get_current_pid_tgid() >> 32;
        event.thread = bpf_get_current_pid_tgid();
        event.call = ctx->args[1];
        if (events.ringbuf_output(&event, sizeof(event), 0)) {
            u64 *count = lost.lookup(&zero);
            if (count)
                *count += 1;
        }
        return 0;
    }
    """

    def _attach(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pins = stack.enter_context(tempfile.TemporaryDirectory(dir=BPFFS))
        ring, lost = (Path(pins) / name for name in ("events", "lost"))
        stack.callback(ring.unlink, missing_ok=True)
        stack.callback(lost.unlink, missing_ok=True)
        parent = cgroup_id(cgroup2_mount() / PARENT)
        text = self.text.replace("PARENT", f"{parent}ULL")
        self._program = stack.enter_context(bcc_program(text, {"events": ring, "lost": lost}))
        reader = stack.enter_context(
            subprocess.Popen(
                [compiled("stream_reader", folder, "-lbpf"), ring, lost],
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(reader.kill)
        self._reader = reader
        if reader.stdout is None or reader.stdout.readline() != "reading\n":
            raise KernelError("The reader of the stream did not start", "Is libbpf-dev installed")
        stack.callback(self._ask)

    def _ask(self) -> None:
        """What has been seen until now, all that is in the buffer too."""
        self._reader.send_signal(signal.SIGUSR1)
        answer = self._reader.stdout.readline() if self._reader.stdout else ""
        if not answer:
            raise KernelError("The reader of the stream has ended", "Run it by hand")
        self.seen = Seen(*map(int, answer.split()))

    def pause(self) -> None:
        """Detach it; the reader waits for more."""
        self._program.switch("off")
        self._ask()

    def resume(self) -> None:
        """Attach it again."""
        self._program.switch("on")


class PerfTrace(Probe):
    """``perf trace -s`` around a command."""

    name = "perf_trace"
    counts = True
    _command: ClassVar[tuple[str, ...]] = ("perf", "trace", "-s", "-o")
    _line: ClassVar[str] = r"^   [a-z]\w* +(\d+)"

    def _attach(self, stack: ExitStack) -> None:
        require(self._command[0])
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._runs = 0
        stack.callback(self._add_up)

    def around(self, command: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs another one under it."""
        self._runs += 1
        return with_tracefs([*self._command, self._folder / str(self._runs), *command])

    def _add_up(self) -> None:
        reports = [path.read_text() for path in self._folder.iterdir()]
        self.seen = Seen(sum(int(n) for r in reports for n in re.findall(self._line, r, re.M)))


class Strace(PerfTrace):
    """``strace -f -c`` around a command."""

    name = "strace"
    _command = ("strace", "-f", "-c", "-o")
    _line = r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(?!total)\w+$"


EVERYWHERE: tuple[type[Probe], ...] = (Nothing, Empty, Tracked, Bpftrace, Stream)
"""Those that can be used on services that run already."""

ALL: tuple[type[Probe], ...] = (*EVERYWHERE, Untracked, Displaced, PerfTrace, Strace)


class BccProgram(NamedTuple):
    """A program that a process of its own holds.

    Attributes:
        runs: how often it ran while its process made ``OWN_CALLS`` system calls.
        commands, answers: of that process.
    """

    runs: int
    commands: IO[str]
    answers: IO[str]

    def switch(self, state: str) -> None:
        """Put it on its raw tracepoint, ``on``, or take it away, ``off``; returns when done.

        Raises:
            KernelError: it could not be: it did not run on each call then, or still ran.
        """
        self.commands.write(f"{state}\n")
        self.commands.flush()
        answer = self.answers.readline()
        if not answer or (int(answer) < OWN_CALLS if state == "on" else int(answer)):
            raise KernelError(
                f"A program cannot be switched {state}: it ran {answer.strip() or 'no more'} times"
                f" in {OWN_CALLS} calls",
                "Run `baseline doctor`",
            )


@contextmanager
def bcc_program(text: str, pins: dict[str, Path] | None = None) -> Iterator[BccProgram]:
    """A program of one function, attached while the context lasts.

    Args:
        text: in BCC's C.
        pins: map -> where to pin it.

    Yields:
        The program.

    Raises:
        KernelError: it could not be attached.
    """
    arguments = [str(word) for pin in (pins or {}).items() for word in pin]
    with subprocess.Popen(
        with_tracefs([loader_python(), Path(__file__).parent / "bcc_program.py", text, *arguments]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BCC_KERNEL_SOURCE": str(resource_directory("bpf") / "stubs")},
    ) as process:
        commands, answers, complaints = process.stdin, process.stdout, process.stderr
        if not (commands and answers and complaints):
            raise AssertionError
        runs = answers.readline()
        if not runs:
            lines = complaints.read().strip().splitlines()
            reason = (lines or ["no message"])[-1].removeprefix("Exception: ")
            raise KernelError(f"A program is not attached: {reason}", "Run `baseline doctor`")
        try:
            yield BccProgram(int(runs), commands, answers)
        finally:
            commands.close()


def with_tracefs(command: Sequence[str | Path]) -> list[str | Path]:
    """A command with tracefs mounted, for itself alone where it is not mounted."""
    return ["unshare", "--mount", "sh", "-c", f'{_MOUNT_TRACEFS}"$@"', "sh", *command]


def wait_until(done: Callable[[], bool], what: str, process: "subprocess.Popen[str]") -> None:
    """Wait a little while for something to begin.

    Raises:
        KernelError: it did not.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline or process.poll() is not None:
            raise KernelError(
                f"{what} did not start", "Install what `scripts/install-packages --tests` does"
            )
        time.sleep(0.05)
