// SPDX-License-Identifier: Apache-2.0
// A service that does the same over and over, and something else when it is told to.
//
//   newcomer
//
// Each line on stdin is an act; it answers with the monotonic time in nanoseconds just before it:
//
// program PATH       starts a program and waits for it; the time is that before execve
// peer ADDRESS PORT  connects a UDP socket
// call NUMBER        makes a system call
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000 + time.tv_nsec;
}

// In a page that parent and child share.
static volatile long *began;

static void start_program(char *path)
{
	pid_t child = fork();
	if (!child) {
		char *arguments[] = { path, NULL };
		*began = now_ns();
		execve(path, arguments, environ);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

static void connect_to(const char *address, int port)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, address, &peer.sin_addr);
	*began = now_ns();
	connect(sock, (struct sockaddr *)&peer, sizeof peer);
	close(sock);
}

static void act(char *line)
{
	char word[256] = "";
	int number = 0;

	if (sscanf(line, "program %255s", word) == 1)
		start_program(word);
	else if (sscanf(line, "peer %255s %d", word, &number) == 2)
		connect_to(word, number);
	else if (sscanf(line, "call %d", &number) == 1) {
		*began = now_ns();
		syscall(number);
	} else {
		exit(1);
	}
	char answer[32];
	if (write(1, answer, sprintf(answer, "%ld\n", *began)) < 0)
		exit(1);
}

int main(void)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	char line[512];

	began = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (;;) {
		getppid();
		if (poll(&input, 1, 10) <= 0)
			continue;
		ssize_t length = read(0, line, sizeof line - 1);
		if (length <= 0)
			return 0;
		line[length] = 0;
		act(line);
	}
}
