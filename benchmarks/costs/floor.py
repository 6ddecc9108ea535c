"""What would beat the floor: other hooks and other flags, tried on getppid alone.

The floor is not the empty program.  It is the way that leads to it: as long as anyone uses a
tracepoint of system calls, every thread of the machine has a flag by which each of its calls leaves
the short way through the kernel, on entry and on exit (``syscall_regfunc`` in kernel/tracepoint.c).
So what matters is whose calls take the long way, and how much of it is walked.
"""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from baseline.errors import KernelError
from costs.cpus import SERVICE_CPUS
from costs.needed import require
from costs.probes import Empty, Nothing, Probe, bcc_program, wait_until, with_tracefs
from costs.reporting import with_spread, wrapped
from costs.rounds import ROUNDS, by_figure, in_turn, itself, over, single, spreads
from costs.syscalls import MILLISECONDS, SHORT_MILLISECONDS, Loops


class Helper(Empty):
    """A program that calls one helper, for the current task, and does nothing with it."""

    name = "helper"
    text = "RAW_TRACEPOINT_PROBE(sys_enter) { return bpf_get_current_task() == 1; }"


class Exit(Empty):
    """An empty program on the way out of the call instead of in."""

    name = "sys_exit"
    text = "RAW_TRACEPOINT_PROBE(sys_exit) { return 0; }"


class ExitWithNumber(Empty):
    """The same, and it reads which call it was: pt_regs.orig_ax, which is not handed to it."""

    name = "exit_number"
    text = """
    RAW_TRACEPOINT_PROBE(sys_exit)
    {
        u64 number = 0;
        bpf_probe_read_kernel(&number, sizeof(number), (void *)(ctx->args[0] + 120));
        return number == 1 << 20;
    }
    """


class PerfTracepoint(Empty):
    """An empty program on the same tracepoint by way of perf, as bpftrace attaches."""

    name = "perf_event"
    text = "TRACEPOINT_PROBE(raw_syscalls, sys_enter) { return 0; }"


class OneCall(Probe):
    """An empty program on one call that nobody makes."""

    name = "one_call"
    _text = "TRACEPOINT_PROBE(syscalls, sys_enter_reboot) { return 0; }"

    def _attach(self, stack: ExitStack) -> None:
        stack.enter_context(bcc_program(self._text))


class OtherTask(Probe):
    """A perf event on the system calls of one other thread, which makes none."""

    name = "other_task"

    def _attach(self, stack: ExitStack) -> None:
        require("perf")
        asleep = stack.enter_context(subprocess.Popen(["sleep", "1000"]))
        stack.callback(asleep.kill)
        perf = subprocess.Popen(
            with_tracefs(["perf", "stat", "-e", "raw_syscalls:sys_enter", "-p", str(asleep.pid)]),
            stderr=subprocess.DEVNULL,
            text=True,
        )
        stack.callback(perf.wait)
        stack.callback(perf.terminate)
        opened = Path(f"/proc/{perf.pid}/fd")
        wait_until(
            lambda: any("perf_event" in str(path.readlink()) for path in opened.iterdir()),
            "perf stat",
            perf,
        )


class Seccomp(Probe):
    """No probe, but a filter that allows everything, for the loop alone."""

    name = "seccomp"
    loop_option = "seccomp"


class Dispatch(Probe):
    """No probe, but user dispatch of system calls that lets all pass, for the loop alone."""

    name = "dispatch"
    loop_option = "dispatch"


class Fentry(Empty):
    """An empty program on the function of the call itself, by a trampoline."""

    name = "fentry"
    text = "KFUNC_PROBE(__x64_sys_getppid) { return 0; }"


class FentryOfAll(Empty):
    """The same on the function through which every call passes, since Linux 6.9."""

    name = "fentry_all"
    text = "KFUNC_PROBE(x64_sys_call) { return 0; }"


class Kprobe(Empty):
    """An empty program on the function of the call itself, by a breakpoint or a jump."""

    name = "kprobe"
    text = "int kprobe____x64_sys_getppid(void *context) { return 0; }"


class KprobeOfAll(Empty):
    """The same on the function through which every call passes."""

    name = "kprobe_all"
    text = "int kprobe__x64_sys_call(void *context) { return 0; }"


TRIED: tuple[type[Probe], ...] = (
    *(Nothing, Empty, Helper, Exit, ExitWithNumber, PerfTracepoint, OneCall, OtherTask),
    *(Seccomp, Dispatch, Fentry, FentryOfAll, Kprobe, KprobeOfAll),
)


def measure(*, rounds: int | None, short: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """What a getppid takes under each of ``TRIED``, and why some of them could not be tried.

    Raises:
        BaselineError: the loop failed.
    """
    rounds = rounds or (1 if short else ROUNDS)
    refused: dict[str, str] = {}
    kinds: dict[str, type[Probe]] = {}
    for kind in TRIED:
        try:
            with kind():
                kinds[kind.name] = kind
        except KernelError as error:
            refused[kind.name] = error.problem

    with Loops(SHORT_MILLISECONDS if short else MILLISECONDS) as loops:

        def alone(name: str) -> dict[str, float]:
            with kinds[name]() as probe:
                return {"getppid": loops.run("getppid", SERVICE_CPUS[-1:], probe).median}

        measured = in_turn(list(kinds), rounds, alone, say)
    return {
        "rounds": rounds,
        "floor": {
            "rounds": rounds,
            "measured": single(measured),
            "ns": spreads(by_figure(measured, ["getppid"], itself))["getppid"],
            "over_none": spreads(by_figure(measured, ["getppid"], over("none")))["getppid"],
            "refused": refused,
        },
    }


def report(result: dict[str, Any]) -> list[str]:
    """A line for each of what was tried."""
    floor = result["floor"]
    meanings = {kind.name: (kind.__doc__ or "").splitlines()[0] for kind in TRIED}
    lines = [
        f"ns a getppid, medians of {floor['rounds']} interleaved rounds",
        f"{'':12} {'median':>8} {'over none':>15}",
    ]
    for name, figures in floor["ns"].items():
        difference = floor["over_none"].get(name)
        over_none = with_spread(difference) if difference else ""
        lines.append(f"{name:12} {figures['median']:8.1f} {over_none:>15}".rstrip())
        lines += wrapped(meanings[name], " " * 4)
    for name, reason in floor["refused"].items():
        lines += [f"{name:12}  refused", *wrapped(f"{meanings[name]} {reason}.", " " * 4)]
    return lines
