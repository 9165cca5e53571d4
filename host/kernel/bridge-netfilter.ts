/**
 * Whether frames of every bridge pass netfilter's IP hooks (net/bridge/br_netfilter_hooks.c): settings of the namespace that
 * the kernel announces to nobody, so they are read again now and then, and whenever somebody waits.
 */

import { readFileSync } from 'node:fs';
import { inNetns } from '../netlink/syscall.ts';

/** Longest time a change goes unnoticed while nobody asks. */
const REREAD_MS = 5000;

export interface BridgeNetfilterState {
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

export class BridgeNetfilter {
  readonly #netns: string | undefined;
  readonly #onChange: () => void;
  readonly #timer: NodeJS.Timeout;
  #state: BridgeNetfilterState;

  constructor(netns: string | undefined, onChange: () => void) {
    this.#netns = netns;
    this.#onChange = onChange;
    this.#state = this.#read();
    this.#timer = setInterval(() => this.refresh(), REREAD_MS);
    this.#timer.unref();
  }

  get state(): BridgeNetfilterState {
    return this.#state;
  }

  refresh(): void {
    const before = this.#state;
    this.#state = this.#read();
    if (before.ipv4 !== this.#state.ipv4 || before.ipv6 !== this.#state.ipv6) this.#onChange();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #read(): BridgeNetfilterState {
    const read = () => ({ ipv4: isOn('bridge-nf-call-iptables'), ipv6: isOn('bridge-nf-call-ip6tables') });
    try {
      return this.#netns === undefined ? read() : inNetns(this.#netns, read);
    } catch {
      // The namespace is gone, which others tell: what was known stays.
      return this.#state ?? { ipv4: true, ipv6: true };
    }
  }
}

/** Off where the kernel has no such setting: then nothing does it. */
function isOn(name: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/bridge/${name}`, 'utf8').trim() !== '0';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}
