/** Levels and components of the host's log: what can be set, in the file, by the API and by `ekho log level`. */

/** From the most to the least that is written. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Who writes. `plugin` are all plugins together; one alone can be set, too. What is audited is always written. */
export const LOG_COMPONENTS = [
  'host',
  'mirror',
  'planner',
  'plugin',
  'statistics',
  'publish',
  'api',
] as const;
export type LogComponent = (typeof LOG_COMPONENTS)[number];

export const LOG_FORMATS = ['auto', 'text', 'journal', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];
