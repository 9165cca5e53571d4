/** What is concluded from what the kernel and this process show; the command's own tests look at the real ones. */
import { describe, expect, it } from 'vitest';
import { featureFinding, memlockFindings } from '../../../host/doctor/bpf.ts';
import { rightsFindings } from '../../../host/doctor/rights.ts';
import { isSince, kernelFinding, lockdownFinding } from '../../../host/doctor/system.ts';

const CAP_SYS_ADMIN = (1n << 21n).toString(16);

describe('system', () => {
  it.each([
    ['6.12.107+deb13-amd64', true],
    ['6.1.0-9-amd64', true],
    ['10.0-rc1', true],
    ['6.0.19', false],
    ['5.19', false],
    ['custom', undefined],
  ])('kernel %s', (release, expected) => {
    expect(isSince(release, [6, 1])).toBe(expected);
    expect(kernelFinding(release).status).toBe(expected ? 'available' : 'inconclusive');
  });

  it.each([
    ['none', 'available'],
    ['integrity', 'available'],
    ['confidentiality', 'unsupported'],
    ['unknown', 'inconclusive'],
  ] as const)('lockdown %s', (mode, status) => {
    const finding = lockdownFinding(mode);
    expect(finding.status).toBe(status);
    expect(finding.remedy === undefined).toBe(status === 'available');
  });
});

describe('rights', () => {
  const missing = (effective: string) =>
    rightsFindings(false, effective)
      .filter(({ status }) => status !== 'available')
      .map(({ feature, remedy }) => `${feature}: ${remedy}`);

  it('names each that is missing, with the remedy', () => {
    expect(missing('0')).toEqual(
      ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_BPF', 'CAP_PERFMON'].map(
        (name) => `${name}: Run the host as root or grant ${name}.`,
      ),
    );
  });

  it('takes CAP_SYS_ADMIN for the newer two, as the kernel does', () => {
    expect(missing(CAP_SYS_ADMIN)).toEqual(['CAP_NET_ADMIN: Run the host as root or grant CAP_NET_ADMIN.']);
  });

  it('needs CAP_SYS_ADMIN only for another namespace', () => {
    const needs = (entersNetns: boolean) =>
      rightsFindings(entersNetns, '0').filter(({ required }) => required);
    expect(needs(false)).toEqual([]);
    expect(needs(true)).toMatchObject([{ feature: 'CAP_SYS_ADMIN' }]);
  });
});

describe('bpf', () => {
  const limit = (value: string) =>
    `Max locked memory         ${value}              ${value}              bytes\n`;

  it('locked memory counts on old kernels only', () => {
    expect(memlockFindings('5.11.0', limit('65536'))).toEqual([]);
    expect(memlockFindings('5.10.4', limit('unlimited'))).toMatchObject([{ status: 'available' }]);
    expect(memlockFindings('5.10.4', limit('65536'))).toMatchObject([
      { status: 'unsupported', detail: '65536 bytes, against which this kernel counts BPF maps' },
    ]);
  });

  it('keeps the three answers apart', () => {
    expect(featureFinding('fentry', { status: 'available' })).toEqual({
      area: 'bpf',
      feature: 'fentry',
      status: 'available',
    });
    expect(featureFinding('ringbuf', { status: 'unsupported', why: 'no' })).toMatchObject({
      status: 'unsupported',
      detail: 'no',
      remedy: 'Use Linux 5.8 or later for notifiers.',
    });
    expect(
      featureFinding('ringbuf', { status: 'inconclusive', why: 'this process lacks CAP_BPF' }),
    ).toMatchObject({ status: 'inconclusive', remedy: 'Run the host as root to find out.' });
  });
});
