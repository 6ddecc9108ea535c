"""Attaches one small program in BCC's C, and holds it until its standard input ends.

    python3 bcc_program.py TEXT [MAP PIN]...

Run by the Python that has BCC, so it uses nothing but that and the standard library.  Maps are
pinned where told.  It writes how many times the program ran while this process made 1,000 system
calls, so nobody has to believe that it is attached; then it waits, and for each line ``off`` or
``on`` takes the program from its raw tracepoint or puts it there again, and writes how many times
it ran then.
"""

import os
import re
import sys
from pathlib import Path

from bcc import BPF, lib

OWN_CALLS = 1000
SYSTEM_CALLS = b"sys_enter"
STATISTICS = Path("/proc/sys/kernel/bpf_stats_enabled")


def runs(program: int) -> int:
    """How often a program ran while statistics were on (bpf_prog_show_fdinfo, kernel/bpf)."""
    shown = Path(f"/proc/self/fdinfo/{program}").read_text()
    return int(re.findall(r"^run_cnt:\s*(\d+)", shown, re.M)[0])


def runs_of_own_calls(bpf: BPF) -> int:
    (program,) = bpf.funcs.values()
    usual = STATISTICS.read_text()
    STATISTICS.write_text("1")  # about 20 ns a run: only for this moment
    try:
        before = runs(program.fd)
        for _ in range(OWN_CALLS):
            os.getppid()
        return runs(program.fd) - before
    finally:
        STATISTICS.write_text(usual)


def main() -> None:
    text, *pins = sys.argv[1:]
    bpf = BPF(text=text)
    for name, path in zip(pins[::2], pins[1::2], strict=True):
        if lib.bpf_obj_pin(bpf[name].map_fd, path.encode()):
            sys.exit(f"{path} cannot be pinned")
    print(runs_of_own_calls(bpf), flush=True)
    for line in sys.stdin:
        (function,) = bpf.funcs
        if line == "off\n":
            bpf.detach_raw_tracepoint(SYSTEM_CALLS)
        else:
            bpf.attach_raw_tracepoint(SYSTEM_CALLS, function)
        print(runs_of_own_calls(bpf), flush=True)


if __name__ == "__main__":
    main()
