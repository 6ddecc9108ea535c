/* The next process or thread to begin gets this id, unless it is in use or another one is faster. */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void choose_next_id(pid_t id)
{
	/* The kernel gives out the id after the last one, see proc_sys_kernel(5). */
	int last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);

	if (last_pid < 0 || dprintf(last_pid, "%d", id - 1) < 0)
		err(1, "ns_last_pid, which needs CONFIG_CHECKPOINT_RESTORE");
	close(last_pid);
}
