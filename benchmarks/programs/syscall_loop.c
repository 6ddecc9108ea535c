// SPDX-License-Identifier: Apache-2.0
// Makes system calls in a loop and prints the median time of one in nanoseconds, their number, and
// the time of one in the fastest tenth of the loop, which others on the machine disturbed least.
//
//   syscall_loop getppid|mix|long_tail MILLISECONDS CPU [seccomp|dispatch]
//
// getppid    the cheapest call again and again
// mix        what a server does for a request: epoll_wait, read, write, futex
// long_tail  a random walk over cheap calls, so that ever more n-grams are distinct
//
// seccomp    behind a filter that allows everything: a flag of this thread sends its calls the slow way
// dispatch   the same with system-call user dispatch, whose selector lets everything pass
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 1000
#define MAX_BATCHES 1000000

static double batch_ns[MAX_BATCHES];

static double now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void getppid_batch(void)
{
	for (int i = 0; i < BATCH; i++)
		syscall(SYS_getppid);
}

static int request[2], log_pipe[2], poller, lock;
static char buffer[512];

static void open_server(void)
{
	struct epoll_event interest = { .events = EPOLLIN };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, request) || pipe(log_pipe))
		exit(1);
	interest.data.fd = request[1];
	poller = epoll_create1(0);
	epoll_ctl(poller, EPOLL_CTL_ADD, request[1], &interest);
}

static void mix_batch(void)
{
	struct epoll_event ready[8];

	for (int i = 0; i < BATCH / 8; i++) {
		syscall(SYS_write, request[0], buffer, 128);
		syscall(SYS_epoll_wait, poller, ready, 8, 0);
		syscall(SYS_read, request[1], buffer, sizeof buffer);
		syscall(SYS_futex, &lock, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
		syscall(SYS_write, log_pipe[1], buffer, 64);
		syscall(SYS_read, log_pipe[0], buffer, 64);
		syscall(SYS_epoll_wait, poller, ready, 8, 0);
		syscall(SYS_futex, &lock, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	}
}

static void long_tail_batch(void)
{
	static const int cheap[16] = {
		SYS_getppid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_gettid,
		SYS_getpgrp, SYS_getpid, SYS_getsid, SYS_umask, SYS_lseek, SYS_alarm,
		SYS_times, SYS_sched_getaffinity, SYS_getpriority, SYS_getpgid,
	};
	static uint64_t random = 88172645463325252ULL;
	static uint32_t state;

	for (int i = 0; i < BATCH; i++) {
		random ^= random << 13;	/* xorshift64 */
		random ^= random >> 7;
		random ^= random << 17;
		/* Mostly the next one of a cycle, sometimes any. */
		state = (random >> 32) % 100 < 85 ? (state + 1) % 16 : (random >> 40) % 16;
		syscall(cheap[state], 0, 0, 0);
	}
}

/* Sets a flag by which the kernel sends the calls of this thread, and of no other, the slow way. */
static int take_the_slow_way(const char *how)
{
	static const char pass = 0;	/* SYSCALL_DISPATCH_FILTER_ALLOW */
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = 1, .filter = &allow };

	if (!strcmp(how, "dispatch"))
		return prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &pass);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int main(int argc, char **argv)
{
	void (*batch)(void) = getppid_batch;
	cpu_set_t cpus;
	double end;
	long batches = 0;

	if (argc < 4 || argc > 5)
		return 2;
	if (!strcmp(argv[1], "mix")) {
		open_server();
		batch = mix_batch;
	} else if (!strcmp(argv[1], "long_tail")) {
		batch = long_tail_batch;
	}
	CPU_ZERO(&cpus);
	CPU_SET(atoi(argv[3]), &cpus);
	sched_setaffinity(0, sizeof cpus, &cpus);
	if (argc == 5 && take_the_slow_way(argv[4]))
		return 1;
	for (end = now_ns() + atof(argv[2]) * 1e6; now_ns() < end && batches < MAX_BATCHES; batches++) {
		double start = now_ns();
		batch();
		batch_ns[batches] = (now_ns() - start) / BATCH;
	}
	qsort(batch_ns, batches, sizeof(double), ascending);
	printf("%.2f %ld %.2f\n", batch_ns[batches / 2], batches * BATCH, batch_ns[batches / 10]);
	return 0;
}
