/** The configuration as it may be shown: every default filled in, what is or may be secret taken out. */
import type { Config } from './config.ts';

const REMOVED = '(removed)';
/** Where collectors take traces unless they were told otherwise; elsewhere the path may be a key. */
const TRACES_PATH = '/v1/traces';
/** A vendor's settings are named as the vendor likes: no name tells that a value is not secret. */
const SHOWN_SETTINGS: ReadonlySet<string> = new Set(['true', 'false']);

export type ShownConfig = Readonly<Record<string, unknown>>;

/** Plain values only, as JSON has them. */
export function shownConfig(config: Config): ShownConfig {
  const { api, plugin, plugins, tracing, ...rest } = config;
  const shown = {
    ...rest,
    api: { ...api, tokens: api.tokens.map(({ name, role }) => ({ name, role, sha256: REMOVED })) },
    plugins: { ...plugins, trustedKeys: plugins.trustedKeys.length },
    plugin: plugin.map(({ settings, ...one }) => ({
      ...one,
      settings: settings.map(({ name, value }) => ({
        name,
        value: SHOWN_SETTINGS.has(value) ? value : REMOVED,
      })),
    })),
    tracing: tracing && { ...tracing, endpoint: shownEndpoint(tracing.endpoint) },
  };
  return JSON.parse(JSON.stringify(shown)) as ShownConfig;
}

/** The URL of a collector without what may be a key. */
export function shownEndpoint(endpoint: string): string {
  const { origin, pathname } = new URL(endpoint);
  return pathname === TRACES_PATH || pathname === '/' ? endpoint : `${origin}/${REMOVED}`;
}
