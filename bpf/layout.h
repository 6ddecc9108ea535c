/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel part and its readers share.  baseline/kernel/layout.py repeats these structs for
 * numpy; tests/kernel/test_layout.py compiles this file and compares every size and offset.
 */

/* A system-call n-gram: the last NGRAM_LENGTH symbols of one thread, the newest in the lowest bits.
 * baseline/syscalls.py explains the symbols. */
#define SYMBOL_BITS 10
#define NGRAM_LENGTH 6
#define NGRAM_MASK ((1ULL << (SYMBOL_BITS * NGRAM_LENGTH)) - 1)
#define SYMBOL_OUT_OF_RANGE 510
#define SYMBOL_CANCELLED 511
#define SYMBOL_COMPAT 512
#define KIND_SHIFT 60
#define KIND_IO_URING (1ULL << KIND_SHIFT)
#define KIND_FOLDED (2ULL << KIND_SHIFT)

/* A group is one tracked cgroup with its subtree; 0 is none. */
#define MAX_GROUPS 4096

/*
 * The life of a group's number.  It is given to another cgroup only when every reader has read the
 * last counts of the one before, and then once more, after they were wiped (baseline/kernel/
 * reclaiming.py), so that nobody takes the counts of one cgroup for those of another.
 */
#define GROUP_FREE 0
#define GROUP_TAKING 1	/* user space is about to track a cgroup by it */
#define GROUP_TRACKED 2
#define GROUP_ENDED 3	/* no more counts will come: the cgroup is gone, or was let go */
#define GROUP_WIPED 4	/* its counts are gone from all tables */

#define GROUP_SHIFT 48
#define COUNT_MASK ((1ULL << GROUP_SHIFT) - 1)

/* Lineage: the images of a process and its ancestors in the workload, newest first, 0 for none. */
#define MAX_LINEAGE 8
/* The image that stands for all those of a workload that has used up its room. */
#define IMAGE_FOLDED 1
/* The user that stands for all those who started one. */
#define ANY_USER 0xFFFFFFFF

/* An image's path is kept as its last components, the last one first. */
#define PATH_COMPONENTS 12
#define COMPONENT_SIZE 48
#define SCRIPT_SIZE 96
#define IMAGE_UNLINKED 1
#define IMAGE_PATH_CUT 2
#define IMAGE_DETACHED 4	/* the file is in no directory tree: one in memory */

#define CGROUP_PATH_SIZE 512
#define COMM_SIZE 16
#define ARGUMENTS_SIZE 512	/* bytes kept of a command line */
#define MAX_ARGUMENTS (1 << 30)	/* bytes that no command line reaches */

#define DIRECTION_IN 0
#define DIRECTION_OUT 1

/*
 * One counter of the n-gram table.  The group is above the count, in one word, and that word comes
 * first: the kernel writes the n-gram before it and a reader copies upwards, so whoever sees a
 * count sees the n-gram it belongs to.  A slot that counts never changes its n-gram or its group.
 */
struct slot {
	u64 group_count;
	u64 ngram;
};

/* What each CPU counts of each group, apart from the tables. */
struct counter {
	u64 calls;
	u64 keys;	/* slots that the group has taken in this CPU's region */
};

/* Which cgroup a group's number belongs to; reclaiming waits for readers that are behind epoch. */
struct owner {
	u64 cgroup;
	u32 state;
	u32 unused;
	u64 epoch;
};

/* The overflow table of n-grams that found no free slot. */
struct ngram_key {
	u64 ngram;
	u64 group;
};

struct execution_key {
	u64 lineage[MAX_LINEAGE];
	u32 group;
	u32 uid;
};

struct connection_key {
	u32 group;
	u16 port;
	u8 family;
	u8 protocol;
	u8 direction;
	u8 folded;	/* the address is left out, and where it is 0 the port */
	u8 unused[2];
	u8 address[16];
};

struct image {
	char path[PATH_COMPONENTS][COMPONENT_SIZE];
	char script[SCRIPT_SIZE];
	u32 flags;
	u32 unused;
};

/* The lineage of a living process. */
struct process {
	u64 lineage[MAX_LINEAGE];
	u64 group;
};

struct cgroup_path {
	char text[CGROUP_PATH_SIZE];
};

/* What happened to the counts of one group.  System calls are counted apart, for each CPU. */
struct ledger {
	u64 ngrams_overflowed;
	u64 ngrams_lost;
	u64 executions;
	u64 executions_lost;
	u64 connections;
	u64 connections_overflowed;
	u64 connections_lost;
	u64 events;
	u64 events_held_back;	/* not sent: the group had too many */
	u64 events_lost;	/* not sent: the buffer was full */
	u64 lineages_lost;	/* processes whose lineage found no room: theirs begins anew */
	u64 images_lost;	/* images whose name found no room */
	/* Entries that the group has in the tables, none of which it may have more than its quota of. */
	u64 overflow_keys;
	u64 execution_keys;
	u64 connection_keys;
	u64 folded_connection_keys;
	u64 processes;	/* signed: seeding counts beside us, and may miss one that has just begun */
};

/* One for the whole machine, memory-mapped: user space writes the generation in place. */
struct control {
	u64 generation;		/* from 1; user space adds 1 after each change of what is tracked */
	u64 moves;		/* of tasks from one cgroup to another */
	u64 image_seed;		/* random, so that nobody can prepare two images with one hash */
	u64 unattributed;	/* calls of threads for whose state there is no memory */
	u64 groups_exhausted;	/* cgroups that appeared when no group number was left */
	u64 epoch;		/* user space adds 1 when something has to wait for all readers */
	u64 serial;		/* names this loading of the program, never 0 */
};

enum event_type {
	EVENT_NGRAM = 1,
	EVENT_EXECUTION = 2,
	EVENT_CONNECTION = 3,
};

/* First sight: a new key took a slot.  pid is 0 where the kernel cannot tell who it was. */
struct event {
	u64 time;		/* CLOCK_MONOTONIC, ns */
	u32 type;
	u32 group;
	u32 pid;
	u32 tid;
	char comm[COMM_SIZE];
	u64 lineage[MAX_LINEAGE];
	/* As the process's own memory has them, each with a zero behind it; it can change them. */
	u32 arguments_length;	/* of all, also where fewer bytes are kept */
	u32 unused;
	char arguments[ARGUMENTS_SIZE];
	union {
		u64 ngram;
		struct execution_key execution;
		struct connection_key connection;
	};
};
