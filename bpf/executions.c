/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Program executions, each with its lineage: the images of the process and its ancestors inside the
 * workload.  A lineage begins with the first exec (or, for processes that ran before, with what
 * /proc says) in the group; a fork inherits it; an exec appends to it unless the image is the same.
 * A group that has used up its quota of lineages has the rest counted as one.  What a container
 * runtime executes on its way in is no part of it.
 */

BPF_HASH(executions, struct execution_key, u64, MAX_EXECUTIONS);
BPF_HASH(images, u64, struct image, MAX_IMAGES);		/* hash of an image -> its name */
BPF_PERCPU_ARRAY(image_buffer, struct image, 1);
BPF_PERCPU_ARRAY(process_buffer, struct process, 1);

/*
 * Path of the program's file as d_path() would give it (fs/d_path.c): up the directory entries and
 * across mount points to the root of the mount namespace.  The kernel's own file cannot be changed
 * behind our back, as the path in the caller's memory can.
 */
INLINE void read_path(struct image *image, struct file *file)
{
	struct dentry *entry = 0, *root = 0, *parent = 0;
	struct vfsmount *visible = 0;
	struct mount *mount, *above = 0;
	const unsigned char *name = 0;
	u32 components = 0;

	READ(entry, file->f_path.dentry);
	READ(visible, file->f_path.mnt);
	mount = (struct mount *)((char *)visible - MOUNT_MNT_OFFSET);
	for (int step = 0; step < PATH_COMPONENTS + MAX_MOUNTS; step++) {
		READ(root, mount->mnt.mnt_root);
		if (entry == root) {
			READ(above, mount->mnt_parent);
			if (above == mount)
				return;
			READ(entry, mount->mnt_mountpoint);
			mount = above;
			continue;
		}
		if (components >= PATH_COMPONENTS)
			break;
		READ(name, entry->d_name.name);
		bpf_probe_read_kernel_str(image->path[components], COMPONENT_SIZE, name);
		components++;
		READ(parent, entry->d_parent);
		if (parent == entry) {
			image->flags |= IMAGE_DETACHED;
			return;
		}
		entry = parent;
	}
	image->flags |= IMAGE_PATH_CUT;
}

INLINE u64 hash_image(const struct image *image, u64 seed)
{
	const u64 *words = (const u64 *)image;
	u64 hash = seed;

	for (int i = 0; i < sizeof(*image) / sizeof(u64); i++) {
		hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15ULL;
		hash ^= hash >> 29;
	}
	return hash > IMAGE_FOLDED ? hash : IMAGE_FOLDED + 1;
}

/* Identity of the image that the current task has just begun to run; 0 where there is no memory. */
INLINE u64 identify_image(struct task_struct *task, struct linux_binprm *program)
{
	u32 zero = 0, links = 1;
	struct image *image = image_buffer.lookup(&zero);
	struct control *shared = the_control();
	struct mm_struct *memory = 0;
	struct file *file = 0;
	struct inode *inode = 0;
	const char *given = 0, *interpreter = 0;

	if (!image || !shared)
		return 0;
	__builtin_memset(image, 0, sizeof(*image));
	READ(memory, task->mm);
	READ(file, memory->exe_file);
	READ(inode, file->f_inode);
	READ(links, inode->i_nlink);
	if (!links)
		image->flags |= IMAGE_UNLINKED;
	read_path(image, file);
	READ(given, program->filename);
	READ(interpreter, program->interp);
	if (given != interpreter)	/* "#!": the file that was asked for is the script */
		bpf_probe_read_kernel_str(image->script, SCRIPT_SIZE, given);
	return hash_image(image, shared->image_seed);
}

/* Keeps the name of the image that was identified last on this CPU. */
INLINE void keep_image(u64 hash, struct ledger *ledger)
{
	u32 zero = 0;
	struct image *image = image_buffer.lookup(&zero);

	if (image && !images.lookup(&hash) && images.update(&hash, image))
		ADD(ledger->images_lost, 1);
}

/* A process has a lineage: of its own from now on, or another one than before. */
INLINE void set_lineage(u32 tgid, const struct process *process)
{
	struct ledger *ledger = ledger_of(process->group), *former;
	struct process *before = processes.lookup(&tgid);

	if (!ledger)
		return;
	if (before) {
		former = ledger_of(before->group);
		if (former)
			ADD(former->processes, -1);
		ADD(ledger->processes, 1);
		*before = *process;
	} else if ((s64)ledger->processes >= PROCESS_QUOTA ||
		   processes.update(&tgid, (void *)process)) {
		ADD(ledger->lineages_lost, 1);
	} else {
		ADD(ledger->processes, 1);
	}
}

AT_TRACEPOINT(sched_process_fork)
{
	struct task_struct *parent = (struct task_struct *)ctx->args[0];
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	u32 pid = 0, tgid = 0, parent_tgid = 0;

	READ(pid, child->pid);
	READ(tgid, child->tgid);
	READ(parent_tgid, parent->tgid);
	free_place(pid);	/* where a thread that executed gave up this id for its process's */
	if (pid != tgid)
		return 0;
	struct process *inherited = processes.lookup(&parent_tgid);
	if (inherited)
		set_lineage(tgid, inherited);
	return 0;
}

INLINE void sight_execution(const struct execution_key *key)
{
	struct event *event = new_event(EVENT_EXECUTION, key->group, true);
	if (event) {
		event->execution = *key;
		events.ringbuf_submit(event, 0);
	}
}

INLINE void count_execution(struct execution_key *key, struct ledger *ledger)
{
	u64 one = 1, *count = executions.lookup(key);

	ADD(ledger->executions, 1);
	if (!count) {
		if (ledger->execution_keys < EXECUTION_QUOTA && executions.insert(key, &one) == 0) {
			ADD(ledger->execution_keys, 1);
			keep_image(key->lineage[0], ledger);
			sight_execution(key);
			return;
		}
		count = executions.lookup(key);	/* another CPU made it meanwhile, or it is full */
	}
	if (!count) {
		sight_execution(key);
		__builtin_memset(key->lineage, 0, sizeof(key->lineage));
		key->lineage[0] = IMAGE_FOLDED;
		key->uid = ANY_USER;
		count = executions.lookup(key);
		if (!count && executions.insert(key, &one) == 0)
			return;
		if (!count)
			count = executions.lookup(key);
	}
	if (count)
		ADD(*count, 1);
	else
		ADD(ledger->executions_lost, 1);
}

/* Whether the program's file is on no mount of its namespace: in memory, or on a detached mount. */
INLINE bool is_unreachable(struct task_struct *task)
{
	struct mm_struct *memory = 0;
	struct file *file = 0;
	struct vfsmount *visible = 0;
	struct mount *mount;
	void *namespace = 0;

	READ(memory, task->mm);
	READ(file, memory->exe_file);
	READ(visible, file->f_path.mnt);
	mount = (struct mount *)((char *)visible - MOUNT_MNT_OFFSET);
	return READ(namespace, mount->mnt_ns) && namespace != task->nsproxy->mnt_ns;
}

/*
 * Whether this exec is a container runtime's, before it enters the container that it makes.  The
 * process that runc sends ahead executes itself once more, from where the container cannot reach
 * it, while runc moves it into the cgroup: which of the two comes first is chance (initProcess in
 * libcontainer/process_linux.go, ensure_cloned_binary in libcontainer/nsenter).  To count it would
 * give one container two lineages.
 *
 * An intruder cannot pass for it: it has to be the first exec in a cgroup that somebody outside
 * the workload made, by a process that came from outside, too, and has not left the mounts of its
 * parent.
 */
INLINE bool is_of_runtime(struct task_struct *task, struct thread *thread)
{
	u64 cgroup = thread->cgroup;
	u32 *maker = pristine.lookup(&cgroup), tgid = task->tgid;

	if (!maker)
		return false;
	struct process *known = processes.lookup(&tgid);
	bool is_from_outside = *maker != thread->group && !(known && known->group == thread->group);
	pristine.delete(&cgroup);
	return is_from_outside && is_unreachable(task) &&
	       task->nsproxy->mnt_ns == task->real_parent->nsproxy->mnt_ns;
}

AT_TRACEPOINT(sched_process_exec)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct linux_binprm *program = (struct linux_binprm *)ctx->args[2];
	struct thread *thread = thread_of(task);
	u32 zero = 0, tgid = task->tgid;

	if (!thread)
		return 0;
	/* What else is kept is the task's own, also where it has just taken the id of its process. */
	thread->ngram = 0;
	u32 group = group_of(task, thread);
	struct process *updated = process_buffer.lookup(&zero);
	struct ledger *ledger = ledger_of(group);
	if (!group || !updated || !ledger || is_of_runtime(task, thread))
		return 0;

	struct process *before = processes.lookup(&tgid);
	u64 image = identify_image(task, program);
	__builtin_memset(updated, 0, sizeof(*updated));
	updated->group = group;
	if (before && before->group == group) {
		if (before->lineage[0] == image) {
			*updated = *before;
		} else {
#pragma unroll
			for (int i = 1; i < MAX_LINEAGE; i++)
				updated->lineage[i] = before->lineage[i - 1];
		}
	}
	updated->lineage[0] = image;
	set_lineage(tgid, updated);
	if (!is_counting()) {
		/* Its lineage is in those of what it executes when we count. */
		keep_image(image, ledger);
		return 0;
	}
	struct execution_key key = { .group = group, .uid = task->cred->euid };
	__builtin_memcpy(key.lineage, updated->lineage, sizeof(key.lineage));
	count_execution(&key, ledger);
	return 0;
}

/*
 * No thread makes a call after this.  A lineage ends with the last thread of its process, not with the
 * first, which may go early.
 */
AT_TRACEPOINT(sched_process_exit)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	u32 tgid = task->tgid;

	free_place(task->pid);
	if (task->signal->live)
		return 0;
	struct process *process = processes.lookup(&tgid);
	if (!process)
		return 0;
	struct ledger *ledger = ledger_of(process->group);
	/* Of threads that end together each may be the last, but only one finds it to be deleted. */
	if (processes.delete(&tgid) == 0 && ledger)
		ADD(ledger->processes, -1);
	return 0;
}
