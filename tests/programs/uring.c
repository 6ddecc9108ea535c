/*
 * uring nop|sqpoll COUNT: COUNT empty requests to io_uring; with sqpoll a thread of the kernel takes
 *   them, without any call of ours.
 * uring openat COUNT PATH: opens a file COUNT times.
 * uring tcp|udp COUNT PORT: connects COUNT sockets to this port of 127.0.0.1; the udp ones from a
 *   worker thread of the kernel's.
 */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int main(int count, char **arguments)
{
	if (count < 3)
		errx(2, "usage: uring nop|sqpoll|openat|tcp|udp COUNT [PATH|PORT]");
	const char *what = arguments[1], *where = arguments[3];
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct io_uring ring;

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	require(io_uring_queue_init(8, &ring, strcmp(what, "sqpoll") ? 0 : IORING_SETUP_SQPOLL),
		"setup");
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
