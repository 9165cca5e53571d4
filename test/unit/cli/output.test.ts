/** Tables and text for a terminal. */
import { describe, expect, it } from 'vitest';
import type { Status } from '../../../host/api/schemas.ts';
import { pluginTable } from '../../../host/cli/ask.ts';
import { bytes, plain, table } from '../../../host/cli/output.ts';

describe('a table', () => {
  it('aligns words left, numbers right and leaves no blanks behind', () => {
    expect(
      table(
        ['NAME', 'ROWS', 'STATE'],
        [
          ['a', '1', 'ok'],
          ['longer', '1,000', 'failed: x'],
        ],
      ),
    ).toBe('NAME     ROWS  STATE\na           1  ok\nlonger  1,000  failed: x\n');
  });

  it('is not widened by colour', () => {
    expect(table(['A', 'B'], [['\x1b[32mok\x1b[0m', 'x']])).toBe('A   B\n\x1b[32mok\x1b[0m  x\n');
  });
});

it('text from outside cannot drive the terminal', () => {
  expect(plain('eth0\x1b[2J\u202e')).toBe('eth0�[2J�');
});

it('names of ports cannot either', () => {
  const plugin = { name: 'softnic', state: 'active', restarts: 0, ports: ['p0', '\x1b[2Jp1', '\u202ep2'] };
  expect(pluginTable([plugin] as unknown as Status['plugins'])).toMatch(/p0 \ufffd\[2Jp1 \ufffdp2\n$/);
});

it('bytes are in binary units', () => {
  expect([512, 2048, 5 * 1024 ** 3].map(bytes)).toEqual(['512 B', '2.0 KiB', '5.0 GiB']);
});
