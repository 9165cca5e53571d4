/** A device with a plugin around it, as small as can be: a Runner over plain Maps, with room, refusals and faults to choose. */

import { type AclWant, aclWantOf } from '../../../host/offload/codecs.ts';
import { kindOfHandle } from '../../../host/offload/entry-table.ts';
import { BATCH_AREA_SIZE, BatchEncoder, BatchReader } from '../../../host/plugin/batch.ts';
import { memoryViews } from '../../../host/plugin/record-cursor.ts';
import {
  ACL_FIELDS,
  ACTION,
  ENTRY_KIND,
  EVENT_TYPE,
  EventRecord,
  FAMILY,
  OPERATION,
  OutcomeRecord,
  REASON,
  STATUS,
} from '../../../host/plugin/records.ts';
import type { Description, Runner, RunnerListener } from '../../../host/plugin/runner.ts';

export interface HeldRoute {
  readonly handle: number;
  readonly vrf: number;
  readonly family: number;
  readonly length: number;
  readonly prefix: bigint;
  readonly action: number;
  readonly group: number;
}

export interface FakeDeviceOptions {
  readonly routes: number;
  /** Routes the device itself has room for, if fewer than it says. */
  readonly deviceRoutes?: number;
  readonly nexthops?: number;
  readonly groups?: number;
  readonly refuses?: (route: HeldRoute) => boolean;
  /** Multicast groups of bridges it says it has room for. */
  readonly multicastGroups?: number;
  /** ACL rules it says it has room for. */
  readonly rules?: number;
  readonly refusesRule?: (rule: AclWant) => boolean;
  /** A port, an ACL rule or another flat entry was put or removed. */
  onChange?: () => void;
  /** Every n-th change fails. */
  failEvery?: number;
  /** Answer instead of carrying the change out; `pending` changes are carried out and completed by `complete`. */
  answer?: (
    kind: number,
    operation: number,
    handle: number,
  ) => { status: number; reason?: number } | undefined;
  readonly updatesInPlace?: boolean;
}

export class FakeDevice {
  readonly routes = new Map<number, HeldRoute>();
  readonly nexthops = new Map<
    number,
    { action: number; ifindex: number; gateway: readonly number[]; mac: number; rif: number; family: number }
  >();
  readonly groups = new Map<number, { id: number; members: number[] }>();
  readonly others = new Map<number, { kind: number; words: Uint8Array }>();
  readonly options: FakeDeviceOptions;
  writes = 0;
  hasFailed = false;
  /** References to what is not there: a fault of the planner. */
  readonly faults: string[] = [];
  #changes = 0;

  constructor(options: FakeDeviceOptions) {
    this.options = options;
  }

  describe(): Description {
    const capacities = [
      64,
      64,
      this.options.nexthops ?? 1024,
      this.options.groups ?? 1024,
      this.options.routes,
      256,
      256,
      this.options.rules ?? 64,
      64,
      0,
      16,
      64,
      this.options.multicastGroups ?? 64,
    ];
    return {
      vendor: 'test',
      name: 'fake',
      version: '1.0.0',
      abilities: capacities.map((capacity, kind) => ({
        kind,
        capacity,
        updateInPlace: this.options.updatesInPlace ?? true,
        counts: false,
        readsBack: true,
      })),
      aclFields: Object.values(ACL_FIELDS).reduce((sum, bit) => sum | bit, 0),
      aclEdits: 0,
      groupMembers: 16,
      reversePath: true,
      vlanInterfaces: true,
      pollInterval: 0,
      notices: 0,
      offloadKinds: [],
    };
  }

  /** What the device does with a packet to this address in a domain: the ways out as `ifindex/gateway`, drop or trap. */
  lookup(
    vrf: number,
    family: number,
    address: bigint,
  ): { action: 'forward' | 'drop' | 'trap'; ways: string[] } {
    const bits = family === FAMILY.ipv4 ? 32n : 128n;
    let best: HeldRoute | undefined;
    for (const route of this.routes.values()) {
      if (route.vrf !== vrf || route.family !== family) continue;
      const shift = bits - BigInt(route.length);
      if (address >> shift === route.prefix >> shift && (best === undefined || route.length > best.length))
        best = route;
    }
    if (best === undefined || best.action === ACTION.trap) return { action: 'trap', ways: [] };
    if (best.action === ACTION.drop) return { action: 'drop', ways: [] };
    const ways: string[] = [];
    for (const handle of this.groups.get(best.group)?.members.filter((_, index) => index % 2 === 0) ?? []) {
      const nexthop = this.nexthops.get(handle);
      if (nexthop === undefined) throw new Error('group with a nexthop that is not there');
      if (nexthop.action === ACTION.trap) return { action: 'trap', ways: [] };
      ways.push(nexthop.action === ACTION.drop ? 'drop' : `${nexthop.ifindex}/${nexthop.gateway[3]}`);
    }
    return { action: 'forward', ways };
  }

  /** Carries out a batch; writes outcomes that are not plain success. */
  apply(batch: BatchEncoder, outcomes: OutcomeRecord): void {
    const lists = batch.lists as unknown as BatchReader['lists'];
    const [
      ports,
      interfaces,
      nexthops,
      members,
      groups,
      routes,
      vlans,
      fdb,
      acl,
      flows,
      customs,
      tunnels,
      remotes,
      multicastGroups,
    ] = lists as unknown as [
      BatchReader['ports'],
      BatchReader['routerInterfaces'],
      BatchReader['nexthops'],
      BatchReader['members'],
      BatchReader['groups'],
      BatchReader['routes'],
      BatchReader['vlanMembers'],
      BatchReader['fdbEntries'],
      BatchReader['aclRules'],
      BatchReader['flows'],
      BatchReader['customs'],
      BatchReader['tunnels'],
      BatchReader['remotes'],
      BatchReader['multicastGroups'],
    ];
    const no = (handle: number, status: number, reason: number) => {
      outcomes.append();
      outcomes.handle = handle;
      outcomes.status = status;
      outcomes.reason = reason;
    };
    const fails = (handle: number, operation: number) => {
      this.#changes++;
      this.writes++;
      const answer = this.options.answer?.(kindOfHandle(handle), operation, handle);
      if (answer !== undefined) {
        this.hasFailed = true;
        no(handle, answer.status, answer.reason ?? 0);
        return answer.status !== STATUS.pending;
      }
      const { failEvery } = this.options;
      if (failEvery === undefined || this.#changes % failEvery !== 0) return false;
      no(handle, STATUS.failed, REASON.deviceError);
      this.hasFailed = true;
      return true;
    };
    // The host sees to it that references are valid, unless what they refer to failed.
    const isMissing = (handle: number, fault: string) => {
      if (this.options.failEvery === undefined && !this.hasFailed) this.faults.push(fault);
      else no(handle, STATUS.failed, REASON.missingReference);
      return true;
    };
    for (const list of [ports, interfaces]) {
      for (list.rewind(); list.next(); ) {
        if (fails(list.handle, list.operation)) continue;
        if (list.operation === OPERATION.remove) this.others.delete(list.handle);
        else
          this.others.set(list.handle, {
            kind: kindOfHandle(list.handle),
            words: list.u8.slice(list.offset, list.offset + list.stride),
          });
        this.options.onChange?.();
      }
    }
    for (nexthops.rewind(); nexthops.next(); ) {
      if (fails(nexthops.handle, nexthops.operation)) continue;
      if (nexthops.operation === OPERATION.remove) {
        for (const group of this.groups.values()) {
          if (group.members.some((member, index) => index % 2 === 0 && member === nexthops.handle))
            this.faults.push('nexthop removed while a group has it');
        }
        this.nexthops.delete(nexthops.handle);
        continue;
      }
      if (
        nexthops.routerInterface !== 0 &&
        !this.others.has(nexthops.routerInterface) &&
        isMissing(nexthops.handle, 'nexthop with an unknown interface')
      )
        continue;
      this.nexthops.set(nexthops.handle, {
        action: nexthops.action,
        ifindex: nexthops.ifindex,
        gateway: [nexthops.gateway0, nexthops.gateway1, nexthops.gateway2, nexthops.gateway3],
        mac: nexthops.destinationMac,
        rif: nexthops.routerInterface,
        family: nexthops.family,
      });
    }
    for (groups.rewind(); groups.next(); ) {
      if (fails(groups.handle, groups.operation)) continue;
      if (groups.operation === OPERATION.remove) {
        for (const route of this.routes.values())
          if (route.group === groups.handle) this.faults.push('group removed while a route has it');
        this.groups.delete(groups.handle);
        continue;
      }
      const list: number[] = [];
      for (let member = groups.first; member < groups.first + groups.count; member++) {
        members.seek(member);
        list.push(members.nexthop, members.weight);
      }
      const isWhole = list.every((member, index) => index % 2 === 1 || this.nexthops.has(member));
      if (!isWhole && isMissing(groups.handle, 'group with an unknown nexthop')) continue;
      this.groups.set(groups.handle, { id: groups.id, members: list });
    }
    for (routes.rewind(); routes.next(); ) {
      if (fails(routes.handle, routes.operation)) continue;
      if (routes.operation === OPERATION.remove) {
        this.routes.delete(routes.handle);
        continue;
      }
      const words = [routes.prefix0, routes.prefix1, routes.prefix2, routes.prefix3];
      const route: HeldRoute = {
        handle: routes.handle,
        vrf: routes.vrf,
        family: routes.family,
        length: routes.prefixLength,
        prefix: words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n),
        action: routes.action,
        group: routes.group,
      };
      const isNew = !this.routes.has(routes.handle);
      if (isNew && this.routes.size >= (this.options.deviceRoutes ?? this.options.routes)) {
        no(routes.handle, STATUS.refused, REASON.tableFull);
        continue;
      }
      if (this.options.refuses?.(route) === true) {
        no(routes.handle, STATUS.refused, REASON.unsupportedAction);
        continue;
      }
      if (
        route.action === ACTION.forward &&
        !this.groups.has(route.group) &&
        isMissing(route.handle, 'route with an unknown group')
      )
        continue;
      for (const other of this.routes.values()) {
        if (
          other.handle !== route.handle &&
          other.vrf === route.vrf &&
          other.family === route.family &&
          other.length === route.length &&
          other.prefix === route.prefix
        ) {
          this.faults.push('two entries of one prefix');
        }
      }
      this.routes.set(routes.handle, route);
    }
    for (const list of [vlans, fdb, acl, flows, customs, tunnels, remotes, multicastGroups]) {
      for (list.rewind(); list.next(); ) {
        if (fails(list.handle, list.operation)) continue;
        const isRule = list === acl && list.operation === OPERATION.put;
        if (isRule && this.options.refusesRule?.(aclWantOf(acl)) === true) {
          no(list.handle, STATUS.refused, REASON.unsupportedMatch);
          continue;
        }
        if (list.operation === OPERATION.remove) this.others.delete(list.handle);
        else
          this.others.set(list.handle, {
            kind: kindOfHandle(list.handle),
            words: list.u8.slice(list.offset, list.offset + list.stride),
          });
        this.options.onChange?.();
      }
    }
  }

  readback(encoder: BatchEncoder): void {
    for (const [handle, { kind, words }] of this.others) {
      const record =
        kind === ENTRY_KIND.port
          ? encoder.port(OPERATION.put, handle)
          : kind === ENTRY_KIND.routerInterface
            ? encoder.routerInterface(OPERATION.put, handle)
            : kind === ENTRY_KIND.vlanMember
              ? encoder.vlanMember(OPERATION.put, handle)
              : kind === ENTRY_KIND.fdbEntry
                ? encoder.fdbEntry(OPERATION.put, handle)
                : kind === ENTRY_KIND.flow
                  ? encoder.flow(OPERATION.put, handle)
                  : kind === ENTRY_KIND.custom
                    ? encoder.custom(OPERATION.put, handle)
                    : kind === ENTRY_KIND.tunnel
                      ? encoder.tunnel(OPERATION.put, handle)
                      : kind === ENTRY_KIND.remote
                        ? encoder.remote(OPERATION.put, handle)
                        : kind === ENTRY_KIND.multicastGroup
                          ? encoder.multicastGroup(OPERATION.put, handle)
                          : encoder.aclRule(OPERATION.put, handle);
      record.u8.set(words, record.offset);
    }
    for (const [handle, nexthop] of this.nexthops) {
      const record = encoder.nexthop(OPERATION.put, handle);
      record.action = nexthop.action;
      record.family = nexthop.family;
      record.ifindex = nexthop.ifindex;
      record.routerInterface = nexthop.rif;
      record.destinationMac = nexthop.mac;
      record.setGateway(...(nexthop.gateway as [number, number, number, number]));
    }
    for (const [handle, { id, members }] of this.groups) {
      encoder.group(OPERATION.put, handle, id, members.length / 2);
      for (let member = 0; member < members.length; member += 2)
        encoder.member(members[member]!, members[member + 1]!);
    }
    for (const route of this.routes.values()) {
      const record = encoder.route(OPERATION.put, route.handle);
      record.vrf = route.vrf;
      record.family = route.family;
      record.prefixLength = route.length;
      record.action = route.action;
      record.group = route.group;
      const word = (index: bigint) => Number((route.prefix >> (32n * (3n - index))) & 0xffffffffn);
      record.setPrefix(word(0n), word(1n), word(2n), word(3n));
    }
  }
}

const SLOTS = 2;

/** A plugin that hands everything to a FakeDevice. */
export class FakeRunner implements Runner {
  readonly name = 'fake';
  readonly description: Description;
  readonly counters = {
    batches: 0,
    entries: 0,
    outcomes: 0,
    applyMicroseconds: 0,
    faults: 0,
    ringFull: 0,
    logLinesDropped: 0,
    deviceCalls: 0,
    deviceWaits: 0,
  };
  /** What it was accused of. */
  readonly accusations: string[] = [];
  readonly device: FakeDevice;
  inFlight = 0;
  readonly memory = 0;
  #listener: RunnerListener | undefined;
  #open: BatchEncoder | undefined;
  readonly #free: BatchEncoder[] = [];
  #sequence = 0;
  #isDown = false;

  constructor(device: FakeDevice) {
    this.device = device;
    this.description = device.describe();
    for (let slot = 0; slot < SLOTS; slot++)
      this.#free.push(new BatchEncoder(memoryViews(new ArrayBuffer(BATCH_AREA_SIZE)), 0));
  }

  listen(listener: RunnerListener): void {
    this.#listener = listener;
  }

  begin(): BatchEncoder | undefined {
    if (this.#isDown) return undefined;
    this.#open ??= this.#free.pop();
    return this.#open;
  }

  commit(): number {
    const batch = this.#open!;
    this.#open = undefined;
    const sequence = ++this.#sequence;
    this.inFlight++;
    setImmediate(() => {
      if (this.#isDown) return;
      const outcomes = new OutcomeRecord(memoryViews(new ArrayBuffer(4096 * 16)), 0);
      this.device.apply(batch, outcomes);
      this.inFlight--;
      this.#listener!.result({ sequence, batch, outcomes, invalid: 0, began: undefined, ended: undefined });
      batch.reset();
      this.#free.push(batch);
      this.#listener!.ready();
    });
    return sequence;
  }

  beginNotices(): undefined {
    return undefined;
  }
  commitNotices(): void {}

  async readback(onPage: (page: BatchReader) => void): Promise<void> {
    while (this.inFlight > 0) await new Promise((resolve) => setImmediate(resolve));
    const buffer = new ArrayBuffer(BATCH_AREA_SIZE);
    const encoder = new BatchEncoder(memoryViews(buffer), 0);
    this.device.readback(encoder);
    const page = new BatchReader(memoryViews(buffer), 0);
    for (const [index, list] of page.lists.entries()) list.reset(encoder.lists[index]!.length);
    onPage(page);
  }

  accuse(what: string): void {
    this.accusations.push(what);
  }

  async collect(): Promise<void> {}
  async tables(): Promise<void> {}
  async poll(): Promise<void> {}

  /** The hardware says that a change answered with `pending` is done; `reason` 0 is success. */
  complete(handle: number, reason = 0): void {
    this.tell(EVENT_TYPE.completed, handle, reason);
  }

  tell(
    eventType: number,
    handle: number,
    value = 0,
    { port = 0, vlan = 0, mac = 0 }: { port?: number; vlan?: number; mac?: number } = {},
  ): void {
    const events = new EventRecord(memoryViews(new ArrayBuffer(64)), 0);
    events.append();
    events.eventType = eventType;
    events.handle = handle;
    events.value = value;
    events.port = port;
    events.vlan = vlan;
    events.mac = mac;
    this.#listener!.events(events);
  }

  async stop(): Promise<void> {}

  kill(): void {
    this.#isDown = true;
    this.#listener?.down(undefined);
  }
}
