/*
 * reuse_thread_id ROUNDS COUNT: in each round another thread than the first executes this program
 * anew, which gives it the id of the process; then a child is forked to the id that the thread had,
 * where the kernel grants it, and calls getppid COUNT times.  Prints how many children had such an id.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int rounds, calls, reused;
static char *program;

static void *execute(void *nothing)
{
	char texts[4][16];
	int arguments[] = { rounds - 1, calls, gettid(), reused };

	for (int i = 0; i < 4; i++)
		snprintf(texts[i], sizeof(texts[i]), "%d", arguments[i]);
	execl(program, program, texts[0], texts[1], texts[2], texts[3], NULL);
	err(1, "%s", program);
	return nothing;
}

static void fork_to(pid_t wanted)
{
	/* The kernel gives out the id after the last one, see proc_sys_kernel(5). */
	int last_pid = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	char text[16];

	if (last_pid < 0 || pwrite(last_pid, text, snprintf(text, sizeof(text), "%d", wanted - 1), 0) < 0)
		err(1, "ns_last_pid");
	pid_t child = syscall(SYS_fork);
	if (child < 0)
		err(1, "fork");
	if (!child) {
		for (; calls > 0; calls--)
			syscall(SYS_getppid);
		syscall(SYS_exit_group, 0);
	}
	waitpid(child, NULL, 0);
	close(last_pid);
	reused += child == wanted;
}

int main(int count, char **arguments)
{
	pthread_t thread;

	if (count != 3 && count != 5)
		errx(2, "usage: reuse_thread_id ROUNDS COUNT, with CONFIG_CHECKPOINT_RESTORE");
	program = arguments[0];
	rounds = atoi(arguments[1]);
	calls = atoi(arguments[2]);
	if (count == 5) {
		reused = atoi(arguments[4]);
		fork_to(atoi(arguments[3]));
	}
	if (rounds > 0) {
		if (pthread_create(&thread, NULL, execute, NULL))
			err(1, "pthread_create");
		pause();
	}
	printf("%d\n", reused);
	return 0;
}
