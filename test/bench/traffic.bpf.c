/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Traffic for the speed of forwarding: frames made by live runs of a program, and what takes them at the other end. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define HEADERS 42 /* Ethernet, IPv4, UDP */
#define BUCKET_NS 100
#define BUCKETS 10000

/* The link frames leave by; each goes to the next of `destinations` networks of 256 addresses from `first` on. */
__u32 out;
__u32 first;
__u32 destinations;
__u8 headers[HEADERS];
__u64 serial;

/* What arrived, and of frames that carry when they were made, how long after that, in buckets. */
__u32 stamped;
__u64 arrived;
__u64 latency[BUCKETS];

static __always_inline __u16 checksum(const __u8 *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

	for (int word = 0; word < 10; word++)
		sum += words[word];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

SEC("xdp")
int generate(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;

	if (data + HEADERS + sizeof(__u64) > end)
		return XDP_ABORTED;
	__builtin_memcpy(data, headers, HEADERS);
	*(__u32 *)(data + 30) = bpf_htonl(first + (serial++ % destinations) * 256 + 1);
	*(__u16 *)(data + 24) = checksum(data + 14);
	if (stamped)
		*(__u64 *)(data + HEADERS) = bpf_ktime_get_ns();
	return bpf_redirect(out, 0);
}

/* Counts and drops what comes; frames of others (listener reports and the like) are not counted. */
SEC("xdp")
int take(struct xdp_md *context)
{
	__u8 *data = (void *)(long)context->data;
	__u8 *end = (void *)(long)context->data_end;
	__u64 bucket;

	if (data + HEADERS + sizeof(__u64) > end || data[23] != 17)
		return XDP_DROP;
	arrived++;
	if (!stamped)
		return XDP_DROP;
	bucket = (bpf_ktime_get_ns() - *(__u64 *)(data + HEADERS)) / BUCKET_NS;
	if (bucket >= BUCKETS)
		bucket = BUCKETS - 1;
	latency[bucket]++;
	return XDP_DROP;
}

/* Takes frames where they would be forwarded: what is left is the cost of making them. */
SEC("xdp")
int discard(struct xdp_md *context)
{
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
