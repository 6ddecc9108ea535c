/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * First-sight events: sent only when a new key takes its place, so known behaviour costs none.  A
 * group that has too many at once is held back, so that it cannot fill the buffer for its
 * neighbours; a full buffer loses the event.  Neither loses the count, and both are counted.
 */

BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
BPF_HASH(processes, u32, struct process, MAX_PROCESSES);	/* process id -> its lineage */

#define EVENT_TYPES 4
#define EVENT_BURST 1024ULL
#define EVENT_PAUSE 4000000ULL	/* ns from one to the next when the burst is used up */
/* Group * EVENT_TYPES + type -> when it would be due, if all had kept the pause (GCRA). */
BPF_ARRAY(due_events, u64, MAX_GROUPS * EVENT_TYPES);

INLINE bool may_send(u32 type, u32 group)
{
	u32 index = group * EVENT_TYPES + type;
	u64 *due = due_events.lookup(&index), now = bpf_ktime_get_ns(), next;

	if (!due)
		return false;
	next = *due;
	if (next < now)
		next = now;
	if (next - now > EVENT_BURST * EVENT_PAUSE)
		return false;
	*due = next + EVENT_PAUSE;	/* two CPUs at once may both pay for one */
	return true;
}

/* The command line of the current process.  Its pages may be gone: then there is none. */
INLINE void read_arguments(struct event *event)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct mm_struct *memory = task->mm;
	u64 start, end, length;

	if (!memory)
		return;
	start = memory->arg_start;
	end = memory->arg_end;
	length = end - start;
	if (end <= start || length > MAX_ARGUMENTS)
		return;
	event->arguments_length = length;
	if (length > ARGUMENTS_SIZE)
		length = ARGUMENTS_SIZE;
	if (read_user(event->arguments, length, (void *)start))
		event->arguments_length = 0;
}

/* The caller fills the item and submits; `identified` where the current task is who did it. */
INLINE struct event *new_event(u32 type, u32 group, bool identified)
{
	struct ledger *ledger = ledger_of(group);
	struct event *event;

	if (!ledger)
		return 0;
	ADD(ledger->events, 1);
	if (!may_send(type, group)) {
		ADD(ledger->events_held_back, 1);
		return 0;
	}
	event = events.ringbuf_reserve(sizeof(struct event));
	if (!event) {
		ADD(ledger->events_lost, 1);
		return 0;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_ns();
	event->type = type;
	event->group = group;
	if (identified) {
		u64 id = bpf_get_current_pid_tgid();
		event->pid = id >> 32;
		event->tid = id;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		read_arguments(event);
		struct process *process = processes.lookup(&event->pid);
		if (process && process->group == group)
			__builtin_memcpy(event->lineage, process->lineage, sizeof(event->lineage));
	}
	return event;
}
