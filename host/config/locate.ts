/** Where each key of a TOML text stands. The parser does not say, and an error without a line is hard to act on. */

/** Line (from 1) of each key by its path, parts joined by NUL. Only for text that parses. */
export function locateKeys(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  let table: string[] = [];
  /** Items so far of each array of tables. */
  const counts = new Map<string, number>();
  let position = 0;
  let line = 1;

  const mark = (path: string[]) => {
    for (let depth = 1; depth <= path.length; depth++) {
      const key = path.slice(0, depth).join('\0');
      if (!lines.has(key)) lines.set(key, line);
    }
  };
  const step = () => {
    if (text[position] === '\n') line++;
    position++;
  };
  const skipSpace = () => {
    while (text[position] === ' ' || text[position] === '\t') position++;
  };
  const skipLine = () => {
    while (position < text.length && text[position] !== '\n') position++;
  };
  /** A string in any of the four quotings; returns its raw content. */
  const string = (): string => {
    const quote = text[position]!;
    const long = text.startsWith(quote.repeat(3), position);
    const fence = long ? quote.repeat(3) : quote;
    position += fence.length;
    const start = position;
    while (position < text.length && !text.startsWith(fence, position)) {
      if (quote === '"' && text[position] === '\\') step();
      step();
    }
    const content = text.slice(start, position);
    position += fence.length;
    // A long string may end in up to two more quotes that belong to it.
    while (long && text[position] === quote) position++;
    return content;
  };
  const keyPath = (): string[] => {
    const path: string[] = [];
    for (;;) {
      skipSpace();
      if (text[position] === '"' || text[position] === "'") {
        path.push(string());
      } else {
        const start = position;
        while (/[A-Za-z0-9_-]/.test(text[position] ?? '')) position++;
        path.push(text.slice(start, position));
      }
      skipSpace();
      if (text[position] !== '.') return path;
      position++;
    }
  };
  /** Skips blanks, line ends and comments inside arrays and inline tables. */
  const skipFiller = () => {
    while (position < text.length) {
      if (text[position] === '#') skipLine();
      else if (/\s/.test(text[position]!)) step();
      else return;
    }
  };
  const value = (path: string[]): void => {
    skipSpace();
    const first = text[position];
    if (first === '"' || first === "'") {
      string();
    } else if (first === '[' || first === '{') {
      const close = first === '[' ? ']' : '}';
      position++;
      for (let index = 0; ; index++) {
        skipFiller();
        if (position >= text.length || text[position] === close) break;
        if (text[position] === ',') {
          position++;
          index--;
          continue;
        }
        if (first === '[') {
          const item = [...path, String(index)];
          mark(item);
          value(item);
        } else {
          assignment(path);
        }
      }
      position++;
    } else {
      while (position < text.length && !/[,\]}\n#]/.test(text[position]!)) position++;
    }
  };
  const assignment = (prefix: string[]): void => {
    const path = [...prefix, ...keyPath()];
    mark(path);
    position++; // the equals sign
    value(path);
  };

  while (position < text.length) {
    skipFiller();
    if (position >= text.length) break;
    if (text[position] === '[') {
      const isItem = text[position + 1] === '[';
      position += isItem ? 2 : 1;
      table = keyPath();
      if (isItem) {
        const items = table.join('\0');
        const index = counts.get(items) ?? 0;
        counts.set(items, index + 1);
        table.push(String(index));
      }
      mark(table);
      skipLine();
    } else {
      assignment(table);
      skipLine();
    }
  }
  return lines;
}

/** Line of the key, or of the nearest table that holds it, or 1. */
export function lineOf(lines: ReadonlyMap<string, number>, path: readonly string[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const line = lines.get(path.slice(0, depth).join('\0'));
    if (line !== undefined) return line;
  }
  return 1;
}
