/* end_together COUNT: COUNT processes one after the other, of two threads each that end at once. */
#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int arrived;

static void *end_on(void *processor)
{
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET((long)processor, &own);
	sched_setaffinity(0, sizeof(own), &own);	/* where it may not, chance has to do */
	arrived++;
	while (arrived < 2)
		;
	syscall(SYS_exit, 0);	/* of this thread alone */
	return NULL;
}

int main(int count, char **arguments)
{
	if (count != 2)
		errx(2, "usage: end_together COUNT");
	for (long i = atol(arguments[1]); i > 0; i--) {
		pid_t child = fork();
		pthread_t other;

		if (child < 0)
			err(1, "fork");
		if (!child) {
			if (pthread_create(&other, NULL, end_on, (void *)1L))
				err(1, "pthread_create");
			end_on((void *)0L);
		}
		waitpid(child, NULL, 0);
	}
	return 0;
}
