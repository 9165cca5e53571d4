/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Hardware that sends what comes by one port out of another one, and leaves a copy to the kernel. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TCX_NEXT -1

/* Index of the other port, and whether the kernel is told that hardware has forwarded the frame. */
__u32 other = 0;
__u32 tells = 0;

int ekho_packet_forwarded(struct __sk_buff *skb) __ksym;

SEC("tcx/ingress")
int forward(struct __sk_buff *skb)
{
	bpf_clone_redirect(skb, other, 0);
	if (tells)
		ekho_packet_forwarded(skb);
	return TCX_NEXT;
}
