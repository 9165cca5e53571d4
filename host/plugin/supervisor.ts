/** Keeps the plugins of a folder running, one per file, and follows the folder as it changes. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EkhoError } from '../errors.ts';
import { type FolderChange, FolderWatch, listPlugins } from './folder-watch.ts';
import { SupervisedPlugin, type SupervisorOptions } from './supervised-plugin.ts';

/** All plugins of a folder. */
export class Supervisor {
  readonly plugins = new Map<string, SupervisedPlugin>();
  private readonly options: SupervisorOptions;
  private watch: FolderWatch | undefined;
  private stopped = false;

  constructor(options: SupervisorOptions) {
    this.options = options;
  }

  /**
   * Finds the plugins and starts them, each for itself; resolves when none is starting any more.
   *
   * @throws EkhoError E_CONFIG when the folder cannot be read
   */
  async start(): Promise<void> {
    const { folder } = this.options;
    let found: Map<string, string>;
    try {
      found = await listPlugins(folder, this.wants);
    } catch (error) {
      throw new EkhoError(
        'E_CONFIG',
        `the plugin folder ${folder} cannot be read: ${(error as Error).message}`,
        {
          remedy: 'Run `npm run build`, or name another folder in the configuration.',
          cause: error,
        },
      );
    }
    if (this.stopped) return;
    for (const name of found.keys()) this.add(name);
    this.watch = new FolderWatch(folder, found, this.wants, (change, name) => void this.follow(change, name));
    await Promise.all([...this.plugins.values()].map((plugin) => plugin.start()));
  }

  private readonly wants = (name: string): boolean => this.options.setup(name) !== undefined;

  private add(name: string): SupervisedPlugin {
    const plugin = new SupervisedPlugin(join(this.options.folder, `${name}.wasm`), this.options);
    this.plugins.set(name, plugin);
    return plugin;
  }

  /** Does what a change of the folder asks for. What goes wrong is in the plugin's state. */
  private async follow(change: FolderChange, name: string): Promise<void> {
    if (this.stopped) return;
    const plugin = this.plugins.get(name);
    if (change !== 'removed') {
      await (plugin === undefined ? this.add(name).start() : plugin.reload());
      return;
    }
    if (plugin === undefined) return;
    await plugin.retire();
    // A file of the name may have come meanwhile: then it runs from that.
    if (this.plugins.get(name) === plugin && !existsSync(plugin.file)) this.plugins.delete(name);
    else await plugin.restart();
  }

  /** Also while they start: whichever has not by the limit is left behind. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.watch?.close();
    await Promise.all([...this.plugins.values()].map((plugin) => plugin.stop()));
  }
}
