/**
 * Tells when the namespace that is mirrored is deleted. The kernel says nothing and keeps it for as long as the host has
 * sockets in it, cut off from everybody else: whoever makes one of the same name again makes another.
 */

import { statSync } from 'node:fs';
import { EkhoError } from '../errors.ts';
import { netnsPath } from '../netlink/syscall.ts';

const LOOK_MS = 500;

/** Calls `gone` once, when the name stands for the namespace it stood for no more. Returns what ends the watch. */
export function watchNetns(name: string, gone: () => void): () => void {
  const path = netnsPath(name);
  const identity = identityOf(path);
  const timer = setInterval(() => {
    if (identityOf(path) === identity) return;
    clearInterval(timer);
    gone();
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** What is asked of a namespace that nobody else can reach. */
export function netnsDeleted(name: string): EkhoError {
  return new EkhoError('E_NETNS', `network namespace ${name} was deleted`, {
    remedy: 'Start the host again once there is a namespace of that name.',
  });
}

function identityOf(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}
