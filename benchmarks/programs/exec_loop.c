// SPDX-License-Identifier: Apache-2.0
// Starts a program again and again, one at a time, and prints how many a second it could, and the
// median and the 99th percentile of the milliseconds that one took from fork to its end.
//
//   exec_loop MILLISECONDS PROGRAM
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#define MOST 1000000

extern char **environ;
static double took_ms[MOST];

static double now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	double begun = now_ms(), end, start;
	long number = 0;
	int status;
	pid_t child;

	if (argc != 3)
		return 2;
	for (end = begun + atof(argv[1]); (start = now_ms()) < end && number < MOST; number++) {
		if (posix_spawn(&child, argv[2], NULL, NULL, argv + 2, environ) ||
		    waitpid(child, &status, 0) < 0 || status)
			return 1;
		took_ms[number] = now_ms() - start;
	}
	start = now_ms();
	qsort(took_ms, number, sizeof(double), ascending);
	printf("%.1f %.4f %.4f %ld\n", number * 1e3 / (start - begun), took_ms[number / 2],
	       took_ms[number * 99 / 100], number);
	return 0;
}
