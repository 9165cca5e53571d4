/** What the rest of the host sees of the mirror. Objects are the kernel's own bytes; readers decode what they need. */

import { KERNEL_KINDS, type KernelKind, KINDS, type Kind } from '../netlink/kinds.ts';

export { KERNEL_KINDS, type KernelKind, KINDS, type Kind };

/** Index of a kind in KINDS, used wherever a kind is stored as a byte. */
export type KindNumber = number;

export const KIND = Object.fromEntries(KINDS.map((kind, number) => [kind, number])) as Record<
  Kind,
  KindNumber
>;

/** Names one object of a kind for as long as it lives; reused after it left. 1 to 2^32-1, dense, 0 is never used. */
export type ObjectId = number;

/** A window on an object's bytes: the family's fixed header (struct rtmsg, ifinfomsg, …) followed by its attributes. */
export interface ObjectCursor {
  bytes: Uint8Array;
  /** The same memory: objects begin and end with a word. */
  words: Uint32Array;
  start: number;
  end: number;
}

export function objectCursor(): ObjectCursor {
  return { bytes: new Uint8Array(0), words: new Uint32Array(0), start: 0, end: 0 };
}

export const OPERATION_DELETE = 0;
export const OPERATION_UPSERT = 1;

/** Changes of one transaction, coalesced: an object appears once. Reused by the mirror: copy what must outlive the call. */
export interface ChangeSet {
  readonly length: number;
  readonly kinds: Uint8Array;
  readonly operations: Uint8Array;
  readonly ids: Uint32Array;
  /** Revision of the last change in the set. */
  readonly revision: number;
}

/** Called after each transaction. A deleted object's bytes can still be read until the last listener returned. */
export type ChangeListener = (changes: ChangeSet) => void;

/**
 * Per kind: `unavailable` says why the kernel does not give it (no permission, not built in), and is then empty. While
 * `syncing`, a reason says what the last attempt failed with; what was read before stays.
 */
export interface KindState {
  readonly state: 'syncing' | 'synced' | 'unavailable';
  readonly reason: string | undefined;
  /** Unavailable because the kernel has no such objects at all, so that none can matter. */
  readonly isAbsent?: boolean;
}

export interface MirrorReader {
  /** Grows by one with each change. */
  readonly revision: number;
  /** All wanted kinds are in sync (or unavailable). */
  readonly synced: boolean;
  kindState(kind: KindNumber): KindState;
  count(kind: KindNumber): number;
  /** Points `cursor` at the object; false if there is none. Valid until control returns to the event loop. */
  open(kind: KindNumber, id: ObjectId, cursor: ObjectCursor): boolean;
  /** Revision of the object's last change. */
  revisionOf(kind: KindNumber, id: ObjectId): number;
  /**
   * Place among the objects that the kernel tells apart by their order alone (IPv4 routes added by `ip route append`), lowest
   * first; 0 for all others.
   */
  orderOf(kind: KindNumber, id: ObjectId): number;
  /** In no particular order; the callback must not change the mirror. */
  forEach(kind: KindNumber, callback: (id: ObjectId) => void): void;
  /** Returns the function that ends the subscription. */
  subscribe(listener: ChangeListener): () => void;
  /**
   * Tells the listeners of all that was changed so far. Whoever keeps what it reads calls this first: an object that comes and goes
   * between two tellings is never told of, and what is kept of it would stay for good.
   */
  tell(): void;
  /** Called whenever `synced` or a kind's state changes. */
  onState(listener: () => void): () => void;
}
