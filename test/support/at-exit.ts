/** What a process must not leave behind however it ends, Ctrl-C and SIGTERM included: namespaces, mounts and processes of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const undoings = new Set<() => void>();

/** Calls `undo` when the process ends, the latest first, unless what this returns was called before. `undo` waits for nothing. */
export function atExit(undo: () => void): () => void {
  if (undoings.size === 0) listen();
  undoings.add(undo);
  return () => {
    undoings.delete(undo);
  };
}

let listens = false;

function listen(): void {
  if (listens) return;
  listens = true;
  process.on('exit', () => {
    for (const undo of [...undoings].reverse()) {
      try {
        undo();
      } catch (error) {
        console.error(`at the end: ${(error as Error).message}`);
      }
    }
  });
  if (!isMainThread) return;
  // Without a listener they end the process without its exit event, and so does a second one, as Ctrl-C sends by way of npm,
  // where the listener was for one. Shells say 128 and the number.
  for (const [signal, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    if (process.listenerCount(signal) === 0) process.on(signal, () => process.exit(128 + number));
}

/** A new folder whose name begins so; gone at the end, if not before. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), name));
  atExit(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
