/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Before everything else.  The loader joins, in this order: its settings (#define), this file, the
 * kernel's structs with the members that we read, each at its true offset (generated from the
 * running kernel's BTF), layout.h, and the collectors.  BCC compiles the whole as one text.
 */

#define INLINE static inline __attribute__((always_inline))

/* Reads a member through a pointer that the verifier does not know: false, and 0, on a fault. */
#define READ(destination, member) \
	(bpf_probe_read_kernel(&(destination), sizeof(destination), &(member)) == 0)

/* BCC puts bpf_probe_read in the place of bpf_probe_read_user where it may not read /proc/kallsyms,
 * and not every program may use that. */
static long (*read_user)(void *destination, u32 size, const void *source) = (void *)112;

/* Begins a function for a raw tracepoint.  BCC's own macro would have it attached at once, before the
 * maps hold what they must. */
#define AT_TRACEPOINT(event) int at_##event(struct bpf_raw_tracepoint_args *ctx)

#define ADD(counter, n) __sync_fetch_and_add(&(counter), n)

/* The compiler must not move a write across this. */
#define BARRIER() __asm__ __volatile__("" ::: "memory")
