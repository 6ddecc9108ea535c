/*
 * reuse_thread_id ROUNDS COUNT: in each round another thread than the first executes this program
 * anew, which gives it the id of the process; then a child is forked to the id that the thread had,
 * where the kernel grants it, and calls getppid COUNT times.  Prints how many children had such an id.
 */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "next_id.h"

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
	choose_next_id(wanted);
	pid_t child = syscall(SYS_fork);
	if (child < 0)
		err(1, "fork");
	if (!child) {
		for (; calls > 0; calls--)
			syscall(SYS_getppid);
		syscall(SYS_exit_group, 0);
	}
	waitpid(child, NULL, 0);
	reused += child == wanted;
}

int main(int count, char **arguments)
{
	pthread_t thread;

	if (count != 3 && count != 5)
		errx(2, "usage: reuse_thread_id ROUNDS COUNT");
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
