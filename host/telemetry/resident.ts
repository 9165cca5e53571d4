/** Resident memory of this process. */

let last = 0;

/** In bytes. As it was last where it cannot be read just now: reading it takes a file descriptor, and there may be none left. */
export function residentMemory(): number {
  try {
    last = process.memoryUsage.rss();
  } catch {
    // Out of descriptors: whoever asks wants to know of the host what it still can tell.
  }
  return last;
}
