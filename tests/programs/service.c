/*
 * service FILE HELPER: a small service with a hole.  Each line on stdin says what to do, and is
 * answered by a line on stdout.
 *
 *   serve                      a request: reads FILE; every third one starts HELPER
 *
 * What an intruder makes it do:
 *   start PROGRAM ARGUMENT...  executes a program in a child
 *   at, memory, unlinked       the same by execveat below a folder; from a copy in memory; from a
 *                              copy beside it whose name is removed first
 *   read PATH                  reads another file, call for call as a request does
 *   compat PATH                the same through the 32-bit entry
 *   ring, sqpoll PATH          the same by io_uring; the latter by a thread of the kernel
 *   renamed NAME               a child takes this name and arguments, and attacks
 *   attack                     makes the calls of an attack, one after the other
 *   padded                     between each two of them makes all calls of a request
 *   shuffled                   calls that requests are made of, in another order, padded likewise
 *   threads, processes         each call of the attack in a thread or process of its own
 *   step NUMBER                one call of the attack
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 16, PAGE = 4096 };

static const char *file, *helper;
static char buffer[PAGE];

/* What an intruder does first, none of it with effect: who am I, where am I, take me in, hide me. */
static const long attack[] = {
	SYS_uname, SYS_getgroups, SYS_sysinfo, SYS_ptrace, SYS_mount, SYS_setns, SYS_unshare,
};
enum { STEPS = sizeof(attack) / sizeof(*attack) };

static void require(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
}

static void take_step(int number)
{
	syscall(attack[number], -1L, 0L, 0L, 0L, 0L);
}

/* The calls by which a request reads its file. */
static void read_file(const char *path)
{
	struct stat about;
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);

	require(descriptor, path);
	require(fstat(descriptor, &about), path);
	while (read(descriptor, buffer, sizeof(buffer)) > 0)
		;
	close(descriptor);
}

static void await(pid_t child)
{
	int status;

	require(child, "fork");
	require(waitpid(child, &status, 0), "waitpid");
}

static void serve(void)
{
	static int served;
	char *arguments[] = { (char *)helper, "110:7", NULL };
	pid_t child;

	read_file(file);
	if (++served % 3)
		return;
	child = fork();
	if (!child) {
		execv(helper, arguments);
		_exit(127);
	}
	await(child);
}

static int copy(const char *path, int to)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	require(from, path);
	require(to, "copy");
	while ((size = read(from, buffer, sizeof(buffer))) > 0)
		require(write(to, buffer, size), "write");
	close(from);
	return to;
}

/* A descriptor of a copy of the program that has a name nowhere. */
static int nameless(const char *path)
{
	char name[PAGE], itself[64];
	int written, descriptor;

	snprintf(name, sizeof(name), "%s-copy", path);
	written = copy(path, open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
	snprintf(itself, sizeof(itself), "/proc/self/fd/%d", written);
	descriptor = open(itself, O_RDONLY | O_CLOEXEC);
	close(written);	/* what is open for writing cannot be executed */
	unlink(name);
	return descriptor;
}

static void start(const char *how, char **words)
{
	extern char **environ;
	pid_t child = fork();

	if (!child) {
		int where = -1;

		if (!strcmp(how, "at")) {
			char *slash = strrchr(words[0], '/');

			*slash = 0;
			where = open(words[0], O_PATH | O_CLOEXEC);
			syscall(SYS_execveat, where, slash + 1, words, environ, 0);
		} else if (!strcmp(how, "memory")) {
			where = copy(words[0], memfd_create("implant", MFD_CLOEXEC));
		} else if (!strcmp(how, "unlinked")) {
			where = nameless(words[0]);
		} else {
			execv(words[0], words);
		}
		syscall(SYS_execveat, where, "", words, environ, AT_EMPTY_PATH);
		err(127, "%s %s", how, words[0]);
	}
	await(child);
}

static long call_32(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static void read_file_32(const char *path)
{
	/* The entry takes 32 bits of an address. */
	char *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			 -1, 0);
	long descriptor;

	strncpy(low, path, PAGE - 1);
	descriptor = call_32(5, (long)low, O_RDONLY, 0);
	if (descriptor < 0)
		errx(1, "open by int 0x80: %ld", descriptor);
	while (call_32(3, descriptor, (long)low, PAGE) > 0)
		;
	call_32(6, descriptor, 0, 0);
}

static int complete(struct io_uring *ring)
{
	struct io_uring_cqe *done;
	int result;

	require(io_uring_submit(ring), "submit");
	require(io_uring_wait_cqe(ring, &done), "wait");
	result = done->res;
	io_uring_cqe_seen(ring, done);
	return result;
}

static void read_file_by_ring(const char *path, unsigned int flags)
{
	struct io_uring ring;
	int descriptor;

	require(io_uring_queue_init(8, &ring, flags), "io_uring");
	io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	require(descriptor = complete(&ring), path);
	io_uring_prep_read(io_uring_get_sqe(&ring), descriptor, buffer, sizeof(buffer), 0);
	require(complete(&ring), "read");
	io_uring_queue_exit(&ring);
}

static void rename_and_attack(char **own, const char *name)
{
	pid_t child = fork();

	if (child) {
		await(child);
		return;
	}
	prctl(PR_SET_NAME, name);
	memset(own[0], 0, own[2] + strlen(own[2]) - own[0]);
	strcpy(own[0], "[x]");
	for (int i = 0; i < STEPS; i++)
		take_step(i);
	_exit(0);
}

static void shuffled(void)
{
	struct stat about;

	for (int i = 0; i < STEPS; i++) {
		int descriptor;

		read_file(file);
		descriptor = open(file, O_RDONLY | O_CLOEXEC);
		if (read(descriptor, buffer, sizeof(buffer)) < 0)
			err(1, "read");
		require(fstat(descriptor, &about), file);
		close(descriptor);
	}
}

static void *step_of_thread(void *number)
{
	take_step((long)number);
	return NULL;
}

static void spread(int as_threads)
{
	for (long i = 0; i < STEPS; i++) {
		pthread_t thread;
		pid_t child;

		if (as_threads) {
			if (pthread_create(&thread, NULL, step_of_thread, (void *)i))
				err(1, "pthread_create");
			pthread_join(thread, NULL);
			continue;
		}
		child = fork();
		if (!child) {
			take_step(i);
			_exit(0);
		}
		await(child);
	}
}

static void obey(char **own, char **words)
{
	const char *what = words[0];

	if (!strcmp(what, "serve")) {
		serve();
	} else if (!strcmp(what, "read")) {
		read_file(words[1]);
	} else if (!strcmp(what, "compat")) {
		read_file_32(words[1]);
	} else if (!strcmp(what, "ring") || !strcmp(what, "sqpoll")) {
		read_file_by_ring(words[1], *what == 's' ? IORING_SETUP_SQPOLL : 0);
	} else if (!strcmp(what, "renamed")) {
		rename_and_attack(own, words[1]);
	} else if (!strcmp(what, "attack") || !strcmp(what, "padded")) {
		for (int i = 0; i < STEPS; i++) {
			if (*what == 'p')
				read_file(file);
			take_step(i);
		}
	} else if (!strcmp(what, "shuffled")) {
		shuffled();
	} else if (!strcmp(what, "threads") || !strcmp(what, "processes")) {
		spread(*what == 't');
	} else if (!strcmp(what, "step")) {
		take_step(atoi(words[1]));
	} else {
		start(what, words + 1);
	}
}

int main(int count, char **arguments)
{
	static char line[PAGE], result[PAGE];
	ssize_t size;

	if (count != 3)
		errx(2, "usage: service FILE HELPER");
	file = strdup(arguments[1]);
	helper = strdup(arguments[2]);
	while ((size = read(0, line, sizeof(line) - 1)) > 0) {
		char *words[MOST_WORDS + 1] = { NULL };
		int number = 0;

		line[size - 1] = 0;
		for (char *word = strtok(line, " "); word && number < MOST_WORDS; word = strtok(NULL, " "))
			words[number++] = word;
		buffer[0] = 0;
		obey(arguments, words);
		size = snprintf(result, sizeof(result), "%.60s\n", buffer);
		require(write(1, result, size), "write");
	}
	return 0;
}
