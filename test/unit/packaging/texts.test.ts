/** Manual pages and completions, made from the command's own definitions, as the tools that read them take them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ekhoCommand } from '../../../host/cli/main.ts';
import { SECTIONS } from '../../../host/config/schema.ts';
import { bashCompletion, fishCompletion, zshCompletion } from '../../../packaging/completions.ts';
import { commandManual, configManual, leaves, nameOf } from '../../../packaging/manual.ts';

const OPTIONS = { version: '1.2.3', epoch: 1_700_000_000 };
const program = ekhoCommand();
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ekho-texts-'));
  writeFileSync(join(folder, 'bash'), bashCompletion(program));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

/** What bash offers for a line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const line = ['ekho', ...words].map((word) => `'${word}'`).join(' ');
  const script = `. "$1"; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _ekho; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', join(folder, 'bash')], {
    encoding: 'utf8',
    cwd: folder,
  });
  expect(stderr).toBe('');
  return stdout.split('\n').filter(Boolean);
}

describe('ekho(1)', () => {
  const page = commandManual(program, OPTIONS);
  it('has every command with every option', () => {
    for (const command of leaves(program)) {
      const part = page.split(`.SS ${nameOf(command).replaceAll('-', '\\-')} `)[1]?.split('\n.S')[0];
      expect(part, nameOf(command)).toBeDefined();
      for (const { flags } of command.options) expect(part).toContain(flags.replaceAll('-', '\\-'));
    }
    expect(page).toMatch(/^\.TH EKHO 1 2023-11-14 "EKHO 1\.2\.3"/);
  });

  it.runIf(has('groff'))('is what groff takes without a warning', () => {
    for (const text of [page, configManual(OPTIONS)]) {
      const { stdout, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-K', 'utf8'], {
        input: text,
        encoding: 'utf8',
      });
      expect(stderr).toBe('');
      expect(stdout.length).toBeGreaterThan(5000);
    }
  });
});

it('ekho.toml(5) has every section and key, without marks of Markdown', () => {
  const page = configManual(OPTIONS);
  for (const { header, schema } of SECTIONS) {
    expect(page).toContain(`.SH ${header}`);
    for (const key of Object.keys((schema as { properties: object }).properties))
      expect(page).toContain(`\\fB${key.replaceAll('-', '\\-')}\\fR`);
  }
  expect(page).not.toMatch(/`|\]\(/);
});

describe('completions', () => {
  it('offer commands, those below them, options and what these may be', () => {
    expect(offered('sta')).toEqual(['status', 'stats']);
    expect(offered('plugin', 're')).toEqual(['reload', 'restart']);
    expect(offered('show', 'ro')).toEqual(['route']);
    expect(offered('log', 'level', '')).toEqual(
      expect.arrayContaining(['trace', 'debug', 'info', 'warn', 'error']),
    );
    expect(offered('status', '--s')).toEqual(['--socket']);
    expect(offered('monitor', '--source', 'n')).toEqual(['netlink', 'notifier']);
  });

  it('offer files where an option takes one', () => {
    expect(offered('run', '--config', 'ba')).toEqual(['bash']);
  });

  it.runIf(has('zsh'))('are what zsh takes', () => {
    const { stderr } = spawnSync('zsh', ['-n'], { input: zshCompletion(program), encoding: 'utf8' });
    expect(stderr).toBe('');
  });

  it.runIf(has('fish'))('are what fish takes and offers', () => {
    writeFileSync(join(folder, 'fish'), fishCompletion(program));
    const script = `source ${join(folder, 'fish')}; complete -C 'ekho plugin re'`;
    const env = { ...process.env, HOME: folder };
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script], { encoding: 'utf8', env });
    expect(stderr).toBe('');
    expect(stdout.split('\n').map((line) => line.split('\t')[0])).toContain('reload');
  });
});
