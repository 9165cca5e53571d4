/**
 * Offloads that BPF programs ask for: records of pinned maps that the configuration names (`struct ekho_offload` of bpf/ekho_offload.h),
 * read now and then. What programs write is as hostile as any other input: a record counts only as far as its kind's declaration lets it.
 */

import { statSync } from 'node:fs';
import { BpfMap } from '../../bpf/libbpf-ts/src/index.ts';
import { DATA_WORDS, type OffloadKind } from '../plugin/offload-kinds.ts';
import { OBJECTS_MAX, type Requested } from './store.ts';
import { type LinkNames, unpack } from './values.ts';

/** Bytes of `kind` in struct ekho_offload, and of the whole. */
const KIND_BYTES = 64;
const RECORD_BYTES = KIND_BYTES + 8 + 8 * DATA_WORDS;
const KEY_MAX = 64;
const KIND_NAME = /^[a-z][a-z0-9-]{0,30}:[a-z][a-z0-9-]{0,30}$/;
const MAP_TYPES = new Set(['hash', 'lru_hash']);
const PERIOD_MS = 1000;
/** A reading rests at least this many times as long as it took. */
const REST = 20;

export interface BpfMapsOptions {
  /** Where the maps are pinned. */
  readonly paths: readonly string[];
  readonly kinds: () => ReadonlyMap<string, OffloadKind>;
  readonly links: Pick<LinkNames, 'nameOf'>;
  /** All that the map at a path asks for now. */
  readonly request: (path: string, requested: readonly Requested[]) => void;
  readonly warn: (message: string) => void;
}

interface Opened {
  readonly map: BpfMap;
  readonly inode: number;
}

export class BpfMaps {
  readonly #options: BpfMapsOptions;
  readonly #opened = new Map<string, Opened>();
  /** What each map asked for last, as text. */
  readonly #texts = new Map<string, string>();
  /** What was told last of a path: said again only when it changes. */
  readonly #told = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BpfMapsOptions) {
    this.#options = options;
    if (options.paths.length > 0) this.#look();
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const { map } of this.#opened.values()) map.close();
    this.#opened.clear();
  }

  #look(): void {
    const began = performance.now();
    for (const path of this.#options.paths) this.#read(path);
    this.#timer = setTimeout(() => this.#look(), Math.max(PERIOD_MS, REST * (performance.now() - began)));
    this.#timer.unref();
  }

  #read(path: string): void {
    let requested: Requested[] = [];
    try {
      const map = this.#mapAt(path);
      if (map !== undefined) {
        requested = this.#records(map, path);
        this.#tell(path, '');
      }
    } catch (error) {
      // What was asked for before stays: the map may be read again in a second.
      this.#tell(path, `${path}: ${(error as Error).message}`);
      return;
    }
    const text = JSON.stringify(requested);
    if (text === (this.#texts.get(path) ?? '[]')) return;
    this.#texts.set(path, text);
    this.#options.request(path, requested);
  }

  /** The map pinned there now, which may be another than a second ago. Undefined while there is none. */
  #mapAt(path: string): BpfMap | undefined {
    const inode = statSync(path, { throwIfNoEntry: false })?.ino;
    const known = this.#opened.get(path);
    if (known !== undefined && known.inode === inode) return known.map;
    known?.map.close();
    this.#opened.delete(path);
    if (inode === undefined) return undefined;
    const map = BpfMap.fromPin(path);
    const { type, keySize, valueSize, maxEntries } = map.info();
    if (!MAP_TYPES.has(type) || valueSize !== RECORD_BYTES || keySize > KEY_MAX || maxEntries > OBJECTS_MAX) {
      map.close();
      throw new Error(
        `a ${type} map with keys of ${keySize} and values of ${valueSize} bytes, ${maxEntries} entries; offloads are in a hash map with keys of up to ${KEY_MAX} and values of ${RECORD_BYTES} bytes, at most ${OBJECTS_MAX} entries (bpf/ekho_offload.h)`,
      );
    }
    this.#opened.set(path, { map, inode });
    return map;
  }

  #records(map: BpfMap, path: string): Requested[] {
    const found: Requested[] = [];
    for (const { count, values } of map.chunks()) {
      for (let index = 0; index < count && found.length < OBJECTS_MAX; index++) {
        const record = this.#record(values.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES), path);
        if (record !== undefined) found.push(record);
      }
    }
    // The order in a hash map means nothing, and is another after each change.
    return found.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }

  #record(bytes: Uint8Array<ArrayBuffer>, path: string): Requested | undefined {
    const name = Buffer.from(bytes.subarray(0, KIND_BYTES)).toString('latin1').split('\0', 1)[0]!;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const version = view.getUint32(KIND_BYTES, true);
    const present = view.getUint32(KIND_BYTES + 4, true);
    if (!KIND_NAME.test(name)) {
      this.#tell(`${path} kinds`, `${path}: a record whose kind is no VENDOR:KIND is left out`);
      return undefined;
    }
    const kind = this.#options.kinds().get(name);
    // What its words mean is not known before a plugin declares the kind, in this version.
    if (kind === undefined || version !== kind.version) {
      const words = Buffer.from(bytes.subarray(KIND_BYTES + 8)).toString('hex');
      return { kind: name, version, values: { words: words.replace(/(00)+$/, '') } };
    }
    const data = new Uint32Array(2 * DATA_WORDS);
    for (let word = 0; word < data.length; word++)
      data[word] = view.getUint32(KIND_BYTES + 8 + 4 * word, true);
    return { kind: name, version, values: unpack(kind, { present, data }, this.#options.links) };
  }

  #tell(about: string, text: string): void {
    if (this.#told.get(about) === text) return;
    this.#told.set(about, text);
    if (text !== '') this.#options.warn(text);
  }
}
