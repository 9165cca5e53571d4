/** Addresses as text: IPv4, IPv6 (as glibc's inet_ntop prints them), link-layer addresses and hex. */

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function formatIp4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** The longest run of two or more zero words becomes `::`; mapped and compatible addresses end in a dotted quad. */
export function formatIp6(bytes: Uint8Array, at: number): string {
  let bestStart = -1;
  let bestLength = 1;
  let start = -1;
  for (let word = 0; word <= 8; word++) {
    if (word < 8 && bytes[at + 2 * word] === 0 && bytes[at + 2 * word + 1] === 0) {
      if (start < 0) start = word;
    } else if (start >= 0) {
      if (word - start > bestLength) {
        bestStart = start;
        bestLength = word - start;
      }
      start = -1;
    }
  }
  const mapped = bestLength === 5 && bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
  const dotted = bestStart === 0 && (bestLength === 6 || mapped);
  const words = dotted ? 6 : 8;
  let text = '';
  for (let word = 0; word < words; word++) {
    if (word === bestStart) {
      text += '::';
      word += bestLength - 1;
      continue;
    }
    if (word > 0 && !text.endsWith(':')) text += ':';
    text += ((bytes[at + 2 * word]! << 8) | bytes[at + 2 * word + 1]!).toString(16);
  }
  if (!dotted) return text;
  return `${text.endsWith(':') ? text : `${text}:`}${formatIp4(bytes, at + 12)}`;
}

/** Bytes joined by colons, e.g. a MAC address. */
export function formatMac(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at++) text += at === start ? HEX[bytes[at]!] : `:${HEX[bytes[at]!]}`;
  return text;
}

export function formatHex(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < end; at++) text += HEX[bytes[at]!];
  return text;
}

/** The bytes of an even number of hex digits; undefined for anything else. */
export function parseHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, at) =>
    Number.parseInt(text.slice(2 * at, 2 * at + 2), 16),
  );
}

/** Four decimal numbers of 0-255; undefined for anything else. */
export function parseIp4(text: string): Uint8Array | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (parts === null) return undefined;
  const bytes = Uint8Array.from(parts.slice(1), Number);
  return parts.slice(1).every((part, at) => Number(part) === bytes[at]) ? bytes : undefined;
}

/** RFC 4291 text, with or without a dotted quad at the end; undefined for anything else. */
export function parseIp6(text: string): Uint8Array | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const words = (half: string): number[] | undefined => {
    if (half === '') return [];
    const result: number[] = [];
    const parts = half.split(':');
    for (const [index, part] of parts.entries()) {
      const quad = index === parts.length - 1 && part.includes('.') ? parseIp4(part) : undefined;
      if (quad !== undefined) result.push((quad[0]! << 8) | quad[1]!, (quad[2]! << 8) | quad[3]!);
      else if (/^[0-9a-fA-F]{1,4}$/.test(part)) result.push(Number.parseInt(part, 16));
      else return undefined;
    }
    return result;
  };
  const head = words(halves[0]!);
  const tail = halves.length === 2 ? words(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  // A dotted quad may stand only at the very end.
  if (halves.length === 2 && halves[0]!.includes('.')) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  for (const [word, value] of [...head, ...new Array<number>(missing).fill(0), ...tail].entries()) {
    bytes[2 * word] = value >> 8;
    bytes[2 * word + 1] = value & 0xff;
  }
  return bytes;
}

/** 4 or 16 bytes; undefined for anything else. */
export function parseIp(text: string): Uint8Array | undefined {
  return text.includes(':') ? parseIp6(text) : parseIp4(text);
}

/** Hex bytes joined by colons; `''` is no bytes; undefined for anything else. */
export function parseMac(text: string): Uint8Array | undefined {
  if (text === '') return new Uint8Array(0);
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*$/.test(text)) return undefined;
  return Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
}
