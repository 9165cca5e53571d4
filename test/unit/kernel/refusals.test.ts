/** Dumps that the kernel answers with an error: what is kept, what is given up, what is tried again. */

import { constants } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { unavailability } from '../../../host/kernel/requests.ts';
import { KernelSync } from '../../../host/kernel/sync.ts';
import { Mirror } from '../../../host/mirror/mirror.ts';
import { KERNEL_KINDS, KIND, type Kind } from '../../../host/mirror/types.ts';
import { NetlinkClient, type NetlinkClientOptions, NetlinkError } from '../../../host/netlink/request.ts';

const { EACCES, EAFNOSUPPORT, EBUSY, EINTR, EINVAL, EMSGSIZE, ENOBUFS, ENOMEM, EOPNOTSUPP, EPERM } =
  constants.errno;
const RTM_GETADDR = 22;
const RTM_GETRULE = 34;

/** The kernel, but requests of the types in `refusals` are refused. */
class RefusingClient extends NetlinkClient {
  readonly #refusals: Map<number, number>;

  constructor(options: NetlinkClientOptions, refusals: Map<number, number>) {
    super(options);
    this.#refusals = refusals;
  }

  override async dump(...[request, handler]: Parameters<NetlinkClient['dump']>): Promise<boolean> {
    const errno = this.#refusals.get(request.type);
    if (errno === undefined) return super.dump(request, handler);
    throw new NetlinkError(request.operation, errno, undefined);
  }
}

let sync: KernelSync;
let mirror: Mirror;
let logs: string[];
const refusals = new Map<number, number>();

function make(kinds: readonly Kind[] = ['link', 'address', 'rule']): void {
  mirror = new Mirror();
  logs = [];
  sync = new KernelSync(mirror, {
    kinds,
    onLog: (level, message) => logs.push(`${level}: ${message}`),
    openClient: (options) => new RefusingClient(options, refusals),
  });
}

afterEach(() => {
  sync?.close();
  refusals.clear();
});

async function until(condition: () => boolean): Promise<void> {
  for (let left = 200; !condition(); left--) {
    if (left === 0) throw new Error('it did not come to that in 4 s');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a kernel that cannot answer just now', () => {
  it.each([
    ['ENOMEM', ENOMEM],
    ['ENOBUFS', ENOBUFS],
    ['EBUSY', EBUSY],
    ['EINTR', EINTR],
    ['EMSGSIZE', EMSGSIZE],
  ])('%s: what is known stays, and is read again', async (_name, errno) => {
    make();
    await sync.start();
    const addresses = mirror.count(KIND.address);
    const rules = mirror.count(KIND.rule);
    expect(addresses).toBeGreaterThan(0);
    const { revision } = mirror;
    refusals.set(RTM_GETADDR, errno).set(RTM_GETRULE, errno);
    const again = sync.resync();
    await until(() => sync.status().failing.some(({ kind, attempts }) => kind === 'rule' && attempts > 1));
    // What fails does not hold up who waits for the rest.
    await sync.barrier();
    expect(mirror.count(KIND.address)).toBe(addresses);
    expect(mirror.count(KIND.rule)).toBe(rules);
    expect(mirror.revision).toBe(revision);
    expect(mirror.synced).toBe(false);
    expect(mirror.kindState(KIND.link).state).toBe('synced');
    expect(mirror.kindState(KIND.address)).toMatchObject({
      state: 'syncing',
      reason: expect.stringMatching(/^dump address: /),
    });
    expect(
      sync
        .status()
        .failing.map(({ kind }) => kind)
        .sort(),
    ).toEqual(['address', 'rule']);
    // Once, not with each attempt.
    expect(logs.filter((line) => line.startsWith('warn: address'))).toHaveLength(1);
    refusals.clear();
    await again;
    expect(mirror.synced).toBe(true);
    expect(sync.status().failing).toEqual([]);
    expect(mirror.revision).toBe(revision);
  });

  it('at the start: it waits, with longer and longer pauses', async () => {
    refusals.set(RTM_GETADDR, ENOMEM);
    make();
    let isStarted = false;
    const started = sync.start().then(() => {
      isStarted = true;
    });
    await until(() => sync.status().failing[0]?.attempts === 2);
    const before = performance.now();
    await until(() => sync.status().failing[0]?.attempts === 3);
    expect(performance.now() - before).toBeGreaterThan(300);
    expect(isStarted).toBe(false);
    expect(mirror.synced).toBe(false);
    refusals.clear();
    await started;
    expect(mirror.count(KIND.address)).toBeGreaterThan(0);
  });

  it('is a difference for verify', async () => {
    make();
    await sync.start();
    refusals.set(RTM_GETRULE, ENOMEM);
    const { equal, differences } = await sync.verify();
    expect(equal).toBe(false);
    expect(differences).toMatchObject([
      { kind: 'rule', detail: expect.stringContaining('cannot be compared: dump rule: ') },
    ]);
  });
});

describe('a kernel that has none or shows none', () => {
  it.each([
    ['EOPNOTSUPP', EOPNOTSUPP, true],
    ['EAFNOSUPPORT', EAFNOSUPPORT, true],
    ['EPERM', EPERM, false],
  ])('%s: the kind is unavailable', async (_name, errno, isAbsent) => {
    make();
    await sync.start();
    refusals.set(RTM_GETADDR, errno);
    await sync.resync(['address']);
    expect(mirror.kindState(KIND.address)).toEqual({
      state: 'unavailable',
      reason: expect.stringMatching(/^dump address: /),
      isAbsent,
    });
    expect(mirror.count(KIND.address)).toBe(0);
    expect(mirror.synced).toBe(true);
    expect(sync.status().failing).toEqual([]);
  });

  it('every errno is one thing for a kind', () => {
    for (const kind of KERNEL_KINDS) {
      for (const errno of [EPERM, EACCES]) expect(unavailability(kind, errno)).toBe('denied');
      expect(unavailability(kind, EOPNOTSUPP)).toBe('absent');
      expect(unavailability(kind, ENOMEM)).toBeUndefined();
      expect(unavailability(kind, EINVAL)).toBe(/^(nft|xfrm)-|^flow$/.test(kind) ? 'absent' : undefined);
    }
  });
});

describe('a dump of routes', () => {
  it('waits for deletions that were announced: the kernel is asked for a link before it', async () => {
    const asked: number[] = [];
    class RecordingClient extends NetlinkClient {
      override request(
        ...[request, handler]: Parameters<NetlinkClient['request']>
      ): ReturnType<NetlinkClient['request']> {
        asked.push(request.type);
        return super.request(request, handler);
      }
      override dump(
        ...[request, handler]: Parameters<NetlinkClient['dump']>
      ): ReturnType<NetlinkClient['dump']> {
        asked.push(request.type);
        return super.dump(request, handler);
      }
    }
    const RTM_GETLINK = 18;
    const RTM_GETROUTE = 26;
    mirror = new Mirror();
    sync = new KernelSync(mirror, {
      kinds: ['route'],
      openClient: (options) => new RecordingClient(options),
    });
    await sync.start();
    asked.length = 0;
    await sync.resync(['route'], 'test');
    expect(asked[0]).toBe(RTM_GETLINK);
    expect(asked).toContain(RTM_GETROUTE);
  });
});
