/** Archives of container images: what the specification wants, and the same bytes each time. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeImage } from '../../../packaging/oci.ts';
import { readImage } from '../../support/oci.ts';

const EPOCH = 1_700_000_000;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-oci-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Two layers, their files made in this order; gives the archive. */
function make(name: string, order: readonly string[]): string {
  const below = join(folder, name, 'below');
  const above = join(folder, name, 'above');
  mkdirSync(join(below, 'usr/bin'), { recursive: true });
  mkdirSync(join(above, 'etc'), { recursive: true });
  writeFileSync(join(below, 'usr/bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
  symlinkSync('usr/bin', join(below, 'bin'));
  for (const file of order) writeFileSync(join(above, 'etc', file), file);
  const output = join(folder, `${name}.tar`);
  writeImage({
    layers: [
      { folder: below, by: 'below' },
      { folder: above, by: 'above' },
    ],
    architecture: 'arm64',
    tag: '1.2.3',
    config: { Entrypoint: ['/usr/bin/tool'] },
    epoch: EPOCH,
    output,
  });
  return output;
}

it('are what the specification wants', () => {
  const place = join(folder, 'layout');
  mkdirSync(place);
  const image = readImage(make('one', ['a', 'b']), place);
  expect(image).toMatchObject({
    tag: '1.2.3',
    platform: 'linux/arm64',
    config: { Entrypoint: ['/usr/bin/tool'] },
  });
  const listed = (layer: Buffer) =>
    execFileSync('tar', ['-tv', '--numeric-owner', '--utc', '--full-time'], {
      input: layer,
      encoding: 'utf8',
    });
  expect(listed(image.layers[0]!)).toMatch(/^-rwxr-xr-x 0\/0 +10 2023-11-14 22:13:20 \.\/usr\/bin\/tool$/m);
  expect(listed(image.layers[0]!)).toMatch(/ \.\/bin -> usr\/bin$/m);
  expect(listed(image.layers[1]!)).toMatch(/^-rw-r--r-- 0\/0 +1 2023-11-14 22:13:20 \.\/etc\/a$/m);
});

it('are the same bytes when they are made again, by whomever', () => {
  const first = readFileSync(make('one', ['a', 'b']));
  const mask = process.umask(0o077);
  try {
    expect(Buffer.compare(first, readFileSync(make('two', ['b', 'a'])))).toBe(0);
  } finally {
    process.umask(mask);
  }
});
