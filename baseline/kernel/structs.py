"""The C header with the kernel structs that ``bpf/`` reads, generated for the running kernel.

Each struct has just the members that we use, each at its true offset, so the C says
``task->tgid`` and never meets the headers of another kernel, whose offsets would be silently wrong.
"""

from baseline.errors import KernelError
from baseline.kernel.btf import KernelTypes

# Struct -> member -> C type.  A struct stands after those it holds by value.
_USED: dict[str, dict[str, str]] = {
    "thread_info": {"status": "u32"},
    "kernfs_node": {"id": "u64"},
    "cgroup_subsys_state": {"parent": "struct cgroup_subsys_state *"},
    "cgroup_root": {"hierarchy_id": "int"},
    "cgroup": {
        "self": "struct cgroup_subsys_state",
        "kn": "struct kernfs_node *",
        "root": "struct cgroup_root *",
        "level": "int",
        "ancestors": "struct { struct cgroup *at[0]; }",
    },
    "css_set": {"dfl_cgrp": "struct cgroup *"},
    "cred": {"euid": "u32"},
    "signal_struct": {"live": "int"},
    "vfsmount": {"mnt_root": "struct dentry *"},
    "mount": {
        "mnt": "struct vfsmount",
        "mnt_ns": "void *",
        "mnt_parent": "struct mount *",
        "mnt_mountpoint": "struct dentry *",
    },
    "qstr": {"name": "const unsigned char *"},
    "dentry": {"d_name": "struct qstr", "d_parent": "struct dentry *"},
    "inode": {"i_nlink": "u32"},
    "path": {"mnt": "struct vfsmount *", "dentry": "struct dentry *"},
    "file": {"f_path": "struct path", "f_inode": "struct inode *"},
    "mm_struct": {
        "exe_file": "struct file *",
        "arg_start": "u64",
        "arg_end": "u64",
    },
    "linux_binprm": {"filename": "const char *", "interp": "const char *"},
    "nsproxy": {"mnt_ns": "void *"},
    "task_struct": {
        "thread_info": "struct thread_info",
        "pid": "int",
        "tgid": "int",
        "mm": "struct mm_struct *",
        "cgroups": "struct css_set *",
        "cred": "const struct cred *",
        "signal": "struct signal_struct *",
        "real_parent": "struct task_struct *",
        "nsproxy": "struct nsproxy *",
    },
    "sock_common": {
        "skc_daddr": "u32",
        "skc_v6_daddr": "struct { u8 bytes[16]; }",
        "skc_dport": "u16",
        "skc_num": "u16",
        "skc_family": "u16",
    },
    "sock_cgroup_data": {"cgroup": "struct cgroup *"},
    "sock": {
        "__sk_common": "struct sock_common",
        "sk_cgrp_data": "struct sock_cgroup_data",
        "sk_protocol": "u16",
    },
    "io_kiocb": {"opcode": "u8"},
}

# The same for the quickest way to the current task, which not every kernel has: bpf/current.h.
_USED_IN_RUN_QUEUES: dict[str, dict[str, str]] = {
    "rq": {"cpu": "int", "curr": "struct task_struct *"},
    "cfs_rq": {"rq": "struct rq *"},
    "sched_entity": {"cfs_rq": "struct cfs_rq *"},
}
RDONLY_CAST = "bpf_rdonly_cast"
"""The kernel function (since Linux 6.2) that the way needs."""


def run_queue_type(types: KernelTypes) -> int:
    """Number of the type of a CPU's run queue; 0 where the current task cannot be read from it."""
    try:
        types.function_id(RDONLY_CAST)
        for name, members in _USED_IN_RUN_QUEUES.items():
            for member in members:
                types.offset(name, member)
        return types.struct_id("rq")
    except KernelError:
        return 0


def kernel_structs(types: KernelTypes) -> str:
    """C text that declares the structs, and what else depends on the kernel.

    Raises:
        KernelError: this kernel lacks one of them.
    """
    used, run_queue = _USED, run_queue_type(types)
    if run_queue:
        task = {**_USED["task_struct"], "se": "struct sched_entity"}
        used = {**_USED_IN_RUN_QUEUES, **_USED, "task_struct": task}
    lines = [f"struct {name};" for name in used]
    for name, members in used.items():
        lines += [f"struct {name} {{", "\tunion {"]
        offsets = {member: types.offset(name, member) for member in members}
        for member, kind in members.items():
            padding = f"char before_{member}[{offsets[member]}]; " if offsets[member] else ""
            lines.append(f"\t\tstruct {{ {padding}{kind} {member}; }};")
        lines += ["\t};", "};"]
        lines += [
            f"_Static_assert(__builtin_offsetof(struct {name}, {member}) == {offset}, "
            f'"offset of {name}.{member}");'
            for member, offset in offsets.items()
        ]
    lines.append(f"#define CGROUP_SELF_OFFSET {types.offset('cgroup', 'self')}")
    lines.append(f"#define MOUNT_MNT_OFFSET {types.offset('mount', 'mnt')}")
    lines.append(f"#define RUN_QUEUE_TYPE {run_queue}")
    return "\n".join(lines) + "\n"
