/**
 * A container image as an archive of an OCI image layout: layers from folders, byte for byte the same from the same files.
 * https://github.com/opencontainers/image-spec: image-layout.md, manifest.md, config.md.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { normalise } from './deb.ts';

const MEDIA = 'application/vnd.oci.image';
/** Longest tar may take, in milliseconds. */
const LIMIT = 10 * 60_000;
/** Largest layer before it is compressed, in bytes. */
const LAYER_MAX = 1 << 30;

export interface Layer {
  /** As it is to be below /. */
  readonly folder: string;
  /** What made it, in a word or two. */
  readonly by: string;
}

export interface ImageOptions {
  readonly layers: readonly Layer[];
  /** amd64, arm64. */
  readonly architecture: string;
  /** Name of the image in the archive, as 1.2.3. */
  readonly tag: string;
  /** Entrypoint, Cmd, Env, Labels, … as of an image configuration's `config`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Seconds since 1970: the time of every file. */
  readonly epoch: number;
  readonly output: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** In bytes. */
  readonly size: number;
}

/** Writes `output`. Needs GNU tar. */
export function writeImage({ layers, architecture, tag, config, epoch, output }: ImageOptions): void {
  const folder = mkdtempSync(join(tmpdir(), 'ekho-image-'));
  try {
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
    const blob = (type: string, data: Uint8Array): Descriptor => {
      const hash = sha256(data);
      writeFileSync(join(folder, 'blobs/sha256', hash), data);
      return { mediaType: `${MEDIA}.${type}`, digest: `sha256:${hash}`, size: data.length };
    };
    const json = (type: string, value: object) => blob(`${type}+json`, Buffer.from(JSON.stringify(value)));
    const created = `${new Date(epoch * 1000).toISOString().slice(0, 19)}Z`;
    const packed = layers.map(({ folder, by }) => {
      normalise(folder);
      const data = tarOf(folder, epoch);
      return { by, diff: `sha256:${sha256(data)}`, layer: blob('layer.v1.tar+gzip', gzipSync(data)) };
    });
    const image = json('config.v1', {
      created,
      architecture,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: packed.map(({ diff }) => diff) },
      history: packed.map(({ by }) => ({ created, created_by: by })),
    });
    const manifest = json('manifest.v1', {
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config: image,
      layers: packed.map(({ layer }) => layer),
    });
    const index = {
      schemaVersion: 2,
      mediaType: `${MEDIA}.index.v1+json`,
      manifests: [
        {
          ...manifest,
          platform: { architecture, os: 'linux' },
          annotations: { 'org.opencontainers.image.ref.name': tag },
        },
      ],
    };
    writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
    writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    normalise(folder);
    writeFileSync(output, tarOf(folder, epoch));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sorted, of root, with one time for all. */
function tarOf(folder: string, epoch: number): Buffer {
  const words = [
    '--sort=name',
    '--format=gnu',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    `--mtime=@${epoch}`,
  ];
  return execFileSync('tar', [...words, '-C', folder, '-c', '.'], {
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: LAYER_MAX,
    timeout: LIMIT,
  });
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
