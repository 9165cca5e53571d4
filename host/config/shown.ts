/** The configuration as it may be shown: every default filled in, what is secret taken out. */
import type { Config } from './config.ts';

const REMOVED = '(removed)';
/** A vendor's settings are named as the vendor likes. */
const SECRET_NAME = /pass|secret|token|key|credential|auth/i;

export type ShownConfig = Readonly<Record<string, unknown>>;

/** Plain values only, as JSON has them. */
export function shownConfig(config: Config): ShownConfig {
  const { api, plugin, plugins, ...rest } = config;
  const shown = {
    ...rest,
    api: { ...api, tokens: api.tokens.map(({ name, role }) => ({ name, role, sha256: REMOVED })) },
    plugins: { ...plugins, trustedKeys: plugins.trustedKeys.length },
    plugin: plugin.map(({ settings, ...one }) => ({
      ...one,
      settings: settings.map(({ name, value }) => ({
        name,
        value: SECRET_NAME.test(name) ? REMOVED : value,
      })),
    })),
  };
  return JSON.parse(JSON.stringify(shown)) as ShownConfig;
}
