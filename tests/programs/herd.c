/*
 * herd together FOLDER COUNT CALLS: makes cgroups FOLDER/0, FOLDER/1, ..., clones a child straight
 *   into each, and lets them all go at once when all are there.
 * herd brief FOLDER COUNT CALLS: one cgroup after the other is made, lived in, and removed.
 * herd exec COUNT PROGRAM ARGUMENT...: COUNT processes, several at a time, in which one of some busy
 *   threads, not the first, executes the program.
 *
 * A child makes getppid CALLS + (its number modulo 7) times and ends with exit_group; together, it
 * reads a byte first.  It makes no other call.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 5, AT_A_TIME = 4 };

static void make_path(char *path, size_t size, const char *folder, int number)
{
	snprintf(path, size, "%s/%d", folder, number);
}

/* A child in a new cgroup; `gate` is what it reads from before it goes, or -1. */
static pid_t settle(const char *folder, int number, long calls, int gate)
{
	struct clone_args arguments = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD };
	char path[4096], byte;
	pid_t child;

	make_path(path, sizeof(path), folder, number);
	if (mkdir(path, 0755))
		err(1, "mkdir %s", path);
	arguments.cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	child = syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (!child) {
		if (gate >= 0)
			syscall(SYS_read, gate, &byte, 1);
		for (calls += number % 7; calls > 0; calls--)
			syscall(SYS_getppid);
		syscall(SYS_exit_group, 0);
	}
	if (child < 0)
		err(1, "clone3 into %s", path);
	close(arguments.cgroup);
	return child;
}

static void await(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) < 0 || status)
		errx(1, "a child ended with status %d", status);
}

static void together(const char *folder, int count, long calls)
{
	int gate[2];

	if (pipe(gate))
		err(1, "pipe");
	for (int i = 0; i < count; i++)
		settle(folder, i, calls, gate[0]);
	for (int i = 0; i < count; i++)
		if (write(gate[1], ".", 1) != 1)
			err(1, "write");
	for (int i = 0; i < count; i++)
		await(-1);
}

static void brief(const char *folder, int count, long calls)
{
	char path[4096];

	for (int i = 0; i < count; i++) {
		await(settle(folder, i, calls, -1));
		make_path(path, sizeof(path), folder, i);
		if (rmdir(path))
			err(1, "rmdir %s", path);
	}
}

static char **program;
static pthread_barrier_t ready;

static void *run(void *number)
{
	pthread_barrier_wait(&ready);
	if (!number)
		execv(program[0], program);
	for (;;)
		syscall(SYS_getuid);
	return NULL;
}

static void become_by_a_thread(void)
{
	pthread_t thread;

	pthread_barrier_init(&ready, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			err(1, "pthread_create");
	for (;;)
		pause();
}

int main(int count, char **arguments)
{
	if (count == 5 && !strcmp(arguments[1], "together")) {
		together(arguments[2], atoi(arguments[3]), atol(arguments[4]));
	} else if (count == 5 && !strcmp(arguments[1], "brief")) {
		brief(arguments[2], atoi(arguments[3]), atol(arguments[4]));
	} else if (count > 3 && !strcmp(arguments[1], "exec")) {
		int wanted = atoi(arguments[2]);

		program = arguments + 3;
		for (int i = 0; i < wanted; i++) {
			if (i >= AT_A_TIME)
				await(-1);
			if (!fork())
				become_by_a_thread();
		}
		for (int i = wanted < AT_A_TIME ? wanted : AT_A_TIME; i > 0; i--)
			await(-1);
	} else {
		errx(2, "usage: herd together|brief FOLDER COUNT CALLS, exec COUNT PROGRAM...");
	}
	return 0;
}
