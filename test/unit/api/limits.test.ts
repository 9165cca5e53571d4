/** What a network peer may take, and who may do what. */
import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Access } from '../../../host/api/access.ts';
import { Audit } from '../../../host/api/audit.ts';
import { backlogOf } from '../../../host/api/changes.ts';
import { RateLimit } from '../../../host/api/limits.ts';
import { Shared } from '../../../host/api/shared.ts';

describe('the rate limit', () => {
  it('lets a burst through, then so many a second, and each address its own', () => {
    const rate = new RateLimit();
    const taken = (address: string, now: number) => {
      let count = 0;
      while (rate.takes(address, now)) count++;
      return count;
    };
    expect(taken('a', 0)).toBe(1_000);
    expect(taken('a', 0)).toBe(0);
    expect(taken('a', 100)).toBe(50);
    expect(taken('b', 100)).toBe(1_000);
    expect(taken('a', 60_000)).toBe(1_000);
  });

  it('forgets the address not heard of for longest', () => {
    const rate = new RateLimit();
    while (rate.takes('first', 0));
    for (let n = 0; n < 1_023; n++) rate.takes(`other ${n}`, 0);
    expect(rate.takes('first', 0)).toBe(false);
    for (let n = 0; n < 1_024; n++) rate.takes(`another ${n}`, 0);
    expect(rate.takes('first', 0)).toBe(true);
  });
});

describe('what waits for slow readers', () => {
  it('is 4 MiB for one, and 64 MiB for however many', () => {
    const MIB = 1024 * 1024;
    expect([1, 16, 32, 256].map(backlogOf)).toEqual([4 * MIB, 4 * MIB, 2 * MIB, MIB / 4]);
  });
});

describe('the audit log', () => {
  it('keeps what was done, however much is refused', () => {
    const audit = new Audit(() => {});
    const from = '127.0.0.1';
    audit.note({ caller: 'token a', from, request: 'PUT /x', body: { level: 'debug' }, status: 200 });
    for (let n = 0; n < 500; n++) audit.note({ caller: 'nobody', from, request: `POST /${n}`, status: 401 });
    expect(audit.lines()).toHaveLength(200);
    expect(audit.lines()[0]).toMatchObject({ caller: 'token a', change: '{"level":"debug"}' });
    expect(audit.lines().at(-1)).toMatchObject({ request: 'POST /499' });
    for (let n = 0; n < 200; n++) audit.note({ caller: 'token a', from, request: `PUT /${n}`, status: 200 });
    expect(audit.lines().map(({ request }) => request)).toEqual(
      Array.from({ length: 200 }, (_, n) => `PUT /${n}`),
    );
  });
});

describe('tokens', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('are valid for half a day', () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const access = new Access();
    const { token } = access.make('operate');
    const authorization = `Bearer ${token}`;
    expect(access.callerOf({ authorization })).toEqual({ role: 'operate', name: 'session 1' });
    vi.setSystemTime(Date.now() + 12 * 3600 * 1000);
    expect(() => access.callerOf({ authorization })).toThrowError(
      expect.objectContaining({ code: 'E_DENIED' }),
    );
  });

  it('are 64 at a time, those of the configuration apart', () => {
    const sha256 = createHash('sha256').update('secret').digest('hex');
    const access = new Access([{ name: 'noc', role: 'read', sha256 }]);
    const first = `Bearer ${access.make('operate').token}`;
    for (let n = 0; n < 63; n++) access.make('read');
    expect(access.callerOf({ authorization: first })?.role).toBe('operate');
    access.make('read');
    expect(() => access.callerOf({ authorization: first })).toThrowError();
    expect(access.callerOf({ authorization: 'Bearer secret' })).toEqual({ role: 'read', name: 'token noc' });
    const basic = Buffer.from('anybody:secret').toString('base64');
    expect(access.callerOf({ authorization: `Basic ${basic}` })?.name).toBe('token noc');
  });

  it('are not taken for none when they are wrong', () => {
    const access = new Access();
    expect(access.callerOf({})).toBeUndefined();
    for (const authorization of ['Bearer x', 'Bearer', 'Basic x', 'Digest x', ''])
      expect(() => access.callerOf({ authorization })).toThrowError();
  });
});

describe('a shared answer', () => {
  it('is found out once a moment, and again after it failed', async () => {
    let asked = 0;
    const shared = new Shared(async () => {
      if (++asked === 1) throw new Error('not yet');
      return asked;
    }, 100);
    await expect(shared.get(0)).rejects.toThrow('not yet');
    expect(await Promise.all([shared.get(1), shared.get(2), shared.get(100)])).toEqual([2, 2, 2]);
    expect(await shared.get(101)).toBe(3);
  });
});
