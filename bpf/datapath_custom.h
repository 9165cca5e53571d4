/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the kernel has nothing of and users asked for: meters and samples. Both see frames as they arrive, before anything else decides,
 * so a meter also holds for what goes to the kernel afterwards.
 */
#ifndef DATAPATH_CUSTOM_H
#define DATAPATH_CUSTOM_H

/* Bits of a byte, times the nanoseconds of a second: over a rate in bit/s, how long a byte takes. */
#define BYTE_NS_AT_1_BPS 8000000000ull

/* A chosen frame: what a collector is told. host/device/tables/samples.ts reads it. */
struct sample {
	/* CLOCK_MONOTONIC, ns. */
	__u64 time;
	__u32 handle;
	__u32 ifindex;
	__u32 length;
	__u32 packet_length;
	__u32 source[4];
	__u32 destination[4];
	/* Upper half: source. */
	__u32 ports;
	__u16 ethertype;
	__u16 tcp_flags;
	__u16 vlan;
	__u8 protocol;
	__u8 ttl;
	__u8 traffic_class;
	__u8 unused[7];
};

static __always_inline bool conforms(const struct dp_meter *meter, __u32 length)
{
	__u64 rate = (__u64)meter->rate_high << 32 | meter->rate_low;
	__u32 slot = DP_INDEX(meter->handle);
	struct dp_meter_state *state = bpf_map_lookup_elem(&meter_states, &slot);

	if (!state || rate == 0)
		return true;
	return is_in_time(&state->due, length * BYTE_NS_AT_1_BPS / rate, meter->burst * BYTE_NS_AT_1_BPS / rate);
}

static __always_inline bool passes(const struct frame *frame, struct dp_meter_key *key, __u32 direction)
{
	bool six = frame->match.has & DP_HAS_IPV6;
	const __u32 *address = direction == DP_METER_SOURCE ? frame->match.source : frame->match.destination;
	struct dp_meter *meter;
	__u32 index;

	key->bits = six ? 32 + 128 : 32 + 32;
	key->scope = bpf_htonl(DP_METER_SCOPE(six, direction));
	key->address[0] = six ? address[0] : address[3];
	key->address[1] = six ? address[1] : 0;
	key->address[2] = six ? address[2] : 0;
	key->address[3] = six ? address[3] : 0;
	meter = bpf_map_lookup_elem(&meters, key);
	if (!meter || conforms(meter, frame->length))
		return true;
	index = DP_INDEX(meter->handle);
	add_count(bpf_map_lookup_elem(&custom_counts, &index), frame->length, bpf_ktime_get_coarse_ns());
	return false;
}

static __always_inline void take_sample(const struct frame *frame, __u32 index, const struct dp_port *port)
{
	struct dp_sample *sampling = bpf_map_lookup_elem(&samples, &index);
	struct sample *sample;
	__u32 slot, zero = 0;

	if (!sampling || sampling->handle == 0 || sampling->every == 0 || bpf_get_prandom_u32() % sampling->every != 0)
		return;
	sample = bpf_ringbuf_reserve(&sample_ring, sizeof(*sample), 0);
	if (!sample) {
		add_count(bpf_map_lookup_elem(&sample_lost, &zero), frame->length, bpf_ktime_get_coarse_ns());
		return;
	}
	sample->time = bpf_ktime_get_ns();
	sample->handle = sampling->handle;
	sample->ifindex = port->ifindex;
	sample->length = frame->length;
	sample->packet_length = frame->packet_length;
	__builtin_memcpy(sample->source, frame->match.source, sizeof(sample->source));
	__builtin_memcpy(sample->destination, frame->match.destination, sizeof(sample->destination));
	sample->ports = frame->match.ports;
	sample->ethertype = frame->ethertype;
	sample->tcp_flags = frame->match.flags;
	sample->vlan = frame->match.vlan;
	sample->protocol = frame->protocol;
	sample->ttl = frame->ttl;
	sample->traffic_class = frame->match.kinds >> 16 << 2;
	__builtin_memset(sample->unused, 0, sizeof(sample->unused));
	bpf_ringbuf_submit(sample, 0);
	slot = DP_INDEX(sampling->handle);
	add_count(bpf_map_lookup_elem(&custom_counts, &slot), frame->length, bpf_ktime_get_coarse_ns());
}

/*
 * A frame that came in by the port at `index`: VERDICT_DROP if a meter drops it, else VERDICT_NONE. Between a frame's two addresses, that
 * of the destination is asked first; what its meter drops is not accounted for by the other. A function of its own to the verifier, as
 * judge() is.
 */
__noinline int observe(const struct frame *frame, __u32 index, struct verdict *verdict)
{
	struct dp_custom_state *state;
	struct dp_meter_key key;
	struct dp_port *port;
	__u32 zero = 0;

	if (!frame || !verdict)
		return VERDICT_NONE;
	state = bpf_map_lookup_elem(&custom_state, &zero);
	if (!state || state->flags == 0)
		return VERDICT_NONE;
	port = bpf_map_lookup_elem(&ports, &index);
	if (!port || port->ifindex == 0)
		return VERDICT_NONE;
	if (state->flags & DP_CUSTOM_SAMPLES)
		take_sample(frame, index, port);
	if (!(state->flags & DP_CUSTOM_METERS) || !(frame->match.has & (DP_HAS_IPV4 | DP_HAS_IPV6)))
		return VERDICT_NONE;
	if (passes(frame, &key, DP_METER_DESTINATION) && passes(frame, &key, DP_METER_SOURCE))
		return VERDICT_NONE;
	verdict->port = port->handle;
	return decide(verdict, VERDICT_DROP);
}

#endif
