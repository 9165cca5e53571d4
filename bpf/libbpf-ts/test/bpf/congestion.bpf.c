/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A struct_ops that every kernel with BTF has: a TCP congestion control, which does nothing clever. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	char name[16];
};

SEC("struct_ops/keep")
__u32 keep(__u64 *context)
{
	return 10;
}

SEC("struct_ops/undo")
__u32 undo(__u64 *context)
{
	return 10;
}

SEC("struct_ops/avoid")
void avoid(__u64 *context)
{
}

SEC(".struct_ops.link")
struct tcp_congestion_ops plain = {
	.ssthresh = (void *)keep,
	.cong_avoid = (void *)avoid,
	.undo_cwnd = (void *)undo,
	.name = "ekho_plain",
};

char _license[] SEC("license") = "GPL";
