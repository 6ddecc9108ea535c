/*
 * threads NUMBER:COUNT...: one thread for each argument makes the call with this number COUNT
 * times; all begin together.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { MOST_THREADS = 64 };

struct work {
	long number, count;
};

static pthread_barrier_t ready;

static void *run(void *argument)
{
	struct work *work = argument;

	pthread_barrier_wait(&ready);
	for (long i = 0; i < work->count; i++)
		syscall(work->number);
	return NULL;
}

int main(int count, char **arguments)
{
	pthread_t threads[MOST_THREADS];
	struct work work[MOST_THREADS];
	int wanted = count - 1;

	if (wanted < 1 || wanted > MOST_THREADS)
		errx(2, "usage: threads NUMBER:COUNT...");
	pthread_barrier_init(&ready, NULL, wanted);
	for (int i = 0; i < wanted; i++) {
		if (sscanf(arguments[i + 1], "%ld:%ld", &work[i].number, &work[i].count) != 2)
			errx(2, "%s", arguments[i + 1]);
		if (pthread_create(&threads[i], NULL, run, &work[i]))
			err(1, "pthread_create");
	}
	for (int i = 0; i < wanted; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
