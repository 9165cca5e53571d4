/**
 * Reads the subset of WIT that `wit/` uses: records, enums, flags, variants-free type aliases, lists, options, results,
 * functions, interfaces and worlds, each with its doc comment. Not a validator: component tools check the same files
 * when a plugin is built.
 */

export const PRIMITIVES = [
  'bool',
  'u8',
  's8',
  'u16',
  's16',
  'u32',
  's32',
  'u64',
  's64',
  'f32',
  'f64',
  'char',
  'string',
] as const;

export type Primitive = (typeof PRIMITIVES)[number];

/** A type as written where it is used. `name` refers to a definition of the same interface, `use`d ones included. */
export type WitType =
  | { readonly is: 'primitive'; readonly primitive: Primitive }
  | { readonly is: 'list'; readonly element: WitType }
  | { readonly is: 'option'; readonly element: WitType }
  | { readonly is: 'tuple'; readonly elements: readonly WitType[] }
  | { readonly is: 'result'; readonly ok: WitType | undefined; readonly error: WitType | undefined }
  | { readonly is: 'named'; readonly name: string };

export interface WitField {
  readonly name: string;
  readonly type: WitType;
  readonly docs: string;
}

export interface WitCase {
  readonly name: string;
  readonly docs: string;
}

export type WitDefinition =
  | {
      readonly is: 'record';
      readonly name: string;
      readonly docs: string;
      readonly fields: readonly WitField[];
    }
  | { readonly is: 'enum'; readonly name: string; readonly docs: string; readonly cases: readonly WitCase[] }
  | { readonly is: 'flags'; readonly name: string; readonly docs: string; readonly cases: readonly WitCase[] }
  | { readonly is: 'alias'; readonly name: string; readonly docs: string; readonly type: WitType }
  | { readonly is: 'use'; readonly name: string; readonly from: string; readonly original: string };

export interface WitFunction {
  readonly name: string;
  readonly docs: string;
  readonly parameters: readonly WitField[];
  readonly result: WitType | undefined;
}

export interface WitInterface {
  readonly name: string;
  readonly docs: string;
  readonly definitions: ReadonlyMap<string, WitDefinition>;
  readonly functions: readonly WitFunction[];
}

export interface WitWorld {
  readonly name: string;
  readonly docs: string;
  readonly includes: readonly string[];
  readonly imports: readonly string[];
  readonly exports: readonly string[];
}

export interface WitPackage {
  /** E.g. `ekho:offload`. */
  readonly name: string;
  /** E.g. `0.1.0`. */
  readonly version: string;
  readonly interfaces: ReadonlyMap<string, WitInterface>;
  readonly worlds: ReadonlyMap<string, WitWorld>;
}

interface Token {
  readonly text: string;
  /** Doc comment lines that stand directly before the token. */
  readonly docs: string;
  readonly line: number;
  readonly file: string;
}

/** Words, punctuation and the package line's versions. */
const TOKEN =
  /\/\/\/[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|->|%?[A-Za-z][A-Za-z0-9-]*|[0-9][0-9A-Za-z.+-]*|[{}()<>:;,=.@/*_]|\s+|./gy;

function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let docs: string[] = [];
  let line = 1;
  for (const [piece] of text.matchAll(TOKEN)) {
    if (piece.startsWith('///')) docs.push(piece.slice(3).trim());
    else if (!/^\s|^\/\/|^\/\*/.test(piece)) {
      tokens.push({ text: piece, docs: docs.join('\n'), line, file });
      docs = [];
    }
    line += piece.split('\n').length - 1;
  }
  return tokens;
}

class Parser {
  private readonly tokens: readonly Token[];
  private position = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get done(): boolean {
    return this.position >= this.tokens.length;
  }

  peek(): string {
    return this.tokens[this.position]?.text ?? '';
  }

  docs(): string {
    return this.tokens[this.position]?.docs ?? '';
  }

  take(): string {
    const token = this.tokens[this.position++];
    if (token === undefined) throw new SyntaxError('WIT ends where more is expected');
    return token.text;
  }

  accept(text: string): boolean {
    if (this.peek() !== text) return false;
    this.position++;
    return true;
  }

  expect(text: string): void {
    if (!this.accept(text)) this.fail(`'${text}' expected`);
  }

  identifier(): string {
    const text = this.peek();
    if (!/^%?[A-Za-z]/.test(text)) this.fail('a name expected');
    this.position++;
    return text.replace('%', '');
  }

  fail(what: string): never {
    const token = this.tokens[Math.min(this.position, this.tokens.length - 1)];
    throw new SyntaxError(`${token?.file}:${token?.line}: ${what}, found '${this.peek()}'`);
  }

  /** Items between the opening token, already taken, and `close`, separated by commas. */
  items<T>(close: string, item: () => T): T[] {
    const found: T[] = [];
    while (!this.accept(close)) {
      found.push(item());
      if (!this.accept(',') && this.peek() !== close) this.fail(`',' or '${close}' expected`);
    }
    return found;
  }

  type(): WitType {
    const name = this.identifier();
    switch (name) {
      case 'list':
      case 'option': {
        this.expect('<');
        const element = this.type();
        this.expect('>');
        return { is: name, element };
      }
      case 'tuple':
        this.expect('<');
        return { is: 'tuple', elements: this.items('>', () => this.type()) };
      case 'result': {
        if (!this.accept('<')) return { is: 'result', ok: undefined, error: undefined };
        const ok = this.accept('_') ? undefined : this.type();
        const error = this.accept(',') ? this.type() : undefined;
        this.expect('>');
        return { is: 'result', ok, error };
      }
      default:
        return (PRIMITIVES as readonly string[]).includes(name)
          ? { is: 'primitive', primitive: name as Primitive }
          : { is: 'named', name };
    }
  }

  field(): WitField {
    const docs = this.docs();
    const name = this.identifier();
    this.expect(':');
    return { name, type: this.type(), docs };
  }

  case(): WitCase {
    const docs = this.docs();
    return { name: this.identifier(), docs };
  }

  interface(docs: string): WitInterface {
    const name = this.identifier();
    const definitions = new Map<string, WitDefinition>();
    const functions: WitFunction[] = [];
    this.expect('{');
    while (!this.accept('}')) {
      const docs = this.docs();
      const word = this.identifier();
      switch (word) {
        case 'record': {
          const name = this.identifier();
          this.expect('{');
          definitions.set(name, { is: 'record', name, docs, fields: this.items('}', () => this.field()) });
          break;
        }
        case 'enum':
        case 'flags': {
          const name = this.identifier();
          this.expect('{');
          definitions.set(name, { is: word, name, docs, cases: this.items('}', () => this.case()) });
          break;
        }
        case 'type': {
          const name = this.identifier();
          this.expect('=');
          definitions.set(name, { is: 'alias', name, docs, type: this.type() });
          this.expect(';');
          break;
        }
        case 'use': {
          const from = this.identifier();
          this.expect('.');
          this.expect('{');
          for (const original of this.items('}', () => this.identifier()))
            definitions.set(original, { is: 'use', name: original, from, original });
          this.expect(';');
          break;
        }
        default: {
          this.expect(':');
          this.expect('func');
          this.expect('(');
          const parameters = this.items(')', () => this.field());
          const result = this.accept('->') ? this.type() : undefined;
          this.expect(';');
          functions.push({ name: word, docs, parameters, result });
        }
      }
    }
    return { name, docs, definitions, functions };
  }

  world(docs: string): WitWorld {
    const name = this.identifier();
    const includes: string[] = [];
    const imports: string[] = [];
    const exports: string[] = [];
    const lists: Record<string, string[]> = { include: includes, import: imports, export: exports };
    this.expect('{');
    while (!this.accept('}')) {
      const list = lists[this.identifier()];
      if (list === undefined) this.fail('include, import or export expected');
      list.push(this.identifier());
      this.expect(';');
    }
    return { name, docs, includes, imports, exports };
  }
}

/**
 * Parses the files of one package. Throws SyntaxError naming file and line.
 *
 * @param files file name → text
 */
export function parseWit(files: ReadonlyMap<string, string>): WitPackage {
  const interfaces = new Map<string, WitInterface>();
  const worlds = new Map<string, WitWorld>();
  let name = '';
  let version = '';
  for (const [file, text] of files) {
    const parser = new Parser(tokenize(text, file));
    while (!parser.done) {
      const docs = parser.docs();
      switch (parser.take()) {
        case 'package': {
          const namespace = parser.identifier();
          parser.expect(':');
          name = `${namespace}:${parser.identifier()}`;
          parser.expect('@');
          version = parser.take();
          parser.expect(';');
          break;
        }
        case 'interface': {
          const found = parser.interface(docs);
          interfaces.set(found.name, found);
          break;
        }
        case 'world': {
          const found = parser.world(docs);
          worlds.set(found.name, found);
          break;
        }
        default:
          parser.fail('package, interface or world expected');
      }
    }
  }
  return { name, version, interfaces, worlds };
}
