/** The plugins of the configuration: known to the planner, run by the supervisor, steered and told of. */
import type { LogLine, PluginDetails, PluginStatus } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import { portsOf } from '../config/port-owners.ts';
import { EkhoError } from '../errors.ts';
import type { Logs } from '../log/log.ts';
import { paced } from '../log/paced.ts';
import type { Objects } from '../objects.ts';
import type { Planner, Retired } from '../offload/planner.ts';
import { DisabledPlugins } from '../plugin/disabled-plugins.ts';
import type { Runner } from '../plugin/runner.ts';
import type { PluginSetup, SupervisedPlugin } from '../plugin/supervised-plugin.ts';
import { Supervisor } from '../plugin/supervisor.ts';
import type { Devices } from './devices.ts';
import { logOf, PluginStates, whyNotWanted } from './plugin-states.ts';

/** How long a plugin that stops for good has to take all out of its device, ports first. */
const CLEAR_MS = 30_000;
/** Of a plugin that breaks the contract, one fault in this time is said. All are counted. */
const FAULT_MS = 10_000;

const LEFT: Readonly<Record<Retired, string>> = {
  cleared: 'its device holds nothing',
  kept: 'its device goes on with what it holds',
  down: 'it was not running, so its device holds what it held',
};

export interface PluginsParts {
  readonly config: Config;
  readonly objects: Objects;
  readonly planner: Planner;
  readonly devices: Devices;
  readonly logs: Logs;
  /** The host is ending. */
  readonly isStopping: () => boolean;
}

export class Plugins {
  readonly #parts: PluginsParts;
  readonly #supervisor: Supervisor;
  /** Plugins that were disabled by name. */
  readonly #disabled: DisabledPlugins;
  readonly #states: PluginStates;

  constructor(parts: PluginsParts) {
    this.#parts = parts;
    const { config, objects, planner, devices, logs } = parts;
    this.#disabled = new DisabledPlugins(config.plugins.state, (message) => logs.of('plugin').warn(message));
    for (const plugin of config.plugin) {
      planner.addPlugin({
        name: plugin.name,
        isPort: portsOf(plugin, config.plugin),
        isRetired: this.#disabled.has(plugin.name),
        isOwnProgram: (id) => devices.find(plugin.device)?.hasProgram?.(id) === true,
        canMirror: (ifindex) => devices.find(plugin.device)?.canMirror?.(ifindex) !== false,
      });
    }
    this.#supervisor = new Supervisor({
      folder: config.plugins.folder,
      ...(config.plugins.cache !== undefined && { cache: config.plugins.cache }),
      signatures: config.plugins.signatures,
      trustedKeys: config.plugins.trustedKeys,
      setup: (name) => this.#setup(name),
      listener: {
        logged: (plugin, level, text) => logs.ofPlugin(plugin.name)[level](text),
        notReplaced: (plugin, error) =>
          logs.ofPlugin(plugin.name).warn({ code: error.code }, `not replaced: ${error.message}`),
        withdraw: (plugin) => this.#withdraw(plugin.name),
        up: (plugin, runner) => this.#up(plugin, runner),
        down: (plugin, error) => {
          if (error !== undefined)
            logs.ofPlugin(plugin.name).error({ code: error.code }, `down: ${error.message}`);
        },
      },
    });
    const supervised = this.#supervisor.plugins;
    this.#states = new PluginStates({ config, objects, planner, supervised, disabled: this.#disabled });
  }

  /** Resolves once they are up, refused or waiting for another attempt; tells which and why. */
  async start(): Promise<void> {
    const { config, logs, isStopping } = this.#parts;
    this.#states.isLooking = true;
    try {
      await this.#supervisor.start();
    } catch (error) {
      // The mirror is worth having without them.
      if (!(error instanceof EkhoError)) throw error;
      this.#states.noPlugins = error;
      logs
        .of('plugin')
        .error(
          { code: error.code },
          `no plugins: ${error.message}${error.remedy ? `. ${error.remedy}` : ''}`,
        );
      return;
    }
    if (isStopping()) return;
    for (const { name, state, reason, remedy } of this.list()) {
      // Without a configuration, one plugin of several is the default.
      if (state === 'found' && config.file === undefined) continue;
      // That it is active is said when it is.
      if (state === 'syncing') continue;
      if (reason !== undefined)
        logs
          .ofPlugin(name)
          [state === 'found' ? 'info' : 'warn'](`${state}: ${reason}${remedy ? `. ${remedy}` : ''}`);
    }
  }

  /** For a host that ends: clears the devices of the plugins that are to leave nothing behind. */
  async leave(): Promise<void> {
    const { config, planner, logs } = this.#parts;
    const leaving = config.plugin.filter(
      ({ name, onStop }) => onStop === 'clear' && this.supervised.has(name),
    );
    await Promise.all(
      leaving.map(async ({ name }) => {
        try {
          const left = await planner.retire(name, 'clear', AbortSignal.timeout(CLEAR_MS));
          logs.ofPlugin(name).info(LEFT[left]);
        } catch {
          logs.ofPlugin(name).error('its device could not be cleared and may still forward');
        }
      }),
    );
  }

  async stop(): Promise<void> {
    await this.#supervisor.stop();
  }

  /** Those of the folder, by name. */
  get supervised(): ReadonlyMap<string, SupervisedPlugin> {
    return this.#supervisor.plugins;
  }

  /** Whether one of the configuration is on its way up. */
  get areComingUp(): boolean {
    return this.#parts.config.plugin.some(({ name }) => {
      const state = this.supervised.get(name)?.state.state;
      return state === 'starting' || state === 'syncing' || state === 'restarting';
    });
  }

  /** Those of the configuration, then files that have no place in it. */
  list(): PluginStatus[] {
    return this.#states.list();
  }

  /** Throws E_UNKNOWN_OBJECT. */
  details(name: string): PluginDetails {
    const status = this.list().find((one) => one.name === name);
    // Also of one that has no file, or that the configuration does not name: it says so itself.
    const plugin = this.supervised.get(name);
    if (status === undefined) throw this.#unknown(name);
    const errors = plugin?.errors.map((one) => ({ ...one })) ?? [];
    return { ...status, counters: { ...plugin?.counters }, errors };
  }

  /** Throws E_UNKNOWN_OBJECT, E_PLUGIN_DOWN when it is disabled, or why its file does not run. */
  async restart(name: string): Promise<void> {
    const plugin = this.#enabled(name);
    await plugin.restart();
    throwTrouble(plugin);
  }

  /** Takes over the file as it is now, if it can be loaded. Throws as `restart`. */
  async reload(name: string): Promise<void> {
    const plugin = this.#enabled(name);
    await plugin.reload();
    throwTrouble(plugin);
  }

  /** Clears its device (or keeps it, as configured) and stops it, until it is enabled again. */
  async disable(name: string): Promise<void> {
    const plugin = this.#named(name);
    try {
      this.#disabled.add(name);
    } finally {
      await plugin.retire();
    }
  }

  /** Throws E_UNKNOWN_OBJECT, E_CONFIG, or why it does not run. */
  async enable(name: string): Promise<void> {
    const plugin = this.#named(name);
    try {
      this.#disabled.delete(name);
    } finally {
      await plugin.start();
    }
    throwTrouble(plugin);
  }

  /** Its last lines and faults. Throws E_UNKNOWN_OBJECT. */
  logs(name: string): LogLine[] {
    return logOf(this.#named(name));
  }

  #setup(name: string): PluginSetup | undefined {
    const { config, devices } = this.#parts;
    const plugin = config.plugin.find((plugin) => plugin.name === name);
    if (plugin === undefined || this.#disabled.has(name)) return undefined;
    const device = devices.find(plugin.device);
    const { settings, isolation, deviceCalls } = plugin;
    return {
      devices: device === undefined ? [] : [device.share],
      settings,
      deviceCalls,
      ...(isolation !== undefined && { isolation }),
    };
  }

  #up(plugin: SupervisedPlugin, runner: Runner): void {
    const { planner, logs } = this.#parts;
    const log = logs.ofPlugin(plugin.name);
    const listener = {
      fault: paced(
        (error: Error, left: number) =>
          log.warn(`${error.message}${left > 0 ? `; and ${left} faults more before` : ''}`),
        FAULT_MS,
      ),
      // The supervisor says so, and why.
      down: () => {},
    };
    const settled = planner
      .pluginUp(plugin.name, runner, listener)
      .then(() => planner.pluginSettled(plugin.name));
    settled.then(
      () => {
        if (plugin.state.state !== 'syncing') return;
        plugin.synced();
        log.info(`active${this.#states.whatItIs(plugin)}`);
      },
      (error: Error) => {
        // It went down meanwhile, which `down` tells, or the planner cannot go on with it: then afresh.
        if (plugin.state.state !== 'syncing') return;
        if (error instanceof EkhoError) plugin.kill(error);
        else {
          log.error(error.stack ?? error.message);
          plugin.kill();
        }
      },
    );
  }

  /** The plugin is to stop for good. */
  async #withdraw(name: string): Promise<void> {
    const { config, planner, logs } = this.#parts;
    const what = config.plugin.find((plugin) => plugin.name === name)?.onDisable ?? 'clear';
    try {
      const left = await planner.retire(name, what, AbortSignal.timeout(CLEAR_MS));
      logs.ofPlugin(name).info(`stops; ${LEFT[left]}`);
    } catch {
      logs.ofPlugin(name).error('its device could not be cleared and may still forward');
    }
  }

  #named(name: string): SupervisedPlugin {
    const isWanted = this.#parts.config.plugin.some((plugin) => plugin.name === name);
    const plugin = isWanted ? this.supervised.get(name) : undefined;
    if (plugin !== undefined) return plugin;
    throw this.#unknown(name);
  }

  /** One that may run. */
  #enabled(name: string): SupervisedPlugin {
    const plugin = this.#named(name);
    if (!this.#disabled.has(name)) return plugin;
    throw new EkhoError('E_PLUGIN_DOWN', `plugin ${name} is disabled`, {
      remedy: `\`ekho plugin enable ${name}\` first.`,
    });
  }

  #unknown(name: string): EkhoError {
    const { config } = this.#parts;
    const names = config.plugin.map(({ name }) => name);
    if (names.includes(name))
      return (
        this.#states.noPlugins ??
        new EkhoError('E_UNKNOWN_OBJECT', `plugin ${name} has no file in ${config.plugins.folder}`, {
          remedy: `Put ${name}.wasm there; it is started then.`,
        })
      );
    if (this.supervised.has(name)) {
      const { reason, remedy = `Add or enable [plugin.${name}] there and start the host again.` } =
        whyNotWanted(name);
      return new EkhoError('E_UNKNOWN_OBJECT', `plugin ${name} does not run: ${reason}`, { remedy });
    }
    return new EkhoError('E_UNKNOWN_OBJECT', `there is no plugin ${name}`, {
      remedy: names.length === 0 ? 'The configuration has no plugins.' : `Plugins: ${names.join(', ')}.`,
    });
  }
}

/** What was asked for did not come about. */
function throwTrouble({ trouble }: SupervisedPlugin): void {
  if (trouble !== undefined) throw trouble;
}
