/** docs/kernels.md is made of what the lab's suite found out. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { newestOf } from '../../lab/archive.ts';
import { readColumns, render } from '../../lab/matrix.ts';
import { TABLE_FILE } from '../../lab/matrix-files.ts';

test('the table is what the results say', () => {
  const columns = readColumns();
  expect(columns.length).toBeGreaterThan(0);
  expect(readFileSync(TABLE_FILE, 'utf8'), 'run `npm run lab:matrix -- --render`').toBe(render(columns));
});

test('reasons are told once, below the table', () => {
  const column = (answer: string) => ({
    release: '6.1.0-9-amd64',
    arch: 'amd64',
    libbpf: '1.1',
    sections: { Links: { VRF: answer, bonds: 'yes' } },
  });
  const text = render([column('yes'), column('no: not built'), column('no: not built')]);
  expect(text).toContain('| VRF | yes | no [1] | no [1] |\n| bonds | yes | yes | yes |\n');
  expect(text).toMatch(/\n1\. not built\n$/);
});

test('the newest kernel is one that the archive still has all parts of', () => {
  const depends: Record<string, string> = {
    'linux-image-6.19.14+deb13-amd64':
      'kmod, linux-base-6.19.14+deb13-amd64 (= 6.19.14-1), linux-modules-6.19.14+deb13-amd64 (= 6.19.14-1)',
    'linux-image-6.18.9+deb13-amd64': 'kmod, linux-modules-6.18.9+deb13-amd64 (= 6.18.9-1)',
  };
  const names = [
    'linux-image-6.18.9+deb13-amd64',
    'linux-modules-6.18.9+deb13-amd64',
    'linux-image-6.18.10+deb13-cloud-amd64',
    'linux-image-6.19.14+deb13-amd64',
    'linux-image-6.9.1+deb13-amd64',
    'linux-image-6.1-unsigned-amd64',
  ];
  const newest = newestOf(names, 'amd64', (name) => depends[name] ?? '');
  expect(newest).toEqual({
    version: '6.18.9',
    packages: ['linux-image-6.18.9+deb13-amd64', 'linux-modules-6.18.9+deb13-amd64'],
  });
  expect(newestOf(['linux-image-7.0.1-amd64'], 'amd64', () => '')).toBeUndefined();
});
