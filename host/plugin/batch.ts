/**
 * Batches of changes in memory that host and worker share, in the canonical layout of `batch` in wit/types.wit: what the
 * planner writes here is copied into the plugin's memory as it is. Nothing allocates per entry.
 *
 * Writing: `encoder.route(OPERATION.put, handle)` adds a zeroed entry and returns the encoder's one `RouteRecord`, standing
 * on it; set the other fields on that. Reading: `page.routes.rewind(); while (page.routes.next()) … page.routes.vrf …`.
 */

import type { MemoryViews, RecordCursor } from './record-cursor.ts';
import {
  AclRuleRecord,
  CustomRecord,
  FdbEntryRecord,
  FlowRecord,
  GroupRecord,
  MemberRecord,
  MulticastGroupRecord,
  NexthopRecord,
  PortRecord,
  RemoteRecord,
  RouteRecord,
  RouterInterfaceRecord,
  TunnelRecord,
  VlanMemberRecord,
} from './records.ts';

/** Entries of all kinds in one batch or page, members counted too. */
export const BATCH_ENTRIES_MAX = 4096;

/** Strides of the lists of a batch in the order of the record's fields. */
export const BATCH_STRIDES: readonly number[] = [
  PortRecord.SIZE,
  RouterInterfaceRecord.SIZE,
  NexthopRecord.SIZE,
  MemberRecord.SIZE,
  GroupRecord.SIZE,
  RouteRecord.SIZE,
  VlanMemberRecord.SIZE,
  FdbEntryRecord.SIZE,
  AclRuleRecord.SIZE,
  FlowRecord.SIZE,
  CustomRecord.SIZE,
  TunnelRecord.SIZE,
  RemoteRecord.SIZE,
  MulticastGroupRecord.SIZE,
];

/** Index of each list in a batch. */
export const BATCH_LISTS = BATCH_STRIDES.length;

/** Where each list starts in a batch area, with room for a full batch of any one kind. */
export const BATCH_OFFSETS: readonly number[] = BATCH_STRIDES.map((_, list) =>
  BATCH_STRIDES.slice(0, list).reduce((sum, stride) => sum + stride * BATCH_ENTRIES_MAX, 0),
);

/** Bytes of a batch area. Pages of it that no entry touches cost no memory. */
export const BATCH_AREA_SIZE = BATCH_STRIDES.reduce((sum, stride) => sum + stride * BATCH_ENTRIES_MAX, 0);

class BatchLists {
  readonly ports: PortRecord;
  readonly routerInterfaces: RouterInterfaceRecord;
  readonly nexthops: NexthopRecord;
  readonly members: MemberRecord;
  readonly groups: GroupRecord;
  readonly routes: RouteRecord;
  readonly vlanMembers: VlanMemberRecord;
  readonly fdbEntries: FdbEntryRecord;
  readonly aclRules: AclRuleRecord;
  readonly flows: FlowRecord;
  readonly customs: CustomRecord;
  readonly tunnels: TunnelRecord;
  readonly remotes: RemoteRecord;
  readonly multicastGroups: MulticastGroupRecord;
  /** The lists in the order of the record's fields. */
  readonly lists: readonly RecordCursor[];

  /** @param start byte offset of the batch area, a multiple of 8 */
  constructor(views: MemoryViews, start: number) {
    this.ports = new PortRecord(views, start + BATCH_OFFSETS[0]!);
    this.routerInterfaces = new RouterInterfaceRecord(views, start + BATCH_OFFSETS[1]!);
    this.nexthops = new NexthopRecord(views, start + BATCH_OFFSETS[2]!);
    this.members = new MemberRecord(views, start + BATCH_OFFSETS[3]!);
    this.groups = new GroupRecord(views, start + BATCH_OFFSETS[4]!);
    this.routes = new RouteRecord(views, start + BATCH_OFFSETS[5]!);
    this.vlanMembers = new VlanMemberRecord(views, start + BATCH_OFFSETS[6]!);
    this.fdbEntries = new FdbEntryRecord(views, start + BATCH_OFFSETS[7]!);
    this.aclRules = new AclRuleRecord(views, start + BATCH_OFFSETS[8]!);
    this.flows = new FlowRecord(views, start + BATCH_OFFSETS[9]!);
    this.customs = new CustomRecord(views, start + BATCH_OFFSETS[10]!);
    this.tunnels = new TunnelRecord(views, start + BATCH_OFFSETS[11]!);
    this.remotes = new RemoteRecord(views, start + BATCH_OFFSETS[12]!);
    this.multicastGroups = new MulticastGroupRecord(views, start + BATCH_OFFSETS[13]!);
    this.lists = [
      this.ports,
      this.routerInterfaces,
      this.nexthops,
      this.members,
      this.groups,
      this.routes,
      this.vlanMembers,
      this.fdbEntries,
      this.aclRules,
      this.flows,
      this.customs,
      this.tunnels,
      this.remotes,
      this.multicastGroups,
    ];
  }
}

/**
 * Fills one batch. Each method adds an entry of its kind; a plugin carries lists out in the order of `BATCH_STRIDES`
 * (ports … multicast groups) whatever order they were added in, and each list from first to last. Removals that must go the
 * other way belong in batches of their own. A handle stands in a batch at most once.
 */
export class BatchEncoder {
  /** Handles of the entries added, in the order they were added; `count` of them are valid. Members have none. */
  readonly handles = new Uint32Array(BATCH_ENTRIES_MAX);
  /** `OPERATION` of each of `handles`. */
  readonly operations = new Uint8Array(BATCH_ENTRIES_MAX);
  /** Number of `handles`. */
  count = 0;
  /** How many more entries fit, members included. Adding to a full batch throws RangeError. */
  room = BATCH_ENTRIES_MAX;
  private readonly batch: BatchLists;
  private openMembers = 0;

  constructor(views: MemoryViews, start: number) {
    this.batch = new BatchLists(views, start);
  }

  get isFull(): boolean {
    return this.room === 0;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** The lists as they will be sent: for the ring, not for filling. */
  get lists(): readonly RecordCursor[] {
    return this.batch.lists;
  }

  reset(): void {
    this.count = 0;
    this.room = BATCH_ENTRIES_MAX;
    this.openMembers = 0;
    for (const list of this.batch.lists) list.reset(0);
  }

  port(operation: number, handle: number): PortRecord {
    const record = this.batch.ports;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  routerInterface(operation: number, handle: number): RouterInterfaceRecord {
    const record = this.batch.routerInterfaces;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  nexthop(operation: number, handle: number): NexthopRecord {
    const record = this.batch.nexthops;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  /**
   * A group and how many members it has: call `member` that many times next, with nothing between. Needs `room` for
   * `1 + members`.
   *
   * @param members 0 to remove
   */
  group(operation: number, handle: number, id: number, members: number): void {
    if (this.room < 1 + members) throw new RangeError(`batch has room for ${this.room} more entries`);
    const record = this.batch.groups;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    record.id = id;
    record.first = this.batch.members.length;
    record.count = members;
    this.openMembers = members;
  }

  /** One member of the group added last. */
  member(nexthop: number, weight: number): void {
    if (this.openMembers === 0) throw new RangeError('the group has all its members');
    this.openMembers--;
    this.room--;
    const record = this.batch.members;
    record.append();
    record.group = this.batch.groups.handle;
    record.nexthop = nexthop;
    record.weight = weight;
  }

  route(operation: number, handle: number): RouteRecord {
    const record = this.batch.routes;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  vlanMember(operation: number, handle: number): VlanMemberRecord {
    const record = this.batch.vlanMembers;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  fdbEntry(operation: number, handle: number): FdbEntryRecord {
    const record = this.batch.fdbEntries;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  aclRule(operation: number, handle: number): AclRuleRecord {
    const record = this.batch.aclRules;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  flow(operation: number, handle: number): FlowRecord {
    const record = this.batch.flows;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  custom(operation: number, handle: number): CustomRecord {
    const record = this.batch.customs;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  tunnel(operation: number, handle: number): TunnelRecord {
    const record = this.batch.tunnels;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  remote(operation: number, handle: number): RemoteRecord {
    const record = this.batch.remotes;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  multicastGroup(operation: number, handle: number): MulticastGroupRecord {
    const record = this.batch.multicastGroups;
    this.add(record, operation, handle);
    record.operation = operation;
    record.handle = handle;
    return record;
  }

  private add(record: RecordCursor, operation: number, handle: number): void {
    if (this.room === 0) throw new RangeError('the batch is full');
    if (this.openMembers !== 0) throw new RangeError('the group before lacks members');
    this.room--;
    this.handles[this.count] = handle;
    this.operations[this.count++] = operation;
    record.append();
  }
}

/**
 * One page of what a device holds. It comes from the plugin: counts and sizes are checked, what the fields say is not
 * (unknown handles, enum values without a meaning, groups whose members are not there).
 */
export class BatchReader extends BatchLists {
  /** Entries of all kinds, members included. */
  get length(): number {
    let sum = 0;
    for (const list of this.lists) sum += list.length;
    return sum;
  }
}
