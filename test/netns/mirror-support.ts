/** A network namespace with a mirror on it, for tests of the sync from outside: real `ip`, `bridge`, `tc` and `nft`. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KernelSync, type KernelSyncOptions } from '../../host/kernel/sync.ts';
import { Mirror } from '../../host/mirror/mirror.ts';
import {
  KIND,
  KINDS,
  type Kind,
  type ObjectId,
  OPERATION_DELETE,
  objectCursor,
} from '../../host/mirror/types.ts';
import { type DecodedObject, decodeObject } from '../../host/netlink/decode.ts';

let made = 0;

export class MirrorBench {
  readonly netns = `ekho-${process.pid}-m${++made}`;
  readonly mirror = new Mirror();
  readonly sync: KernelSync;
  readonly logs: string[] = [];
  /** Ids by kind, kept from the changes alone: what a listener that missed nothing knows. */
  readonly known = KINDS.map(() => new Set<ObjectId>());
  readonly #others: string[] = [];

  constructor(options: KernelSyncOptions = {}) {
    execFileSync('ip', ['netns', 'add', this.netns]);
    this.ip('link set lo up');
    this.mirror.subscribe((changes) => {
      for (let at = 0; at < changes.length; at++) {
        const ids = this.known[changes.kinds[at]!]!;
        if (changes.operations[at] === OPERATION_DELETE) ids.delete(changes.ids[at]!);
        else ids.add(changes.ids[at]!);
      }
    });
    this.sync = new KernelSync(this.mirror, {
      ...options,
      netns: this.netns,
      onLog: (level, message) => this.logs.push(`${level}: ${message}`),
    });
  }

  /** `ip` in the namespace; words separated by blanks. */
  ip(command: string): string {
    return this.#run('ip', ['-n', this.netns, ...words(command)]);
  }

  /** `ip` where failing is fine. */
  try(command: string): void {
    try {
      this.ip(command);
    } catch {
      // it was not there
    }
  }

  bridge(command: string): string {
    return this.#run('bridge', ['-n', this.netns, ...words(command)]);
  }

  tc(command: string): string {
    return this.#run('tc', ['-n', this.netns, ...words(command)]);
  }

  /** Any program in the namespace. */
  run(program: string, ...args: string[]): string {
    return this.#run('ip', ['netns', 'exec', this.netns, program, ...args]);
  }

  /** `ip -batch` in the namespace. */
  batch(lines: readonly string[]): void {
    const folder = mkdtempSync(join(tmpdir(), 'ekho-test-'));
    try {
      writeFileSync(join(folder, 'batch'), `${lines.join('\n')}\n`);
      this.#run('ip', ['-n', this.netns, '-force', '-batch', join(folder, 'batch')]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Another namespace that goes away with this one. */
  otherNamespace(): string {
    const name = `${this.netns}o${this.#others.length}`;
    execFileSync('ip', ['netns', 'add', name]);
    this.#others.push(name);
    return name;
  }

  /** Two ends of a cable, both up. */
  veth(name: string, peer: string): void {
    this.ip(`link add ${name} type veth peer name ${peer}`);
    this.ip(`link set ${name} up`);
    this.ip(`link set ${peer} up`);
  }

  count(kind: Kind): number {
    return this.mirror.count(KIND[kind]);
  }

  /** All objects of a kind, decoded, in the order of their ids. */
  objects(kind: Kind): (DecodedObject & { id: ObjectId })[] {
    const cursor = objectCursor();
    const objects: (DecodedObject & { id: ObjectId })[] = [];
    this.mirror.forEach(KIND[kind], (id) => {
      this.mirror.open(KIND[kind], id, cursor);
      objects.push({ ...decodeObject(kind, cursor.bytes, cursor.start, cursor.end), id });
    });
    return objects;
  }

  /** Waits until all is applied; returns what differs between mirror and kernel, and between mirror and its listeners. */
  async differences(): Promise<string[]> {
    await this.sync.barrier();
    const { equal, differences } = await this.sync.verify();
    const lines = differences.map(({ kind, side, key, detail }) => `${kind} ${side} ${key} ${detail}`);
    if (!equal && lines.length === 0) lines.push('not equal');
    // What came meanwhile may be in the tables, and not yet with the listeners.
    await this.sync.barrier();
    for (const [number, kind] of KINDS.entries()) {
      const ids = new Set<ObjectId>();
      this.mirror.forEach(number, (id) => ids.add(id));
      const known = this.known[number]!;
      for (const id of ids) if (!known.has(id)) lines.push(`${kind} ${id} was never announced`);
      for (const id of known) if (!ids.has(id)) lines.push(`${kind} ${id} was announced and is not there`);
    }
    return lines;
  }

  close(): void {
    this.sync.close();
    for (const name of [this.netns, ...this.#others]) {
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
      } catch {
        // the test deleted it
      }
    }
  }

  #run(program: string, args: readonly string[]): string {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }
}

function words(command: string): string[] {
  return command.split(' ').filter((word) => word !== '');
}
