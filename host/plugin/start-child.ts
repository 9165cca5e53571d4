/** Starts a process, or says at once that none can be had. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { EkhoError } from '../errors.ts';

/** @throws EkhoError E_PLUGIN_DOWN: the machine, or this process, has no more processes, memory or descriptors to give */
export function startChild(command: string, words: readonly string[], options: SpawnOptions): ChildProcess {
  let why = 'no process could be started';
  try {
    const child = spawn(command, words, options);
    // Told in the next turn, when nobody has the child any more.
    if (child.pid === undefined) child.on('error', () => {});
    else return child;
  } catch (error) {
    why = (error as Error).message;
  }
  throw new EkhoError('E_PLUGIN_DOWN', `${why}: processes, memory or file descriptors have run out`);
}
