/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * First-sight events: sent only when a new key takes a slot, so known behaviour costs none.  A full
 * ring buffer loses the event, never the count, and the loss is counted.
 */

BPF_RINGBUF_OUTPUT(events, EVENT_PAGES);
BPF_HASH(processes, u32, struct process, MAX_PROCESSES);	/* process id -> its lineage */

/* The caller fills the item and submits; `identified` where the current task is who did it. */
INLINE struct event *new_event(u32 type, u32 group, bool identified)
{
	struct ledger *ledger = ledger_of(group);
	struct event *event = events.ringbuf_reserve(sizeof(struct event));

	if (ledger) {
		ADD(ledger->events, 1);
		if (!event)
			ADD(ledger->events_lost, 1);
	}
	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->time = bpf_ktime_get_ns();
	event->type = type;
	event->group = group;
	if (identified) {
		u64 id = bpf_get_current_pid_tgid();
		event->pid = id >> 32;
		event->tid = id;
		bpf_get_current_comm(event->comm, sizeof(event->comm));
		struct process *process = processes.lookup(&event->pid);
		if (process && process->group == group)
			__builtin_memcpy(event->lineage, process->lineage, sizeof(event->lineage));
	}
	return event;
}
