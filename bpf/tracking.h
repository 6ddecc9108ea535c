/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which group a task belongs to, at a cost that an untracked task hardly notices: the answer is
 * kept with the thread, and looked up again only when the set of tracked cgroups changed or any
 * task moved to another cgroup.
 */

struct thread {
	u64 ngram;
	u64 cgroup;
	u32 generation;	/* of the set of tracked cgroups; 0 when nothing is known yet */
	u32 moves;
	union {
		struct {
			u32 group;
			u32 owner;	/* id of the thread; 0 in a free place, where all else is 0, too */
		};
		u64 claim;
	};
};

/* Cgroup id -> group. */
BPF_HASH(tracked, u64, u32, MAX_GROUPS);
/* Cgroup id -> at which levels below it cgroups to track appear: bit 0 for its children, and so on. */
BPF_HASH(nurseries, u64, u32, MAX_GROUPS);
/* Cgroup id -> group of who made it, of those in which nothing was executed since; the oldest are
 * forgotten where there are many. */
BPF_TABLE("lru_hash", u64, u32, pristine, MAX_GROUPS);
/* Cgroup id -> path, of all that have a group. */
BPF_HASH(cgroup_paths, u64, struct cgroup_path, MAX_GROUPS);
/* By group. */
BPF_F_TABLE("array", u32, struct owner, owners, MAX_GROUPS, BPF_F_MMAPABLE);
/* Numbers that no group has. */
BPF_QUEUE(free_groups, u32, MAX_GROUPS);
BPF_F_TABLE("array", u32, struct control, control, 1, BPF_F_MMAPABLE);
BPF_PERCPU_ARRAY(path_buffer, struct cgroup_path, 1);
/*
 * By CPU: the serial of the program that counts there.  A new version is loaded beside the old one
 * and shares this map with it, so that one store on each CPU ends one's counting and begins the
 * other's, with no call between (baseline/kernel/succession.py).  BCC makes one for each version, and
 * the loader puts the shared one in its place.
 */
BPF_ARRAY(counting, u64, CPUS);
BPF_F_TABLE("array", u32, struct ledger, ledgers, MAX_GROUPS, BPF_F_MMAPABLE);

/*
 * The state of threads: places of 32 bytes, found by the low bits of the thread id.  Workers that
 * were started one after the other run side by side on other CPUs, so ids that follow each other are
 * not kept side by side: what shares a cache line is THREAD_COLUMNS apart.
 *
 * A thread takes its place with its first call and leaves it at its end.  Ids that go beyond the
 * number of places (systemd has them go to 4,194,304) may find theirs taken: the state of such a
 * thread is with its task, for as long as it lives, which is dearer (docs/overhead.md) and as exact.
 */
#define THREAD_COLUMNS (THREAD_PLACES < 64 ? THREAD_PLACES : 64)
BPF_ARRAY(threads, struct thread, THREAD_PLACES);
BPF_TASK_STORAGE(displaced, struct thread);

INLINE struct thread *place_of(u32 pid)
{
	u32 low = pid % THREAD_PLACES;
	u32 place = low % THREAD_COLUMNS * (THREAD_PLACES / THREAD_COLUMNS) + low / THREAD_COLUMNS;
	return threads.lookup(&place);
}

/* The current thread's state where its place is not its own, or not yet. */
INLINE struct thread *displaced_thread(struct thread *place, u32 pid)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct thread *thread = displaced.task_storage_get(task, 0, 0);

	if (thread)
		return thread;
	/* Two that want one place may begin at once on two CPUs. */
	if (place && !__sync_val_compare_and_swap(&place->claim, 0, (u64)pid << 32))
		return place;
	return displaced.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* The state of the current thread, which is never the idle one, 0. */
INLINE struct thread *thread_of(struct task_struct *task)
{
	u32 pid = task->pid;
	struct thread *place = place_of(pid);

	return place && place->owner == pid ? place : displaced_thread(place, pid);
}

/* A thread of this id has ended, or one is about to begin. */
INLINE void free_place(u32 pid)
{
	struct thread *place = place_of(pid);

	if (!place || place->owner != pid)
		return;
	place->ngram = 0;
	place->cgroup = 0;
	place->generation = 0;
	place->moves = 0;
	place->group = 0;
	BARRIER();	/* whoever finds it free finds it empty */
	place->owner = 0;
}

INLINE struct control *the_control(void)
{
	u32 zero = 0;
	return control.lookup(&zero);
}

INLINE struct ledger *ledger_of(u32 group)
{
	return ledgers.lookup(&group);
}

INLINE bool is_counting(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	u64 *serial = counting.lookup(&cpu);

	return serial && *serial == SERIAL;
}

/* The nearest tracked cgroup at or above the current task's own. */
INLINE u32 find_group(u64 cgroup)
{
	u32 *group = tracked.lookup(&cgroup);
	if (group)
		return *group;
#pragma unroll
	for (int level = MAX_CGROUP_DEPTH; level > 0; level--) {
		u64 ancestor = bpf_get_current_ancestor_cgroup_id(level);
		if (!ancestor)
			continue;
		group = tracked.lookup(&ancestor);
		if (group)
			return *group;
	}
	return 0;
}

/* Looks the current task's group up; a move between groups forgets history. */
INLINE void find_again(struct task_struct *task, struct thread *thread, struct control *shared)
{
	u32 generation = shared->generation, moves = shared->moves;
	BARRIER();	/* a move that happens now is seen by the next call */
	u64 cgroup = task->cgroups->dfl_cgrp->kn->id;

	if (thread->cgroup != cgroup || thread->generation != generation) {
		u32 group = find_group(cgroup);
		if (group != thread->group)
			thread->ngram = 0;
		thread->cgroup = cgroup;
		thread->group = group;
	}
	thread->generation = generation;
	thread->moves = moves;
}

/* Group of the current task, whose thread state is given. */
INLINE u32 group_of(struct task_struct *task, struct thread *thread)
{
	struct control *shared = the_control();

	if (!shared)
		return 0;
	if (thread->generation != (u32)shared->generation || thread->moves != (u32)shared->moves)
		find_again(task, thread, shared);
	return thread->group;
}

/*
 * Outside the hot path.  Of the thread's state only its place is asked, and that only for what it
 * says of our cgroup: a polling thread of io_uring begins without the fork hook, perhaps with an id
 * that a thread gave up by an exec, so the place may be another's; and before Linux 6.16 the hooks
 * of connect and sendmsg may not look at what is kept with the task.
 */
INLINE u32 current_group(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	u64 cgroup = task->cgroups->dfl_cgrp->kn->id;
	struct control *shared = the_control();
	u32 pid = task->pid;
	struct thread *place = place_of(pid);

	if (place && shared && place->owner == pid && place->cgroup == cgroup &&
	    place->generation == (u32)shared->generation)
		return place->group;
	return find_group(cgroup);
}

/* 0 for the version 1 hierarchies, which have ids of their own that may equal ours. */
INLINE u64 id_of_cgroup(struct cgroup *cgroup)
{
	struct cgroup_root *root = 0;
	struct kernfs_node *node = 0;
	int hierarchy = -1;
	u64 id = 0;

	if (!READ(root, cgroup->root) || !READ(hierarchy, root->hierarchy_id) || hierarchy != 0)
		return 0;
	READ(node, cgroup->kn);
	READ(id, node->id);
	return id;
}

/*
 * Every way from one cgroup to another ends here (kernel/cgroup/cgroup.c: cgroup_attach_task), but
 * for clone() straight into one: a new thread knows nothing yet.
 */
AT_TRACEPOINT(cgroup_attach_task)
{
	struct control *shared = the_control();

	if (shared && id_of_cgroup((struct cgroup *)ctx->args[0]))
		ADD(shared->moves, 1);
	return 0;
}

/*
 * A cgroup that appears at the right depth below a nursery is tracked before its first process
 * runs: a container's first calls and programs are not missed.  User space lets those go again
 * whose name does not match what the user asked for.
 */
AT_TRACEPOINT(cgroup_mkdir)
{
	struct cgroup *cgroup = (struct cgroup *)ctx->args[0];
	struct cgroup_subsys_state *parent_state = 0;
	u64 id = id_of_cgroup(cgroup), parent_id;
	u32 zero = 0, group = 0, levels, maker = current_group();

	if (!id)
		return 0;
	pristine.update(&id, &maker);
	if (!READ(parent_state, cgroup->self.parent) || !parent_state)
		return 0;
	parent_id = id_of_cgroup((struct cgroup *)((char *)parent_state - CGROUP_SELF_OFFSET));
	u32 *below = nurseries.lookup(&parent_id);
	if (!below)
		return 0;
	levels = *below >> 1;
	if (levels)
		nurseries.update(&id, &levels);
	if (!(*below & 1))
		return 0;
	struct cgroup_path *path = path_buffer.lookup(&zero);
	if (!path)
		return 0;
	__builtin_memset(path, 0, sizeof(*path));
	bpf_probe_read_kernel_str(path->text, sizeof(path->text), (void *)ctx->args[1]);
	if (free_groups.pop(&group)) {
		struct control *shared = the_control();
		if (shared)
			ADD(shared->groups_exhausted, 1);
		return 0;
	}
	struct owner *owner = owners.lookup(&group);
	if (!owner)
		return 0;
	cgroup_paths.update(&id, path);
	owner->cgroup = id;
	owner->state = GROUP_TRACKED;
	tracked.update(&id, &group);
	return 0;
}

/* Nothing runs in it any more.  What it counted stays until every reader has read it. */
AT_TRACEPOINT(cgroup_rmdir)
{
	u64 id = id_of_cgroup((struct cgroup *)ctx->args[0]);
	u32 *group = tracked.lookup(&id), ended;

	nurseries.delete(&id);
	if (!group)
		return 0;
	ended = *group;
	tracked.delete(&id);
	struct owner *owner = owners.lookup(&ended);
	if (owner && owner->cgroup == id) {
		owner->epoch = 0;	/* readers have to see the end, whatever they waited for before */
		BARRIER();
		owner->state = GROUP_ENDED;
	}
	return 0;
}
