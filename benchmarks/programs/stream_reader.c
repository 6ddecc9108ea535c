// SPDX-License-Identifier: Apache-2.0
// Reads a ring buffer of one event for each system call and counts them by call, as small a consumer
// as there can be.  On SIGUSR1 it reads what is there and prints how many it has read and how many
// found no room.
//
//   stream_reader RING_PIN LOST_PIN
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct event {
	uint64_t time, cgroup;
	uint32_t process, thread;
	uint64_t call;
};

static volatile sig_atomic_t asked;
static uint64_t by_call[1024], events;

static void ask(int signal)
{
	(void)signal;
	asked = 1;
}

static int read_event(void *context, void *data, size_t size)
{
	const struct event *event = data;

	(void)context;
	(void)size;
	by_call[event->call & 1023]++;
	events++;
	return 0;
}

static uint64_t lost_events(int map)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *counts = calloc(cpus, sizeof *counts), lost = 0;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(map, &zero, counts))
		exit(1);
	for (int cpu = 0; cpu < cpus; cpu++)
		lost += counts[cpu];
	free(counts);
	return lost;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring;
	int lost, waited;

	if (argc != 3)
		return 2;
	signal(SIGUSR1, ask);
	lost = bpf_obj_get(argv[2]);
	ring = ring_buffer__new(bpf_obj_get(argv[1]), read_event, NULL, NULL);
	if (lost < 0 || !ring)
		return 1;
	puts("reading");
	for (;;) {
		fflush(stdout);
		waited = ring_buffer__poll(ring, 100);
		if (waited < 0 && waited != -EINTR)
			return 1;
		if (asked) {
			asked = 0;
			ring_buffer__consume(ring);
			printf("%lu %lu\n", events, lost_events(lost));
		}
	}
}
