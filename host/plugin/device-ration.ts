/**
 * How many device calls a plugin may make. What is beyond its rate is not refused but waits, in the plugin's own time: hardware is
 * asked no more often than that, nothing is lost, and whoever goes on and on meets the time limit of the call it is in.
 */

import { CABI_LOWER, type HostFunction, type HostImports, type LowerContext, lowered } from './lowering.ts';
import { CONTROL } from './ring.ts';

/** Calls a second for long, and as many at once. Any number of rows may go in one. */
export const DEVICE_CALLS_DEFAULT = 100_000;

/** A wait, at least: shorter ones cost more than the calls they hold back. */
const WAIT_MS = 1;

export class DeviceRation {
  private readonly control: Int32Array;
  private readonly rate: number;
  /** Calls that may be made now, as of `filledAt`. */
  private allowance: number;
  private filledAt = performance.now();
  /** Nobody ever wakes who waits here. */
  private readonly pause = new Int32Array(new SharedArrayBuffer(4));

  /** @param rate calls a second, at least 1 */
  constructor(ring: SharedArrayBuffer, rate: number) {
    this.control = new Int32Array(ring);
    this.rate = rate;
    this.allowance = rate;
  }

  /** Returns when a call may be made. */
  take(): void {
    const { control } = this;
    // Written by this thread alone.
    Atomics.store(control, CONTROL.deviceCalls, (control[CONTROL.deviceCalls]! + 1) | 0);
    if (this.allowance < 1) this.fill();
    if (this.allowance < 1) {
      Atomics.store(control, CONTROL.deviceWaits, (control[CONTROL.deviceWaits]! + 1) | 0);
      do {
        const missing = ((1 - this.allowance) / this.rate) * 1000;
        Atomics.wait(this.pause, 0, 0, Math.max(WAIT_MS, missing));
        this.fill();
      } while (this.allowance < 1);
    }
    this.allowance--;
  }

  private fill(): void {
    const now = performance.now();
    this.allowance = Math.min(this.rate, this.allowance + ((now - this.filledAt) / 1000) * this.rate);
    this.filledAt = now;
  }
}

/** Each of a device's functions, typed and lowered, counted and beyond the rate made to wait. */
export function rationed(functions: HostImports[string], ration: DeviceRation): HostImports[string] {
  const limited: HostImports[string] = {};
  for (const [name, call] of Object.entries(functions)) {
    const lower = (call as { [CABI_LOWER]?: (context: LowerContext) => HostFunction })[CABI_LOWER]!;
    limited[name] = lowered(afterRation(call, ration), (context) => afterRation(lower(context), ration));
  }
  return limited;
}

/** No call has more arguments, and gathering them in an array would cost as much as a small call. */
function afterRation(call: HostFunction, ration: DeviceRation): HostFunction {
  const any = call as (...args: unknown[]) => unknown;
  return (a?: unknown, b?: unknown, c?: unknown, d?: unknown, e?: unknown) => {
    ration.take();
    return any(a, b, c, d, e);
  };
}
