/** Keys of longest-prefix-match tries: struct bpf_lpm_trie_key, a prefix length and the address in network order. */

import { isIP } from 'node:net';
import { BpfError } from './errors.ts';

/**
 * `10.1.0.0/16` or `2001:db8::/32` as the bytes of an LPM key (4 + 4 or 4 + 16 bytes); without a slash a host route. Maps
 * take these bytes for their key whatever its members are called.
 * @throws E_VALUE
 */
export function prefixKey(prefix: string): Uint8Array {
  const [address = '', length, ...more] = prefix.split('/');
  const family = isIP(address);
  const bits = family === 6 ? 128 : 32;
  const prefixLength = length === undefined ? bits : /^\d+$/.test(length) ? Number(length) : -1;
  if (family === 0 || more.length > 0 || prefixLength < 0 || prefixLength > bits || address.includes('%')) {
    throw new BpfError('E_VALUE', `${JSON.stringify(prefix)} is not an IP prefix`);
  }
  const key = new Uint8Array(4 + bits / 8);
  new DataView(key.buffer).setUint32(0, prefixLength, true);
  key.set(family === 4 ? address.split('.').map(Number) : ipv6Bytes(address), 4);
  return key;
}

function ipv6Bytes(address: string): Uint8Array {
  // The URL parser writes an embedded IPv4 address as two groups and expands nothing else.
  const host = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = host.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const all = [...left, ...new Array(8 - left.length - right.length).fill('0'), ...right];
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [index, group] of all.entries()) view.setUint16(index * 2, Number.parseInt(group, 16));
  return bytes;
}
