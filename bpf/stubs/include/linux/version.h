/* SPDX-License-Identifier: GPL-2.0-only */
/* Kernels look at this number for kprobes alone, of which we have none. */
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 1, 0)
