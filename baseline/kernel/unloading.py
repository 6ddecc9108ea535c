"""``baseline unload``: takes the kernel program away and leaves nothing behind."""

import os
import shutil

from baseline.kernel.agents import RUN_DIRECTORY, Agent, setup_lock
from baseline.kernel.collector import remove_pins
from baseline.kernel.rights import require_folders


def unload() -> list[str]:
    """Remove all pins and the run directory.

    Returns:
        A line for each thing that was done, or that stands in the way of the kernel forgetting the
        program at once; empty where nothing was loaded.

    Raises:
        KernelError: it is not ours and we are not root, or the bpf file system is not mounted.
    """
    require_folders(any_owner=os.geteuid() == 0)
    with setup_lock():
        done = [f"Unloaded {path}" for path in remove_pins()]
        others = Agent.others()
    if others:
        pids = ", ".join(map(str, others))
        done.append(f"Still counting for process {pids} until it ends")
    else:
        shutil.rmtree(RUN_DIRECTORY, ignore_errors=True)
    return done
