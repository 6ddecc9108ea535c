// SPDX-License-Identifier: Apache-2.0
// A small service at a steady, modest pace: each request is one of four kinds, drawn at random, and
// now and then a request connects to a peer or starts a program.
//
//   small_service REQUESTS_A_SECOND [CONNECTIONS_A_SECOND PORT [EXECS_A_SECOND [KINDS]]]
//
// Rates may be fractions; a connection goes to 127.0.0.1:PORT, and an exec is this program with no
// arguments, which ends at once.  KINDS, of calls that come in any order, makes n-grams distinct.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state;
static int request[2], poller;
static char buffer[256];

static uint32_t draw(uint32_t below)
{
	random_state ^= random_state << 13;	/* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 32) % below;
}

static void receive(void)
{
	struct epoll_event ready[4];

	if (write(request[0], buffer, 64) < 0)
		exit(1);
	epoll_wait(poller, ready, 4, 0);
	if (read(request[1], buffer, sizeof buffer) < 0)
		exit(1);
}

static void serve(void)
{
	struct stat status;
	int file;

	receive();
	switch (draw(8)) {
	case 0:		/* a file */
		file = open("/proc/self/comm", O_RDONLY);
		fstat(file, &status);
		lseek(file, 0, SEEK_SET);
		if (read(file, buffer, 16) < 0)
			exit(1);
		close(file);
		break;
	case 1:		/* one that is not there */
		access("/nowhere", R_OK);
		syscall(SYS_getpid);
		break;
	case 2:		/* another round with the peer */
		receive();
		break;
	default:
		syscall(SYS_getuid);
	}
	send(request[1], buffer, 64, 0);
	recv(request[0], buffer, 64, 0);
}

static void any_order(uint32_t kinds)
{
	static const int cheap[] = {
		SYS_getppid, SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_gettid,
		SYS_getpgrp, SYS_getpid, SYS_umask, SYS_times, SYS_alarm, SYS_sched_yield,
	};

	for (int i = 0; i < 8; i++)
		syscall(cheap[draw(kinds)], 0);
}

static void connect_to(int port)
{
	struct sockaddr_in peer = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int connection = socket(AF_INET, SOCK_STREAM, 0);

	/* Whether anybody listens does not matter: the attempt counts. */
	if (connect(connection, (struct sockaddr *)&peer, sizeof peer) == 0) {
		struct linger at_once = { .l_onoff = 1 };
		setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	}
	close(connection);
}

static void start_program(void)
{
	pid_t child = vfork();

	if (child == 0) {
		execl("/proc/self/exe", "small_service", (char *)NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

/* Whether something that happens so often a second is due once more at this request. */
static int is_due(double *owed, double rate, double requests)
{
	*owed += rate / requests;
	if (*owed < 1)
		return 0;
	*owed -= 1;
	return 1;
}

static double argument(int argc, char **argv, int index)
{
	return argc > index ? atof(argv[index]) : 0;
}

int main(int argc, char **argv)
{
	double requests = argument(argc, argv, 1), connections = argument(argc, argv, 2);
	double execs = argument(argc, argv, 4), owed_connections = 0, owed_execs = 0;
	uint32_t kinds = argument(argc, argv, 5);
	struct epoll_event interest = { .events = EPOLLIN };
	struct timespec next;

	if (requests <= 0)
		return 0;
	random_state = 88172645463325252ULL ^ (uint64_t)getpid() << 20;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, request))
		return 1;
	poller = epoll_create1(0);
	interest.data.fd = request[1];
	epoll_ctl(poller, EPOLL_CTL_ADD, request[1], &interest);
	clock_gettime(CLOCK_MONOTONIC, &next);
	next.tv_nsec = draw(1000000000);	/* so that they do not all wake at once */
	for (;;) {
		double seconds = 1 / requests;

		next.tv_sec += (long)seconds;
		next.tv_nsec += (seconds - (long)seconds) * 1e9;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		serve();
		if (kinds)
			any_order(kinds > 12 ? 12 : kinds);
		if (is_due(&owed_connections, connections, requests))
			connect_to(argument(argc, argv, 3));
		if (is_due(&owed_execs, execs, requests))
			start_program();
	}
}
