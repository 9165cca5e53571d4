/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which route an address has. IPv4 by few reads of arrays (host/device/tables/multibit.ts keeps them), where those have all routes of
 * the VRF; else, and for IPv6, by a walk through the prefix table, which costs a miss of the cache for each bit that tells routes apart.
 */
#ifndef DATAPATH_FIB_H
#define DATAPATH_FIB_H

/* A route in one word, so that it changes as one; 0 is none. From the top: see multibit.ts. */
#define ROUTE_HANDLE(route) ((__u32)(route))
#define ROUTE_GROUP(route) ((__u32)((route) >> 32) & ROUTE_NO_GROUP)
#define ROUTE_ACTION(route) ((__u32)((route) >> 54) & 3)
/* Of one address. */
#define ROUTE_IS_HOST(route) ((route) >> 56 & 1)
#define ROUTE_NO_GROUP 0x3fffff
/* Above it the length within the stride, which does not matter here. */
#define ROUTE_IS (1ull << 57)
/* No route but a way to the chunk that the lower half names. */
#define ROUTE_LEADS(route) ((route) >> 63)
/* To none: the prefix table has the routes below. */
#define ROUTE_ASK (1ull << 63)

static __always_inline __u64 route_of(const struct dp_route *row, __u32 host)
{
	__u32 group;

	if (!row)
		return 0;
	group = row->group < ROUTE_NO_GROUP ? row->group : ROUTE_NO_GROUP;
	return ROUTE_IS | (__u64)group << 32 | (__u64)(row->action & 3) << 54 | (__u64)(row->length == host) << 56 | row->handle;
}

/* These two are functions of their own for the sake of the stack of whoever calls them. */
static __noinline __u64 walk_routes4(__u32 vrf, __u32 address)
{
	struct dp_route4_key key = { .bits = 64, .vrf = bpf_htonl(vrf), .address = address };

	return route_of(bpf_map_lookup_elem(&routes4, &key), 32);
}

static __always_inline __u64 find_route6(__u32 vrf, const __u32 *address)
{
	struct dp_route6_key key = { .bits = 160, .vrf = bpf_htonl(vrf) };

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return route_of(bpf_map_lookup_elem(&routes6, &key), 128);
}

/* The entry of a chunk for the lowest byte. */
static __always_inline __u64 stride(__u32 chunk, __u32 byte)
{
	__u32 slot = chunk * ROUTE_CHUNK + (byte & 0xff);
	__u64 *word = chunk ? bpf_map_lookup_elem(&route_strides, &slot) : NULL;

	return word ? *(volatile __u64 *)word : ROUTE_ASK;
}

/* The route of the entry that leads to a chunk. */
static __always_inline __u64 cover(__u32 chunk)
{
	__u64 *word = bpf_map_lookup_elem(&route_covers, &chunk);

	return word ? *(volatile __u64 *)word : 0;
}

/*
 * 0, in a way that compilers do not know: what is read at an address that it is added to is read after the word. A read whose address comes
 * from a word that was read is later anyway, which is all that the walk down needs; other reads arm64 may do in any order.
 */
static __always_inline __u32 behind(__u64 word)
{
	asm volatile("%0 ^= %0" : "+r"(word));
	return word;
}

/*
 * Whether the entries for an address are what they were when nothing was found in them, and what covers the second chunk. If not, a longer
 * route may have come before the one that was found then, which is not for this address.
 */
static __noinline bool is_still(__u32 first, __u32 host, __u64 below, __u64 upper, __u64 found)
{
	__u32 later = behind(found);

	if (stride(first + later, host >> 8) != below)
		return false;
	return !below || (!stride(below + later, host) && cover(below + later) == upper);
}

static __noinline __u64 find_route4(__u32 vrf, __u32 address)
{
	__u32 slot = vrf % ROUTE_ROOTS, host = bpf_ntohl(address), first;
	__u64 *word = bpf_map_lookup_elem(&route_roots, &slot), found, below, upper;

	found = word ? *(volatile __u64 *)word : 0;
	slot = (__u32)found * ROUTE_CHUNK + (host >> 16);
	if (found == 0 || found >> 32 != vrf)
		return walk_routes4(vrf, address);
	word = bpf_map_lookup_elem(&route_strides, &slot);
	found = word ? *(volatile __u64 *)word : ROUTE_ASK;
	if (!ROUTE_LEADS(found))
		return found;
	first = found;
	below = stride(first, host >> 8);
	if (below && !ROUTE_LEADS(below))
		return below;
	found = below ? stride(below, host) : 0;
	if (ROUTE_LEADS(found))
		return walk_routes4(vrf, address);
	if (found)
		return found;
	upper = below ? cover(below) : 0;
	found = upper ? upper : cover(first);
	return is_still(first, host, below, upper, found) ? found : walk_routes4(vrf, address);
}

#endif
