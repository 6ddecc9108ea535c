/* SPDX-License-Identifier: GPL-2.0-only */
/* Included by BCC; what we use of it, BCC brings itself. */
