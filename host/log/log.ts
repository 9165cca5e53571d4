/**
 * The host's log: one place through which every line goes, by pino. A component has a level of its own, which can change while the
 * host runs. Where a level is off, its methods are empty functions; who would have to build the text asks `isOn` before.
 */
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isDeepStrictEqual } from 'node:util';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { EkhoError } from '../errors.ts';
import { LOG_COMPONENTS, LOG_LEVELS, type LogComponent, type LogFormat, type LogLevel } from './levels.ts';
import { journalLine, type LineFields, textLine } from './text.ts';
import { LineWriter } from './writer.ts';

/** How long the end waits for a reader that is behind, in milliseconds. */
const CLOSE_MS = 1000;
/** Plugins that may have a level of their own. */
const PLUGINS_MAX = 256;

/** `(fields, message)` or `(message)`, as pino has it. */
export type Log = Pick<Logger, LogLevel>;

/** For the layers that know nothing of pino: a line at a level. */
export type LineSink = (level: LogLevel, message: string) => void;

export interface LogOptions {
  readonly level?: LogLevel;
  readonly levels?: Readonly<Partial<Record<LogComponent, LogLevel>>>;
  readonly format?: LogFormat;
}

export interface LevelsAnswer {
  readonly level: LogLevel;
  readonly components: Readonly<Record<string, LogLevel>>;
  /** Those that differ from `components.plugin`. */
  readonly plugins: Readonly<Record<string, LogLevel>>;
}

/** What pino tells its destination of the line beside its text. */
interface Destination {
  write(json: string): void;
  lastLevel?: number;
  lastMsg?: string | undefined;
  lastObj?: LineFields | null;
  lastLogger?: Logger;
}

const LEVEL_OF: Readonly<Record<number, LogLevel>> = Object.fromEntries(
  LOG_LEVELS.map((level) => [pino.levels.values[level], level]),
);

export class Logs {
  /** Lines by level, dropped ones among them. */
  readonly lines: Readonly<Record<LogLevel, number>>;
  #level: LogLevel;
  #configured: Pick<LogOptions, 'level' | 'levels'>;
  readonly #root: Logger;
  readonly #components: ReadonlyMap<LogComponent, Logger>;
  readonly #plugins = new Map<string, Logger>();
  /** Plugins whose level was set by name. */
  readonly #named = new Set<string>();
  readonly #writer: LineWriter | undefined;
  /** What is audited, and where the host can be reached: whatever the levels. */
  readonly audit: Log;
  readonly always: Log;

  private constructor(
    { level = 'info', levels = {} }: LogOptions,
    destination: Destination,
    writer?: LineWriter,
  ) {
    const lines = { trace: 0, debug: 0, info: 0, warn: 0, error: 0 };
    const count = {
      [Symbol.for('pino.metadata')]: true,
      write(this: Destination, json: string) {
        lines[LEVEL_OF[this.lastLevel!]!]++;
        destination.lastLevel = this.lastLevel!;
        destination.lastMsg = this.lastMsg;
        destination.lastObj = this.lastObj ?? null;
        destination.lastLogger = this.lastLogger!;
        destination.write(json);
      },
    };
    this.lines = lines;
    this.#level = level;
    this.#configured = { level, levels };
    this.#writer = writer;
    const formatters = { level: (label: string) => ({ level: label }) };
    this.#root = pino({ base: null, timestamp: stdTimeFunctions.isoTime, level: 'trace', formatters }, count);
    this.#components = new Map(
      LOG_COMPONENTS.map((component) => [
        component,
        this.#root.child({ component }, { level: levels[component] ?? level }),
      ]),
    );
    this.audit = this.#root.child({ component: 'audit' }, { level: 'info' });
    this.always = this.#root.child({ component: 'host' }, { level: 'info' });
  }

  /** To a file descriptor, standard output for one. */
  static toFd(fd: number, options: LogOptions = {}): Logs {
    const format = formatOf(options.format ?? 'auto', fd);
    const lost = (lines: number) => {
      const message = `${lines} lines of the log were dropped, as its reader was too slow`;
      const fields = { component: 'host' };
      if (format === 'json')
        return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), ...fields, msg: message })}\n`;
      return (format === 'journal' ? journalLine : textLine)('warn', message, fields);
    };
    const writer = new LineWriter(fd, lost);
    if (format === 'json') return new Logs(options, { write: (json) => writer.write(json) }, writer);
    const line = format === 'journal' ? journalLine : textLine;
    return new Logs(
      options,
      inWords(line, (text) => writer.write(text)),
      writer,
    );
  }

  /** As text, without its line feed, to whoever wants it. */
  static toLines(say: (line: string) => void, options: LogOptions = {}): Logs {
    return new Logs(
      options,
      inWords(textLine, (text) => say(text.slice(0, -1))),
    );
  }

  of(component: LogComponent): Log {
    return this.#components.get(component)!;
  }

  /** As `of(component)`, for layers that know nothing of pino; `plugin` becomes a field of the line. */
  sink(component: LogComponent): LineSink {
    const log = this.of(component);
    return (level, message) => log[level](message);
  }

  ofPlugin(name: string): Log {
    const known = this.#plugins.get(name);
    if (known !== undefined) return known;
    const all = this.#components.get('plugin')!;
    const made = all.child({ plugin: name }, { level: all.level });
    // Files that come and go: those beyond share the level of all.
    if (this.#plugins.size < PLUGINS_MAX) this.#plugins.set(name, made);
    return made;
  }

  /** Whether such a line would be written: to be asked before a text is built. */
  isOn(component: LogComponent, level: LogLevel): boolean {
    return this.#components.get(component)!.isLevelEnabled(level);
  }

  /** Lines that no reader took. */
  get dropped(): number {
    return this.#writer?.dropped ?? 0;
  }

  get levels(): LevelsAnswer {
    const components = Object.fromEntries(
      [...this.#components].map(([name, log]) => [name, log.level as LogLevel]),
    );
    const plugins = Object.fromEntries(
      [...this.#named].map((name) => [name, this.#plugins.get(name)!.level as LogLevel]),
    );
    return { level: this.#level, components, plugins };
  }

  /**
   * From now on, until the host ends: of everything, of a component, or of one plugin, which may not be up yet.
   * @throws EkhoError E_UNKNOWN_OBJECT for a plugin beyond those that can have a level of their own
   */
  setLevel(level: LogLevel, { component, plugin }: { component?: LogComponent; plugin?: string } = {}): void {
    if (plugin !== undefined) {
      const log = this.ofPlugin(plugin) as Logger;
      if (this.#plugins.get(plugin) !== log)
        throw new EkhoError('E_UNKNOWN_OBJECT', `more than ${PLUGINS_MAX} plugins cannot have a level each`, {
          remedy: 'Set the level of all plugins.',
        });
      this.#named.add(plugin);
      log.level = level;
      return;
    }
    if (component === undefined) this.#level = level;
    for (const [name, log] of this.#components) {
      if (component !== undefined && name !== component) continue;
      log.level = level;
      if (name !== 'plugin') continue;
      this.#named.clear();
      for (const each of this.#plugins.values()) each.level = level;
    }
  }

  /** As the configuration says, which takes back what was set before; one that says what it said last does nothing. */
  configure({ level = 'info', levels = {} }: LogOptions): void {
    if (isDeepStrictEqual({ level, levels }, this.#configured)) return;
    this.#configured = { level, levels };
    this.setLevel(level);
    for (const component of LOG_COMPONENTS)
      if (levels[component] !== undefined) this.setLevel(levels[component], { component });
  }

  close(): void {
    this.#writer?.close(CLOSE_MS);
  }
}

function inWords(
  line: (level: LogLevel, message: string, fields: LineFields) => string,
  write: (text: string) => void,
): Destination {
  const bindings = new WeakMap<Logger, LineFields>();
  return {
    write() {
      const logger = this.lastLogger!;
      let fields = bindings.get(logger);
      if (fields === undefined) {
        fields = logger.bindings();
        bindings.set(logger, fields);
      }
      const own = this.lastObj;
      write(line(LEVEL_OF[this.lastLevel!]!, this.lastMsg ?? '', own ? { ...fields, ...own } : fields));
    },
  };
}

/** systemd says which file is the journal's: then lines have their priority, on a terminal they are for people, else JSON. */
function formatOf(format: LogFormat, fd: number): Exclude<LogFormat, 'auto'> {
  if (format !== 'auto') return format;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    if (process.env.JOURNAL_STREAM === `${dev}:${ino}`) return 'journal';
    return isatty(fd) ? 'text' : 'json';
  } catch {
    // It is closed: nobody reads.
    return 'text';
  }
}
