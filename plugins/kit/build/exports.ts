/** Gives exports of a core module other names: AssemblyScript cannot spell those of a component. */

const EXPORT_SECTION = 7;
/** Magic number and version. */
const HEADER_SIZE = 8;

/** Exports without a new name, but for the memory, are left out. */
export function renameExports(module: Uint8Array, names: ReadonlyMap<string, string>): Uint8Array {
  const parts: Uint8Array[] = [module.subarray(0, HEADER_SIZE)];
  let at = HEADER_SIZE;
  while (at < module.length) {
    const start = at;
    const id = module[at++]!;
    const size = unsigned(module, at);
    const end = size.end + size.value;
    if (id === EXPORT_SECTION) {
      const body = exportSection(module, size.end, names);
      parts.push(Uint8Array.of(EXPORT_SECTION, ...leb(body.length)), body);
    } else parts.push(module.subarray(start, end));
    at = end;
  }
  return Buffer.concat(parts);
}

function exportSection(module: Uint8Array, start: number, names: ReadonlyMap<string, string>): Uint8Array {
  const entries: Uint8Array[] = [];
  let { value: count, end: at } = unsigned(module, start);
  for (; count > 0; count--) {
    const length = unsigned(module, at);
    const name = Buffer.from(module.subarray(length.end, length.end + length.value)).toString();
    const kind = length.end + length.value;
    const index = unsigned(module, kind + 1);
    at = index.end;
    const renamed = name === 'memory' ? name : names.get(name);
    if (renamed === undefined) continue;
    const bytes = Buffer.from(renamed);
    entries.push(Buffer.concat([Uint8Array.from(leb(bytes.length)), bytes, module.subarray(kind, at)]));
  }
  return Buffer.concat([Uint8Array.from(leb(entries.length)), ...entries]);
}

function unsigned(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end: at };
  }
}

function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    const more = value > 0x7f;
    bytes.push((value & 0x7f) | (more ? 0x80 : 0));
    value >>>= 7;
  } while (value !== 0);
  return bytes;
}
