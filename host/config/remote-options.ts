/** `--publish` and `--source` of `ekho run`: a server and a bucket in one word, in place of those of the file. */

import { EkhoError } from '../errors.ts';
import { type Config, parseConfig } from './config.ts';

export interface RemoteOptions {
  /** `nats://HOST:PORT`, or with a bucket `nats://HOST:PORT/BUCKET`; also `tls://`. */
  readonly publish?: string;
  /** As `publish`; the bucket must be there. */
  readonly source?: string;
}

/**
 * Certificates and all else stay as the file's sections say. A host without a file that is to publish has no plugin.
 * @throws EkhoError E_CONFIG for words that are no such place, E_USAGE for options that exclude each other
 */
export function withRemote(config: Config, options: RemoteOptions): Config {
  const publish = options.publish === undefined ? undefined : place('publish', options.publish).publish;
  const source = options.source === undefined ? undefined : place('source', options.source).source;
  const isAlone = publish !== undefined && config.file === undefined;
  const merged: Config = {
    ...config,
    publish: publish
      ? { ...publish, ...config.publish, ...given(publish, options.publish!) }
      : config.publish,
    source: source ? { ...source, ...config.source, ...given(source, options.source!) } : config.source,
    ...(isAlone && { plugin: [], device: [] }),
  };
  if (merged.publish !== undefined && merged.source !== undefined) {
    throw new EkhoError('E_USAGE', 'a mirror from a remote source is published already', {
      remedy: 'Leave out either --source or --publish, and what the configuration says of the other.',
    });
  }
  return merged;
}

/** What was named overrides the file: the server, and the bucket where there is one. */
function given<Section extends { servers: readonly string[]; bucket: string }>(
  { servers, bucket }: Section,
  word: string,
): Partial<Section> {
  return { servers, ...(parts(word).bucket !== undefined && { bucket }) } as Partial<Section>;
}

function parts(word: string): { server: string; bucket: string | undefined } {
  const [, server, bucket] = /^(\w+:\/\/[^/]*)(?:\/(.*))?$/.exec(word) ?? [];
  return { server: server ?? word, bucket };
}

/** By the rules of the configuration file, which say what is wrong. */
function place(section: 'publish' | 'source', word: string): Config {
  const { server, bucket } = parts(word);
  const lines = [
    `[${section}]`,
    ...(section === 'source' ? ['type = "remote"'] : []),
    `servers = [${JSON.stringify(server)}]`,
    ...(bucket === undefined ? [] : [`bucket = ${JSON.stringify(bucket)}`]),
  ];
  return parseConfig(lines.join('\n'), `--${section}`);
}
