/** Size of the ring buffer that events wait in, where nothing else is configured. */

/** Bytes: some 40,000 events. */
export const RING_DEFAULT = 1 << 22;
