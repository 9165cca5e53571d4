/** iproute2's databases: /etc before /usr/share, *.d adds, builtin names without files, limits. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ethertypeName, linkTypeName, Names } from '../../../host/iproute2/names.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-names-'));
  mkdirSync(join(folder, 'etc/rt_protos.d'), { recursive: true });
  mkdirSync(join(folder, 'share/rt_protos.d'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

const names = () => new Names([join(folder, 'etc'), join(folder, 'share')]);

test('without files there are the builtin names', () => {
  expect(names().protocol(186)).toBe('bgp');
  expect(names().protocol(99)).toBe('99');
  expect(names().table(254)).toBe('main');
  expect(names().table(70000)).toBe('70000');
  expect(names().scope(253)).toBe('link');
  expect(names().group(0)).toBe('default');
  expect(names().realm(0)).toBe('unknown');
  expect(names().dsfield(16)).toBe('0x10');
  expect(names().tableNumber('local')).toBe(255);
});

test('files are read as iproute2 reads them', () => {
  writeFileSync(
    join(folder, 'etc/rt_protos'),
    '# comment\n\n 99 mine\n0x64 hundred # why\nnonsense\n77\tseven 8 9\n',
  );
  writeFileSync(join(folder, 'share/rt_protos'), '99 theirs\n98 hidden\n');
  writeFileSync(join(folder, 'etc/rt_protos.d/a.conf'), '120 extra\n');
  writeFileSync(join(folder, 'share/rt_protos.d/b.conf'), '121 shared\n');
  writeFileSync(join(folder, 'etc/rt_protos.d/README'), '122 no\n');
  const read = names();
  expect([99, 100, 77, 98, 120, 121, 122].map((number) => read.protocol(number))).toEqual([
    ...['mine', 'hundred', 'seven', '98', 'extra', 'shared', '122'],
  ]);
  expect(read.protocolNumber('extra')).toBe(120);
});

test('a file without an end does not take all memory', () => {
  const lines = Array.from({ length: 200_000 }, (_, index) => `${index + 1000} table-${index}\n`);
  writeFileSync(join(folder, 'etc/rt_tables'), lines.join(''));
  const read = names();
  expect(read.table(1000)).toBe('table-0');
  expect(read.table(201_000 - 1)).toBe('200999');
});

test('ethertypes and link types', () => {
  expect(ethertypeName(0x0800)).toBe('ip');
  expect(ethertypeName(0x8100)).toBe('802.1Q');
  expect(ethertypeName(0x1234)).toBe('[4660]');
  expect(linkTypeName(1)).toBe('ether');
  expect(linkTypeName(772)).toBe('loopback');
  expect(linkTypeName(4242)).toBe('[4242]');
});
