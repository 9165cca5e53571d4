/** On which rung each of the kernel's notifiers stands. */

import type { Finding } from '../api/schemas.ts';
import type { Config } from '../config/config.ts';
import { whyNone } from '../kernel/kernel-events.ts';
import type { HookState } from '../kernel/notifier/ladder.ts';
import { Notifier } from '../kernel/notifier/notifier.ts';
import type { Running } from './diagnose.ts';
import { available, inconclusive, required, unsupported } from './findings.ts';

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
  const events = hooks.some(({ rung }) => rung !== 'none')
    ? available('notifier', 'events')
    : nothing(running?.events?.reason ?? whyNone(hooks) ?? 'no hook can be attached', enabled === 'on');
  return [enabled === 'on' ? required(events) : events, ...hooks.map(hookFinding)];
}

function tryHooks(ringSize: number): readonly HookState[] {
  using notifier = Notifier.open({ ringSize });
  return notifier.states();
}

function nothing(reason: string, isRequired: boolean): Finding {
  const remedy = isRequired
    ? 'Run the host as root (or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN) on a kernel with BTF, or set `enabled = "auto"` in `[notifier]`.'
    : 'The mirror goes by netlink alone, and is right: what netlink does not announce is seen a little later.';
  return missing('events', reason, remedy);
}

function hookFinding({ hook, rung, target, reason }: HookState): Finding {
  if (rung !== 'none') return available('notifier', hook, `${rung} on ${target}`);
  return missing(
    hook,
    reason ?? 'not attached',
    'What it would tell early is seen a little later by netlink.',
  );
}

/** Who lacks rights learns nothing about the kernel. */
function missing(feature: string, reason: string, remedy: string): Finding {
  const answer = /\blacks CAP_/.test(reason) ? inconclusive : unsupported;
  return answer('notifier', feature, reason, remedy);
}
