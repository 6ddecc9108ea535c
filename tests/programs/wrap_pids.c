/*
 * wrap_pids ROUNDS COUNT PROGRAM...: so often brings the process ids of the machine to their end, and
 * forks children across it, one after the other, which call getppid COUNT times; every other one then
 * executes one of the programs, in turn.  Prints how often the ids began anew, and how many children
 * had an id that another child had before.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "next_id.h"

enum { CHILDREN = 16, BEFORE_THE_END = 8, MOST_IDS = 1 << 22 };

static unsigned char used[MOST_IDS];

static long read_limit(void)
{
	long limit = 0;
	FILE *file = fopen("/proc/sys/kernel/pid_max", "r");

	if (!file || fscanf(file, "%ld", &limit) != 1 || limit > MOST_IDS)
		err(1, "pid_max");
	fclose(file);
	return limit;
}

int main(int count, char **arguments)
{
	int wrapped = 0, reused = 0, born = 0;
	long limit = read_limit();

	if (count < 4)
		errx(2, "usage: wrap_pids ROUNDS COUNT PROGRAM...");
	for (int round = atoi(arguments[1]); round > 0; round--) {
		pid_t before = limit;

		choose_next_id(limit - BEFORE_THE_END + 1);
		for (int i = 0; i < CHILDREN; i++) {
			int turn = born++;
			char *program = arguments[3 + turn / 2 % (count - 3)];
			pid_t child = syscall(SYS_fork);

			if (!child) {
				for (int calls = atoi(arguments[2]); calls > 0; calls--)
					syscall(SYS_getppid);
				if (turn % 2)
					execl(program, program, NULL);
				syscall(SYS_exit_group, turn % 2);
			}
			if (child < 0 || waitpid(child, NULL, 0) != child)
				err(1, "fork");
			wrapped += i && child < before;
			before = child;
			reused += used[child];
			used[child] = 1;
		}
	}
	printf("%d %d\n", wrapped, reused);
	return 0;
}
