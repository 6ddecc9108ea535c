/*
 * share_place PLACES ROUNDS COUNT: in each round four children whose process ids are equal modulo
 * PLACES, where the kernel grants them.  Three wait for each other, and the fourth begins when the
 * first has ended.  Child n calls getppid COUNT + n times.  Prints how many rounds had such ids.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "next_id.h"

enum { CHILDREN = 4, HIGHEST = 30000 };

static pid_t begin(int gate, int calls, pid_t wanted)
{
	char byte;

	if (wanted)
		choose_next_id(wanted);
	pid_t child = syscall(SYS_fork);
	if (child < 0)
		err(1, "fork");
	if (!child) {
		syscall(SYS_read, gate, &byte, 1);
		for (; calls > 0; calls--)
			syscall(SYS_getppid);
		syscall(SYS_exit_group, 0);
	}
	return child;
}

int main(int count, char **arguments)
{
	int together = 0;

	if (count != 4)
		errx(2, "usage: share_place PLACES ROUNDS COUNT");
	int places = atoi(arguments[1]), calls = atoi(arguments[3]);
	for (int round = atoi(arguments[2]); round > 0; round--) {
		pid_t children[CHILDREN];
		int first[2], rest[2], alike = 1;

		if (pipe(first) || pipe(rest))
			err(1, "pipe");
		for (int i = 0; i < CHILDREN; i++) {
			pid_t wanted = i ? children[0] + i * places : 0;
			if (wanted > HIGHEST)
				wanted = children[0] - i * places;
			if (i == CHILDREN - 1) {
				if (write(first[1], "", 1) != 1 || waitpid(children[0], NULL, 0) < 0)
					err(1, "the first child");
			}
			children[i] = begin(i ? rest[0] : first[0], calls + i, wanted);
			alike &= children[i] % places == children[0] % places;
		}
		if (write(rest[1], "...", CHILDREN - 1) != CHILDREN - 1)
			err(1, "the others");
		for (int i = 1; i < CHILDREN; i++)
			waitpid(children[i], NULL, 0);
		for (int i = 0; i < 2; i++) {
			close(first[i]);
			close(rest[i]);
		}
		together += alike;
	}
	printf("%d\n", together);
	return 0;
}
