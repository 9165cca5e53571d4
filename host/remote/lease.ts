/**
 * Who may write to a bucket: one publisher, which renews its record (record.ts) while it lives. Whether a record that another
 * left is being renewed is found out by watching it for as long as its lease runs; no clocks are compared. The bucket is
 * taken by a write that the server refuses when anything was written meanwhile.
 */

import { readFileSync, statSync } from 'node:fs';
import { type JetStreamManager, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { EkhoError } from '../errors.ts';
import { netnsPath } from '../netlink/syscall.ts';
import { type NatsOptions, streamOf, subjectOf } from './connection.ts';
import { FORMAT } from './entry.ts';
import { formatOf, type PublisherRecord, parseRecord, RECORD_KEY } from './record.ts';

/** A record that cannot be read is watched for so long. */
const UNKNOWN_LEASE_S = 15;
/** Looks at a record in the time of its lease. */
const LOOKS = 8;
const STREAM_NOT_FOUND = 10_059;

export interface BucketOptions extends NatsOptions {
  readonly storage: 'file' | 'memory';
  readonly replicas: number;
  /** Largest size of the bucket. */
  readonly bytes: number;
}

export interface Holder {
  readonly owner: string;
  readonly host: string;
  readonly machine: string;
}

/** Another publisher is alive. `isSame`: it mirrors the same kernel state, as a host that was started twice does. */
export class HeldError extends EkhoError {
  readonly isSame: boolean;

  constructor(bucket: string, host: string, isSame: boolean) {
    super(
      'E_REMOTE',
      `bucket ${bucket} is published to by ${isSame ? 'another process on this host' : `host ${host}`}`,
      {
        remedy: isSame
          ? 'Stop the other one; this one goes on as soon as its lease has run out.'
          : 'Give each host a `publish.bucket` of its own; then start this one again.',
      },
    );
    this.isSame = isSame;
  }
}

/** A bucket that a later version writes: what this one wrote would be lost on its readers, and theirs on this one. */
function checkFormat(bucket: string, format: number | undefined): void {
  if (format === undefined || format <= FORMAT) return;
  throw new EkhoError(
    'E_REMOTE',
    `bucket ${bucket} has format ${format}, and this version writes format ${FORMAT}`,
    {
      remedy:
        'Install the version that wrote it, give this host a `publish.bucket` of its own, or delete the bucket (`nats kv del`).',
    },
  );
}

/** Boot and network namespace. */
export function machineOf(netns: string | undefined): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const { ino } = statSync(netns === undefined ? '/proc/self/ns/net' : netnsPath(netns));
  return `${boot}/${ino}`;
}

/** Makes the bucket when there is none. */
export async function ensureBucket(
  connection: NatsConnection,
  { bucket, storage, replicas, bytes }: BucketOptions,
): Promise<void> {
  if ((await lastSequence(connection, bucket)) !== undefined) return;
  await new Kvm(connection).create(bucket, {
    description: 'A mirror of a kernel’s networking state, published by EKHO',
    history: 1,
    storage: storage === 'file' ? StorageType.File : StorageType.Memory,
    replicas,
    max_bytes: bytes,
  });
}

/** Sequence of the last message of the bucket's stream; undefined when there is no bucket. */
export async function lastSequence(connection: NatsConnection, bucket: string): Promise<number | undefined> {
  const manager = await jetstreamManager(connection);
  try {
    return (await manager.streams.info(streamOf(bucket))).state.last_seq;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return (error as { code?: unknown }).code === STREAM_NOT_FOUND;
}

/**
 * Resolves once nobody else publishes to the bucket, to the sequence of its last message then and the epoch of its last
 * publisher. Throws HeldError, and E_REMOTE for a bucket of a later format.
 */
export async function awaitFree(
  connection: NatsConnection,
  bucket: string,
  { owner, machine }: Holder,
  waiting: (host: string) => void,
): Promise<{ last: number; epoch: number }> {
  const manager = await jetstreamManager(connection);
  for (;;) {
    const last = (await manager.streams.info(streamOf(bucket))).state.last_seq;
    const before = await readRecord(manager, bucket);
    const { record } = before;
    checkFormat(bucket, before.format);
    if (before.sequence > last) continue;
    const epoch = record?.epoch ?? 0;
    if (before.sequence === 0 || record?.owner === owner || record?.released === true) return { last, epoch };
    waiting(record?.host ?? 'unknown');
    if (await isRenewed(manager, bucket, before.sequence, record?.lease_s ?? UNKNOWN_LEASE_S)) {
      throw new HeldError(bucket, record?.host ?? 'unknown', record?.machine === machine);
    }
    return { last: Math.max(last, before.sequence), epoch };
  }
}

async function isRenewed(
  manager: JetStreamManager,
  bucket: string,
  sequence: number,
  lease_s: number,
): Promise<boolean> {
  const end = performance.now() + lease_s * 1000;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, (lease_s * 1000) / LOOKS));
    if ((await readRecord(manager, bucket)).sequence !== sequence) return true;
  }
  return false;
}

/** Sequence 0: there is none. */
async function readRecord(
  manager: JetStreamManager,
  bucket: string,
): Promise<{ sequence: number; format: number | undefined; record: PublisherRecord | undefined }> {
  const message = await manager.streams.getMessage(streamOf(bucket), {
    last_by_subj: subjectOf(bucket, RECORD_KEY),
  });
  if (message === null) return { sequence: 0, format: undefined, record: undefined };
  const { seq, data } = message;
  return { sequence: seq, format: formatOf(data), record: parseRecord(data) };
}
