/*
 * uring nop|sqpoll COUNT: COUNT empty requests to io_uring; with sqpoll a thread of the kernel takes
 *   them, without any call of ours.
 * uring later COUNT: sqpoll once an id was read from stdin, by a thread of this id where the kernel
 *   grants it; prints whether it did.
 * uring openat COUNT PATH: opens a file COUNT times.
 * uring tcp|udp COUNT PORT: connects COUNT sockets to this port of 127.0.0.1; the udp ones from a
 *   worker thread of the kernel's.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "next_id.h"

static void require(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(1, "%s", what);
	}
}

static void complete(struct io_uring *ring)
{
	struct io_uring_cqe *done;

	require(io_uring_submit(ring), "submit");
	require(io_uring_wait_cqe(ring, &done), "wait");
	require(done->res, "request");
	io_uring_cqe_seen(ring, done);
}

static pid_t read_id(void)
{
	int id;

	puts("ready");
	fflush(stdout);
	if (scanf("%d", &id) != 1)
		errx(1, "no id to read");
	return id;
}

static int is_thread_of_ours(pid_t id)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/task/%d", id);
	return !access(path, F_OK);
}

int main(int count, char **arguments)
{
	if (count < 3)
		errx(2, "usage: uring nop|sqpoll|later|openat|tcp|udp COUNT [PATH|PORT]");
	const char *what = arguments[1], *where = arguments[3];
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct io_uring ring;
	pid_t id;

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int later = !strcmp(what, "later"), polled = later || !strcmp(what, "sqpoll");
	if (later)
		choose_next_id(id = read_id());
	require(io_uring_queue_init(8, &ring, polled ? IORING_SETUP_SQPOLL : 0), "setup");
	if (later)
		puts(is_thread_of_ours(id) ? "granted" : "refused");
	for (long i = atol(arguments[2]); i > 0; i--) {
		struct io_uring_sqe *request = io_uring_get_sqe(&ring);

		if (!strcmp(what, "openat")) {
			io_uring_prep_openat(request, AT_FDCWD, where, O_RDONLY | O_CLOEXEC, 0);
		} else if (!strcmp(what, "tcp") || !strcmp(what, "udp")) {
			int udp = !strcmp(what, "udp");
			int socket_ = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
			peer.sin_port = htons(atoi(where));
			io_uring_prep_connect(request, socket_, (void *)&peer, sizeof(peer));
			if (udp)
				request->flags |= IOSQE_ASYNC;
		} else {
			io_uring_prep_nop(request);
		}
		complete(&ring);
	}
	return 0;
}
