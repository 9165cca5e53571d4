/** The log: what is written, how, and what becomes of it when nobody reads. */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Logs } from '../../../host/log/log.ts';
import { LineWriter, WAITING_MAX } from '../../../host/log/writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'ekho-log-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('lines', () => {
  const written = (format: 'text' | 'journal' | 'json', use: (logs: Logs) => void): string => {
    const file = join(folder, 'log');
    const fd = openSync(file, 'w');
    try {
      const logs = Logs.toFd(fd, { format, level: 'debug' });
      use(logs);
      logs.close();
      return readFileSync(file, 'utf8');
    } finally {
      closeSync(fd);
    }
  };
  const some = (logs: Logs) => {
    logs.of('host').info('mirror in sync');
    logs.of('planner').warn({ plugin: 'softnic' }, 'the device lost what it held');
    logs.ofPlugin('softnic').error({ code: 'E_PLUGIN_TRAP' }, 'down: \u001b[2Jit trapped\nagain');
    logs.audit.info({ caller: 'noc', request: 'POST /x', status: 200 }, 'noc: POST /x: 200');
    logs.of('api').debug({ ms: 3 }, 'GET /status: 200');
    logs.of('mirror').trace('not at this level');
  };

  it('are for people on a terminal', () => {
    expect(written('text', some)).toBe(
      'mirror in sync\n' +
        'warn: softnic: the device lost what it held\n' +
        'error: plugin softnic: down: \ufffd[2Jit trapped\ufffdagain\n' +
        'audit: noc: POST /x: 200\n' +
        'debug: api: GET /status: 200 ms=3\n',
    );
  });

  it('have their priority in front for journald', () => {
    expect(written('journal', some).match(/^<\d>/gm)).toEqual(['<6>', '<4>', '<3>', '<6>', '<7>']);
  });

  it('are objects otherwise', () => {
    const lines = written('json', some)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toMatchObject([
      { level: 'info', component: 'host', msg: 'mirror in sync' },
      { level: 'warn', component: 'planner', plugin: 'softnic' },
      { level: 'error', component: 'plugin', plugin: 'softnic', code: 'E_PLUGIN_TRAP' },
      { level: 'info', component: 'audit', caller: 'noc', request: 'POST /x', status: 200 },
      { level: 'debug', component: 'api', ms: 3 },
    ]);
    for (const { time } of lines) expect(new Date(time).toISOString()).toBe(time);
  });

  it.each([
    ['a pipe', '', /^\{"level":"info".*"msg":"hello"\}\n$/],
    ['the journal', 'export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/$$/fd/1); ', /^<6>hello\n$/],
    ['another journal', 'export JOURNAL_STREAM=1:1; ', /^\{"level":"info"/],
  ])('know by themselves that they go to %s', (_name, before, line) => {
    const module = join(import.meta.dirname, '../../../host/log/log.ts');
    const code = `import { Logs } from '${module}'; Logs.toFd(1).of('host').info('hello');`;
    const script = `${before}exec "$0" --input-type=module -e "$1"`;
    const { stdout, stderr } = spawnSync('sh', ['-c', script, process.execPath, code], { encoding: 'utf8' });
    expect(stdout, stderr).toMatch(line);
  });
});

describe('levels', () => {
  it('are one for each component and plugin, and change at once', () => {
    const said: string[] = [];
    const logs = Logs.toLines((line) => said.push(line), { level: 'warn', levels: { mirror: 'trace' } });
    logs.of('host').info('1');
    logs.of('mirror').trace('2');
    logs.ofPlugin('a').info('3');
    logs.setLevel('info', { plugin: 'a' });
    logs.ofPlugin('a').info('4');
    logs.ofPlugin('b').info('5');
    expect(logs.levels).toMatchObject({
      level: 'warn',
      components: { plugin: 'warn' },
      plugins: { a: 'info' },
    });
    logs.setLevel('debug');
    logs.of('host').debug('6');
    logs.ofPlugin('b').debug('7');
    logs.of('mirror').trace('8');
    expect(logs.levels.plugins).toEqual({});
    logs.configure({ level: 'error', levels: { host: 'info' } });
    logs.of('planner').warn('9');
    logs.of('host').info('10');
    expect(said.map((line) => /\d+$/.exec(line)?.[0])).toEqual(['2', '4', '6', '7', '10']);
    expect(logs.lines).toEqual({ trace: 1, debug: 2, info: 2, warn: 0, error: 0 });
  });

  it('keep what is audited, whatever they are', () => {
    const said: string[] = [];
    const logs = Logs.toLines((line) => said.push(line), { level: 'error' });
    logs.setLevel('error');
    logs.audit.info('noc: POST /x: 200');
    expect(said).toEqual(['audit: noc: POST /x: 200']);
  });

  it('that are off look at nothing', () => {
    const logs = Logs.toLines(() => {});
    const fields = {
      get costly(): string {
        throw new Error('looked at');
      },
    };
    logs.of('planner').debug(fields, 'not written');
    logs.ofPlugin('a').trace(fields, 'not written');
    expect(logs.isOn('planner', 'debug')).toBe(false);
    expect(logs.lines.debug).toBe(0);
  });
});

describe('a reader that takes nothing', () => {
  /** A pipe that holds 64 KiB, with its reading end open and nobody reading. */
  const pipe = () => {
    const path = join(folder, `pipe-${Math.random()}`);
    spawnSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Not `O_NONBLOCK`: a write that does not fit would wait for ever.
    const fd = openSync(path, constants.O_WRONLY);
    return { reader, fd };
  };
  const read = (fd: number): string => {
    const buffer = Buffer.alloc(1 << 20);
    let text = '';
    try {
      for (let bytes = 1; bytes > 0; ) {
        bytes = readSync(fd, buffer);
        text += buffer.toString('utf8', 0, bytes);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return text;
  };

  it('does not hold up the host, and is told how many lines it lost', async () => {
    const { reader, fd } = pipe();
    try {
      const writer = new LineWriter(fd, (lines) => `lost ${lines}\n`);
      const line = (number: number) => `${number} ${'x'.repeat(990)}\n`;
      const lines = 2000;
      for (let number = 0; number < lines; number++) writer.write(line(number));
      // 2 MB: the pipe took 64 KiB, and the host keeps no more than its limit.
      const kept = Math.ceil((65_536 + WAITING_MAX) / 990);
      expect(writer.dropped).toBeGreaterThan(lines - kept - 100);
      let text = '';
      await expect
        .poll(
          () => {
            text += read(reader);
            return text;
          },
          { timeout: 60_000 },
        )
        .toContain('lost ');
      expect(text).toMatch(new RegExp(`\nlost ${writer.dropped}\n$`));
      const numbers = [...text.matchAll(/^(\d+) x{990}$/gm)].map((match) => Number(match[1]));
      expect(numbers).toEqual(Array.from({ length: lines - writer.dropped }, (_, number) => number));
      writer.close(0);
    } finally {
      closeSync(fd);
      closeSync(reader);
    }
  });

  it('does not hold up its end either', () => {
    const { reader, fd } = pipe();
    try {
      const writer = new LineWriter(fd, () => '');
      for (let number = 0; number < 200; number++) writer.write(`${'x'.repeat(1000)}\n`);
      writer.close(100);
      expect(writer.dropped).toBe(0);
      expect(read(reader).length).toBeGreaterThan(0);
    } finally {
      closeSync(fd);
      closeSync(reader);
    }
  });

  it('that is gone costs the lines alone', () => {
    const { reader, fd } = pipe();
    closeSync(reader);
    try {
      const writer = new LineWriter(fd, () => '');
      writer.write('nobody reads\n');
      writer.write('nobody reads\n');
      expect(writer.dropped).toBe(2);
    } finally {
      closeSync(fd);
    }
  });
});
