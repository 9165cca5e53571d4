/** Reads an archive of an OCI image layout as strictly as its specification has it: every blob by its digest and size. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Image {
  readonly tag: string;
  readonly platform: string;
  /** Entrypoint, Env and so on. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Archives of tar, the first one below. */
  readonly layers: readonly Buffer[];
}

/** Reads the one image of an archive; fails where something is not as the specification wants it. `folder` is empty before. */
export function readImage(archive: string, folder: string): Image {
  execFileSync('tar', ['-xf', archive, '-C', folder]);
  const json = (path: string) => JSON.parse(readFileSync(join(folder, path), 'utf8'));
  const read = new Set<string>();
  const blob = ({ mediaType, digest, size }: Descriptor, type: string): Buffer => {
    expect(mediaType).toBe(`application/vnd.oci.image.${type}`);
    const [, hash] = /^sha256:([0-9a-f]{64})$/.exec(digest)!;
    const data = readFileSync(join(folder, 'blobs/sha256', hash!));
    expect(data.length).toBe(size);
    expect(sha256(data)).toBe(digest);
    read.add(hash!);
    return data;
  };
  expect(json('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
  const index = json('index.json') as { schemaVersion: number; manifests: Descriptor[] };
  expect(index.schemaVersion).toBe(2);
  expect(index.manifests).toHaveLength(1);
  const [entry] = index.manifests as [Descriptor];
  const manifest = JSON.parse(blob(entry, 'manifest.v1+json').toString()) as {
    schemaVersion: number;
    config: Descriptor;
    layers: Descriptor[];
  };
  expect(manifest.schemaVersion).toBe(2);
  const image = JSON.parse(blob(manifest.config, 'config.v1+json').toString());
  const layers = manifest.layers.map((layer) => gunzipSync(blob(layer, 'layer.v1.tar+gzip')));
  expect(image.rootfs).toEqual({ type: 'layers', diff_ids: layers.map(sha256) });
  expect(image.history).toHaveLength(layers.length);
  expect(entry.platform).toEqual({ architecture: image.architecture, os: image.os });
  // Nothing that nobody refers to.
  expect(readdirSync(join(folder, 'blobs/sha256')).sort()).toEqual([...read].sort());
  return {
    tag: entry.annotations!['org.opencontainers.image.ref.name']!,
    platform: `${image.os}/${image.architecture}`,
    config: image.config,
    layers,
  };
}

function sha256(data: Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
