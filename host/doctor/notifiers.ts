/** On which rung each of the kernel's notifiers stands. */

import type { Finding } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import type { HookState } from '../kernel/notifier/ladder.ts';
import { Notifier } from '../kernel/notifier/notifier.ts';
import type { Running } from './diagnose.ts';
import { available, required, unsupported } from './findings.ts';

/** None where the mirror comes from elsewhere than the kernel. */
export function notifierFindings({ notifier, source }: Config, running: Running | undefined): Finding[] {
  if (source !== undefined) return [];
  const { enabled } = notifier;
  if (enabled === 'off') {
    return [
      unsupported('notifier', 'events', 'turned off', 'Set `enabled = "auto"` in `[notifier]` to use them.'),
    ];
  }
  const hooks = running?.events?.hooks ?? tryHooks(notifier.ringSize);
  const isAny = hooks.some(({ rung }) => rung !== 'none');
  const events = isAny
    ? available('notifier', 'events')
    : unsupported(
        'notifier',
        'events',
        running?.events?.reason ?? 'no hook can be attached',
        'None needed: the mirror goes by netlink alone.',
      );
  return [enabled === 'on' ? required(events) : events, ...hooks.map(hookFinding)];
}

function tryHooks(ringSize: number): readonly HookState[] {
  using notifier = Notifier.open({ ringSize });
  return notifier.states();
}

function hookFinding({ hook, rung, target, reason }: HookState): Finding {
  if (rung !== 'none') return available('notifier', hook, `${rung} on ${target}`);
  return unsupported(
    'notifier',
    hook,
    reason ?? 'not attached',
    'None needed: netlink tells the same later.',
  );
}
