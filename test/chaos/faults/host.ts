/** The host's own process, wherever it runs: signals. */
import {
  type Fault,
  fault,
  metric,
  type Place,
  said,
  startsAnew,
  status,
  stopped,
  whileStopped,
} from '../fault.ts';

/** Longer than the host thinks that it may take to come back to its event loop. */
const HELD_MS = 3000;

export function hostKilled<P extends Place>(name: string, within: number): Fault<P> {
  return fault<P>(name, 'SIGKILL, changes, a new host', within, async (place) => {
    const { host } = place;
    const signs = await startsAnew(place);
    const killed = said(place, 'the process ended: SIGKILL');
    await host.stop('SIGKILL');
    place.churn();
    await host.launch();
    return { ...signs, happened: killed };
  });
}

export function hostRestarted<P extends Place>(name: string, within: number): Fault<P> {
  return fault<P>(name, 'SIGTERM, changes, a new host', within, async (place) => {
    const { host } = place;
    const signs = await startsAnew(place);
    const ended = said(place, 'the process ended: exit code 0');
    const code = await host.stop();
    if (code !== 0) throw new Error(`the host ended with exit code ${code}:\n${host.output.slice(-4000)}`);
    place.churn();
    await host.launch();
    return { ...signs, happened: ended };
  });
}

export function hostStopped<P extends Place>(name: string, within: number): Fault<P> {
  return fault<P>(name, 'SIGSTOP for three seconds, and changes', within, async (place) => {
    const held = await metric(place, 'ekho_loop_held_seconds_total');
    const log = said(place, 'the host stood still for', true);
    const heldMore = async () => (await metric(place, 'ekho_loop_held_seconds_total')) > held + 1;
    await whileStopped(place, async () => {
      const until = performance.now() + HELD_MS;
      do {
        place.churn();
        await stopped(place.host.pid);
      } while (performance.now() < until);
    });
    return {
      happened: heldMore,
      status: status(place, ({ held_s }) => held_s > held),
      metrics: heldMore,
      log,
    };
  });
}
