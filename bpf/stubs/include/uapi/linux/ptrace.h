/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers as BCC's headers name them (arch/x86/include/asm/ptrace.h); our programs read none. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
