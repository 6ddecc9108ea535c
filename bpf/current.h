/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which task runs here, without calling a helper for it: on some CPUs that call costs more than
 * counting does (`helper` in docs/overhead.md).
 *
 * The task is read from this CPU's run queue.  Where that lies is found once on each CPU, through
 * a task whose run queue names this CPU and this task; until then the helper is asked.
 */

#if RUN_QUEUE_TYPE

/* By CPU; 0 while it is not known. */
BPF_PERCPU_ARRAY(run_queues, u64, 1);

/*
 * The kernel's bpf_rdonly_cast(), which costs nothing: the verifier puts a register's move in its
 * place.  BCC knows no such functions; baseline/kernel/kernel_functions.py puts the true one here.
 */
static struct rq *(*as_run_queue)(u64 address, u64 type) = (void *)RDONLY_CAST_MARK;

INLINE struct task_struct *current_task(void)
{
	u32 zero = 0;
	u64 *place = run_queues.lookup(&zero);
	struct task_struct *task;
	struct rq *queue;

	if (place && *place)
		return as_run_queue(*place, RUN_QUEUE_TYPE)->curr;
	task = (struct task_struct *)bpf_get_current_task_btf();
	queue = task->se.cfs_rq->rq;
	if (place && queue->cpu == bpf_get_smp_processor_id() && queue->curr == task)
		*place = (u64)queue;
	return task;
}

#endif
