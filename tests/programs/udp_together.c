/*
 * udp_together THREADS PORTS: threads connect UDP sockets to port 1, 2, ... PORTS of 127.0.0.1, all
 * of them to the same port at the same moment, so that several processors see a peer first.
 */
#include <arpa/inet.h>
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

static int threads, ports;
static atomic_int arrived;

static void *run(void *unused)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	int socket_ = socket(AF_INET, SOCK_DGRAM, 0);

	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int port = 1; port <= ports; port++) {
		peer.sin_port = htons(port);
		atomic_fetch_add(&arrived, 1);
		while (atomic_load(&arrived) < threads * port)
			;
		if (connect(socket_, (void *)&peer, sizeof(peer)))
			err(1, "connect");
	}
	return unused;
}

int main(int count, char **arguments)
{
	pthread_t thread;

	if (count != 3)
		errx(2, "usage: udp_together THREADS PORTS");
	threads = atoi(arguments[1]);
	ports = atoi(arguments[2]);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, run, NULL))
			err(1, "pthread_create");
	run(NULL);
	if (threads > 1)
		pthread_exit(NULL);	/* the others may be a step behind */
	return 0;
}
