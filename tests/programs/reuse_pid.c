/*
 * reuse_pid ROUNDS COUNT: forks ROUNDS children one after the other, each to the process id of the
 * first where the kernel grants it; a child calls getppid COUNT times.  Prints how many children
 * had an id that was used before.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "next_id.h"

int main(int count, char **arguments)
{
	pid_t first = 0;
	int reused = 0;

	if (count != 3)
		errx(2, "usage: reuse_pid ROUNDS COUNT");
	for (int round = atoi(arguments[1]); round > 0; round--) {
		if (first)
			choose_next_id(first);
		pid_t child = syscall(SYS_fork);
		if (!child) {
			for (int i = atoi(arguments[2]); i > 0; i--)
				syscall(SYS_getppid);
			syscall(SYS_exit_group, 0);
		}
		waitpid(child, NULL, 0);
		reused += child == first;
		if (!first)
			first = child;
	}
	printf("%d\n", reused);
	return 0;
}
