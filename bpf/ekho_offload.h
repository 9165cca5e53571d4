/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Offloads asked for by BPF programs: what a program writes into a pinned map that `[offloads] maps` names is an object like one made by
 * `ekho offload add`, for as long as it is there (docs/offloads.md).
 *
 * The map is of type hash (or lru_hash), has keys of up to 64 bytes that mean nothing to the host, and values of this struct.
 */
#ifndef EKHO_OFFLOAD_H
#define EKHO_OFFLOAD_H

#define EKHO_OFFLOAD_KIND_MAX 64
#define EKHO_OFFLOAD_WORDS 16

struct ekho_offload {
	/* As `vendor:kind`, with a NUL behind it. */
	char kind[EKHO_OFFLOAD_KIND_MAX];
	/* Of the kind, as `ekho offload kinds` tells it. */
	__u32 version;
	/* Bit n is set if field n has a value; a field with a default may have none. */
	__u32 present;
	/* Values in the words that their fields take, packed as `field-type` of wit/plugin.wit says. */
	__u64 data[EKHO_OFFLOAD_WORDS];
};

/* First words of a prefix or an address: how many bits, and family 0 for IPv4, 1 for IPv6. The rest is the address, as below. */
#define EKHO_OFFLOAD_PREFIX(bits, six) ((__u64)(six) << 32 | (bits))
/* Second and third word of an IPv4 prefix; the address in network byte order. */
#define EKHO_OFFLOAD_IPV4_HIGH 0
#define EKHO_OFFLOAD_IPV4_LOW(address) ((__u64)bpf_ntohl(address))

#endif
