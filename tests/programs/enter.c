/*
 * enter join|clone CGROUP PROGRAM [ARGUMENT...]: runs a program in a cgroup, such that the one call
 * that is made in there before the program begins is its execve.
 *
 * join moves this process there and becomes the program; clone creates a child there to begin with
 * (CLONE_INTO_CGROUP), waits for it and ends with its status.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void join(int cgroup)
{
	int procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	if (procs < 0 || write(procs, "0", 1) != 1)
		err(126, "cgroup.procs");
}

static void clone_into(int cgroup)
{
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = cgroup,
	};
	int status = 0;
	pid_t child = syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (!child)
		return;
	if (child < 0 || waitpid(child, &status, 0) < 0)
		err(126, "clone3");
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int count, char **arguments)
{
	if (count < 4)
		errx(126, "usage: enter join|clone CGROUP PROGRAM [ARGUMENT...]");
	int cgroup = open(arguments[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (cgroup < 0)
		err(126, "%s", arguments[2]);
	(strcmp(arguments[1], "clone") ? join : clone_into)(cgroup);
	execv(arguments[3], arguments + 3);
	err(127, "%s", arguments[3]);
}
