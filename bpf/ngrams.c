/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * System-call n-grams, for each thread, exact.
 *
 * A thread's history starts empty at fork and clone, at exec, and when it moves to another group.
 * Counters live in one memory-mapped table with a region for each CPU: raw tracepoints of system
 * calls run with preemption disabled (kernel/trace/bpf_trace.c), so a region has one writer and
 * needs no atomic instruction.
 */

BPF_F_TABLE("array", u32, struct slot, slots, CPUS << SLOT_BITS, BPF_F_MMAPABLE);
BPF_PERCPU_HASH(ngram_overflow, struct ngram_key, u64, NGRAM_OVERFLOW);
/* CPU * MAX_GROUPS + group: counted apart from the table, so that the ledger is a check. */
BPF_F_TABLE("array", u32, struct counter, counters, CPUS * MAX_GROUPS, BPF_F_MMAPABLE);

#define NO_SLOT (CPUS << SLOT_BITS)	/* behind the last one */

INLINE void sight_ngram(u64 ngram, u32 group)
{
	struct event *event = new_event(EVENT_NGRAM, group, true);
	if (event) {
		event->ngram = ngram;
		events.ringbuf_submit(event, 0);
	}
}

/* No slot is free, or the group has used up its quota of them. */
INLINE void overflow_ngram(u64 ngram, u32 group)
{
	struct ngram_key key = { .ngram = ngram, .group = group };
	struct ledger *ledger = ledger_of(group);
	u64 one = 1, *count = ngram_overflow.lookup(&key);

	if (!ledger)
		return;
	/* What is over the quota is counted without the calls before; requests of io_uring are few. */
	if (!count && ledger->overflow_keys >= NGRAM_OVERFLOW_QUOTA && !(ngram >> KIND_SHIFT)) {
		key.ngram = KIND_FOLDED | (ngram & ((1 << SYMBOL_BITS) - 1));
		count = ngram_overflow.lookup(&key);
	}
	if (count) {
		*count += 1;
		ADD(ledger->ngrams_overflowed, 1);
	} else if (ngram_overflow.update(&key, &one) == 0) {
		ADD(ledger->ngrams_overflowed, 1);
		ADD(ledger->overflow_keys, 1);
		sight_ngram(key.ngram, group);
	} else {
		ADD(ledger->ngrams_lost, 1);
	}
}

INLINE void count_ngram(u64 ngram, u32 group)
{
	u32 cpu = bpf_get_smp_processor_id();
	u32 total = cpu * MAX_GROUPS + group;
	struct counter *counter = counters.lookup(&total);
	u32 unused = NO_SLOT;
	u64 owner = (u64)group << GROUP_SHIFT;
	/* Fibonacci hashing: multiply by 2^64 / golden ratio, keep the highest bits. */
	u32 home = ((ngram ^ owner) * 0x9E3779B97F4A7C15ULL) >> (64 - SLOT_BITS);

	if (!counter)
		return;
	counter->calls++;
	/* A slot that was given back may lie before the one that holds the n-gram: look at all. */
#pragma unroll
	for (int probe = 0; probe < SLOT_PROBES; probe++) {
		u32 index = (cpu << SLOT_BITS) + ((home + probe) & ((1 << SLOT_BITS) - 1));
		struct slot *slot = slots.lookup(&index);
		if (!slot)
			return;
		if (slot->ngram == ngram && (slot->group_count & ~COUNT_MASK) == owner &&
		    slot->group_count) {
			slot->group_count++;
			return;
		}
		if (!slot->group_count && unused == NO_SLOT)
			unused = index;
	}
	struct slot *taken = slots.lookup(&unused);
	if (!taken || counter->keys >= SLOT_QUOTA) {
		overflow_ngram(ngram, group);
		return;
	}
	counter->keys++;
	taken->ngram = ngram;
	BARRIER();
	taken->group_count = owner | 1;
	sight_ngram(ngram, group);
}

INLINE u64 symbol_of(struct task_struct *task, long number)
{
	u64 symbol = number + 1;

	if (number == -1)
		symbol = SYMBOL_CANCELLED;
	else if ((u64)number >= SYMBOL_OUT_OF_RANGE - 1)
		symbol = SYMBOL_OUT_OF_RANGE;
	/* TS_COMPAT: this call came through the 32-bit entry (arch/x86/include/asm/thread_info.h). */
	if (task->thread_info.status & 2)
		symbol |= SYMBOL_COMPAT;
	return symbol;
}

INLINE int count_call(struct bpf_raw_tracepoint_args *ctx, struct task_struct *task)
{
	struct thread *thread = thread_of(task);

	if (!thread) {
		struct control *shared = the_control();
		if (shared)
			ADD(shared->unattributed, 1);
		return 0;
	}
	u32 group = group_of(task, thread);
	if (!group)
		return 0;
	thread->ngram = (thread->ngram << SYMBOL_BITS | symbol_of(task, (int)ctx->args[1])) & NGRAM_MASK;
	if (is_counting())
		count_ngram(thread->ngram, group);
	return 0;
}

/* The loader attaches the first one of these that the kernel takes. */
#if RUN_QUEUE_TYPE
int count_call_at_run_queue(struct bpf_raw_tracepoint_args *ctx)
{
	return count_call(ctx, current_task());
}
#endif

int count_call_anywhere(struct bpf_raw_tracepoint_args *ctx)
{
	return count_call(ctx, (struct task_struct *)bpf_get_current_task_btf());
}

/*
 * io_uring requests never pass the system-call entry; each is an n-gram of its own, of kind 1.
 * Before Linux 6.4 the tracepoint has another name (baseline/kernel/program.py).
 */
AT_TRACEPOINT(io_uring_submit_req)
{
	struct io_kiocb *request = (struct io_kiocb *)ctx->args[0];
	u32 group = current_group();
	u8 opcode = 0;

	if (group && is_counting() && READ(opcode, request->opcode))
		count_ngram(KIND_IO_URING | (opcode + 1), group);
	return 0;
}
