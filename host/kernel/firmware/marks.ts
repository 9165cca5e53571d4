/**
 * Marks: what the kernel shows of routes, nexthops and bridge entries that hardware has (`ip route`: rt_offload, rt_trap,
 * rt_offload_failed), for all who look at them. The kernel module ekho (bpf/module/mark.c) shows them until this process closes
 * them or ends.
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { errnoName } from '../../../bpf/libbpf-ts/src/errno.ts';
import { BpfError, type BpfMap, BpfObject, type Codec, rawCodec } from '../../../bpf/libbpf-ts/src/index.ts';

const OBJECT = fileURLToPath(new URL('../../../build/bpf/marks.bpf.o', import.meta.url));
/** MARKS of bpf/marks.bpf.c */
const BATCH = 4096;
/** struct ekho_mark */
const MARK_BYTES = 32;
const AT = { kind: 0, flags: 1, length: 2, place: 4, number: 8, check: 12, result: 12, address: 16 } as const;
/** BUCKETS of bpf/marks.bpf.c, a bit each */
const BUCKET_BYTES = 8192;

/** enum ekho_mark_kind */
export const MARK_KIND = { route4: 1, route6: 2, nexthop: 3, bucket: 4, fdb: 5, fdbLearned: 6 } as const;
export type MarkKind = (typeof MARK_KIND)[keyof typeof MARK_KIND];

/** enum ekho_marks_flags */
const KEEP = 1;

/** enum ekho_mark_flags */
export const MARK_FLAGS = { offloaded: 1, trapped: 2, failed: 4 } as const;

export interface Mark {
  readonly kind: MarkKind;
  /** MARK_FLAGS; 0 takes the mark off. */
  readonly flags: number;
  /** Table of a route, id of a nexthop, ifindex of a bridge port. */
  readonly place: number;
  /** Metric of a route, index of a bucket, VLAN of a bridge entry or 0. */
  readonly number?: number;
  /** Of a route's prefix, in bits. */
  readonly length?: number;
  /** Of a route's prefix, or a MAC; in network byte order. */
  readonly address?: ArrayLike<number>;
  /** Of a route: `checkOf` it (host/offload/route-check.ts). One that does anything else is not marked. 0: whatever it does. */
  readonly check?: number;
}

interface MarksCall {
  readonly fd: number;
  readonly flags: number;
  readonly count: number;
  readonly nexthop: number;
  readonly result: number;
}

export class Marks implements Disposable {
  readonly #object: BpfObject;
  readonly #batch: BpfMap<number, Uint8Array>;
  readonly #call: Codec<MarksCall>;
  readonly #bytes = new Uint8Array(BATCH * MARK_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #fd: number;
  #count = 0;

  /**
   * Follows the routes of a namespace, to be able to mark them.
   *
   * @param netns path of the namespace; this process's by default
   * @param isKept whether the kernel goes on to show the marks when they are closed or the process dies
   * @throws E_NOT_SUPPORTED without the module, and what loading BPF programs throws
   */
  constructor(netns = '/proc/self/ns/net', isKept = false) {
    if (!existsSync('/sys/kernel/btf/ekho')) {
      throw new BpfError('E_NOT_SUPPORTED', 'marks need the kernel module ekho, which is not loaded', {
        remedy: 'Build it from bpf/module and load it.',
      });
    }
    const object = BpfObject.open(OBJECT);
    this.#object = object;
    try {
      object.load();
      this.#batch = object.map('batch', { value: rawCodec(BATCH * MARK_BYTES) });
      this.#call = object.type('marks_call');
      const namespace = openSync(netns, 'r');
      try {
        this.#fd = this.#run('marks_open', { fd: namespace, flags: isKept ? KEEP : 0 });
      } finally {
        closeSync(namespace);
      }
      if (this.#fd < 0) {
        throw failure(`follow the routes of ${netns}`, -this.#fd);
      }
    } catch (error) {
      object.close();
      throw error;
    }
  }

  #run(program: string, call: Partial<MarksCall>): number {
    const context = new Uint8Array(this.#call.size);
    this.#call.write(new DataView(context.buffer), 0, {
      fd: 0,
      flags: 0,
      count: 0,
      nexthop: 0,
      result: 0,
      ...call,
    });
    const after = this.#object.program(program).run({ context }).context;
    return this.#call.read(new DataView(after.buffer, after.byteOffset), 0).result;
  }

  /** Nothing can be added before a flush. */
  get isFull(): boolean {
    return this.#count === BATCH;
  }

  /** Adds a mark to those that `flush` shows. @returns false when they are as many as one flush takes: flush first */
  add({ kind, flags, place, number = 0, length = 0, address, check = 0 }: Mark): boolean {
    if (this.isFull) return false;
    const at = this.#count++ * MARK_BYTES;
    this.#bytes.fill(0, at, at + MARK_BYTES);
    this.#bytes[at + AT.kind] = kind;
    this.#bytes[at + AT.flags] = flags;
    this.#bytes[at + AT.length] = length;
    this.#view.setUint32(at + AT.place, place, true);
    this.#view.setUint32(at + AT.number, number, true);
    this.#view.setUint32(at + AT.check, check, true);
    if (address !== undefined) this.#bytes.set(address, at + AT.address);
    return true;
  }

  /**
   * Shows the marks that were added, in three system calls.
   *
   * @param onRefused told of each that the kernel would not have, by the order in which they were added, with an errno: ENOENT for
   * a route that is not there, or not the one of its prefix that counts, a nexthop that is gone, an entry that is not at the port, and one
   * to be forgotten that was not learned through these marks; EEXIST for a learned one that the bridge has from others; ESTALE for a
   * route that does anything else; ENODEV for a link that is no port of a bridge
   */
  flush(onRefused?: (place: number, errno: number) => void): void {
    if (this.#count === 0) return;
    const count = this.#count;
    this.#count = 0;
    this.#batch.set(0, this.#bytes);
    const refused = this.#run('marks_set', { fd: this.#fd, count });
    if (refused < 0) throw failure('mark what hardware has', -refused);
    if (refused === 0 || onRefused === undefined) return;
    const after = this.#batch.get(0)!;
    const view = new DataView(after.buffer, after.byteOffset);
    for (let place = 0; place < count; place++) {
      const result = view.getInt32(place * MARK_BYTES + AT.result, true);
      if (result !== 0) onRefused(place, -result);
    }
  }

  /** Any number of marks. @returns how many of them the kernel would not have, by the name of the errno */
  set(marks: Iterable<Mark>): Map<string, number> {
    const refused = new Map<string, number>();
    const count = (_place: number, errno: number) => {
      const name = errnoName(errno);
      refused.set(name, (refused.get(name) ?? 0) + 1);
    };
    for (const mark of marks) {
      if (this.add(mark)) continue;
      this.flush(count);
      this.add(mark);
    }
    this.flush(count);
    return refused;
  }

  /**
   * Which buckets of a resilient group had traffic in hardware since the last time: the kernel does not move those.
   *
   * @param active a bit for each bucket, the lowest of the first byte for the first one; all buckets of the group
   */
  setActivity(nexthop: number, active: Uint8Array, count: number): void {
    const words = new Uint8Array(BUCKET_BYTES);
    words.set(active);
    this.#object.map<number, Uint8Array>('buckets', { value: rawCodec(BUCKET_BYTES) }).set(0, words);
    const result = this.#run('marks_activity', { fd: this.#fd, nexthop, count });
    if (result < 0) throw failure(`tell what buckets of nexthop ${nexthop} are in use`, -result);
  }

  /** Takes all marks off, and forgets entries of bridges that hardware had learned, unless they are kept. */
  close(): void {
    closeSync(this.#fd);
    this.#object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function failure(what: string, errno: number): BpfError {
  const name = errnoName(errno);
  return new BpfError('E_KERNEL', `cannot ${what}: ${name}`, { errno: name });
}
