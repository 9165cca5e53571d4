/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The rungs of the ladder: the same handler below an fentry or a kprobe program on a function, or a tp_btf or raw_tp one on
 * a tracepoint. Programs are named HOOK_RUNG; the host loads one rung of each.
 */
#ifndef EKHO_NOTIFIER_RUNGS_H
#define EKHO_NOTIFIER_RUNGS_H

#include "kernel.h"

struct pt_regs___x86 {
	unsigned long di, si, dx, cx, r8, r9;
} __attribute__((preserve_access_index));

struct pt_regs___arm64 {
	__u64 regs[31];
} __attribute__((preserve_access_index));

/* Argument of the probed function, from 0 on; the branch of the other architecture is dead once the object is loaded. */
#define PROBED(context, x86, number)							\
	(bpf_core_field_exists(((struct pt_regs___x86 *)0)->di)				\
		 ? BPF_CORE_READ((struct pt_regs___x86 *)(context), x86)		\
		 : BPF_CORE_READ((struct pt_regs___arm64 *)(context), regs[number]))

#define PROBED_0(context) PROBED(context, di, 0)
#define PROBED_1(context) PROBED(context, si, 1)
#define PROBED_2(context) PROBED(context, dx, 2)
#define PROBED_3(context) PROBED(context, cx, 3)
#define PROBED_4(context) PROBED(context, r8, 4)
#define PROBED_5(context) PROBED(context, r9, 5)

/* The nth argument, as 64 bits of which narrower types use the low ones. */
#define TRACED_ARGUMENT(number) (context[number])
#define PROBED_ARGUMENT(number) PROBED_##number(context)

/* `call` is a macro that calls the handler and gets one that gives arguments. */
#define ON_FUNCTION(name, function, call)		\
	SEC("fentry/" #function)			\
	int name##_fentry(__u64 *context)		\
	{						\
		return call(TRACED_ARGUMENT);		\
	}						\
	SEC("kprobe/" #function)			\
	int name##_kprobe(void *context)		\
	{						\
		return call(PROBED_ARGUMENT);		\
	}

#define ON_TRACEPOINT(name, tracepoint, call)		\
	SEC("tp_btf/" #tracepoint)			\
	int name##_tp_btf(__u64 *context)		\
	{						\
		return call(TRACED_ARGUMENT);		\
	}						\
	SEC("raw_tp/" #tracepoint)			\
	int name##_raw_tp(__u64 *context)		\
	{						\
		return call(TRACED_ARGUMENT);		\
	}

#endif
