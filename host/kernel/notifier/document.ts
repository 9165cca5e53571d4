/** docs/notifiers.md, made from the catalogue. */

import { EVENTS, type EventName, HOOKS, type HookEntry, type ProgramEntry } from './catalogue.ts';
import { GATEWAYS_MAX, LAYOUTS, type LayoutName } from './layouts.ts';
import { PAYLOADS } from './payloads.ts';

const targets = (programs: readonly ProgramEntry[]) =>
  programs.length === 0 ? 'none' : programs.map(({ target }) => `\`${target}\``).join(', ');

function hookRow({ name, what, functions, tracepoints, option }: HookEntry): string {
  return `| \`${name}\` | ${what} | ${targets(functions)} | ${targets(tracepoints)} | ${option ?? ''} |`;
}

function eventRow(name: EventName): string {
  const { hook, layout, what } = EVENTS[name];
  const entry = HOOKS.find((each) => each.name === hook)!;
  const gives = (programs: readonly ProgramEntry[]) => programs.some(({ events }) => events.includes(name));
  const rungs = [
    ...(gives(entry.functions) ? ['functions'] : []),
    ...(gives(entry.tracepoints) ? ['tracepoints'] : []),
  ];
  return `| \`${name}\` | \`${hook}\` | ${rungs.join(', ')} | [${layout}](#${layout.toLowerCase()}) | ${what} |`;
}

function payloadSection(layout: LayoutName): string {
  const rows = PAYLOADS[layout].map(({ name, type, what }) => `| \`${name}\` | ${type} | ${what} |`);
  return `### ${layout}\n\n| member | type | what |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

export function notifiersDocument(): string {
  return `# Notifiers

What the kernel tells its drivers, EKHO hears too: BPF programs ([bpf/notifier.bpf.c](../bpf/notifier.bpf.c)) turn each call into a record
in a ring buffer, [host/kernel/notifier](../host/kernel/notifier) into an event. Some of it netlink never says, all of it comes earlier.
One object serves Linux 6.1 and later, on x86-64 and arm64.

## Hooks and rungs

A hook stands on the highest rung that the kernel grants: **fentry**, **kprobe** (both on functions), **tp_btf**, **raw_tp** (both on
tracepoints), or **none**. A rung is taken only if all its programs load and attach, and rungs below it stay unused, so nothing is told
twice. Which rung a hook has, and why not a higher one, is in its state.

| hook | of | functions | tracepoints | kernel option |
| --- | --- | --- | --- | --- |
${HOOKS.map(hookRow).join('\n')}

- kprobes are used only on functions that are in the kernel's BTF: what the compiler left out of it may have other arguments.
- x86-64 kernels before 6.6 take fentry only on functions with up to six arguments: \`bridge-port\` stands on kprobe there.
- Events of switchdev come from plain bridges as well, whether a driver listens or not. Bridges do not tell drivers of entries that a
  user added as dynamic, so those come only from the tracepoints (and netlink).
- Deferred port objects and attributes are events when they are asked for, not when drivers are told a moment later. The question whether
  a driver would take flags (\`SWITCHDEV_ATTR_ID_PORT_PRE_BRIDGE_FLAGS\`) is no event.
- Records of VXLAN entries follow the kernel's BTF once the module is loaded, else the layout that Linux has since 5.5.

## Events

Every event has \`event\`, \`hook\`, \`netns\` (the namespace's cookie, 64 bits), \`ifindex\` (0 where there is none), \`time\`
(nanoseconds of CLOCK_MONOTONIC), \`cpu\` and \`sequence\`, which counts the events of that CPU from 0 on without gaps: a number that
is missing was lost. Events come in the order in which they got their place in the ring. Those of one CPU are in the order of
\`sequence\`, but for one that interrupts another between number and place; across CPUs \`time\` tells.

| event | hook | from | payload | what |
| --- | --- | --- | --- | --- |
${(Object.keys(EVENTS) as EventName[]).map(eventRow).join('\n')}

## Payloads

A question mark: left out where there is nothing to say. Numbers that have no name stay numbers. Up to ${GATEWAYS_MAX} gateways are listed;
\`gatewaysTotal\` counts all. A gateway has \`via\` (left out where the nexthop is the link itself), \`ifindex\`, \`weight\`, \`flags\`,
\`scope\`, and where there is one \`nexthopId\` and \`encap\`.

${(Object.keys(LAYOUTS) as LayoutName[]).map(payloadSection).join('\n\n')}

## Limits

- The ring has 4 MiB unless another size is asked for. An event that finds it full is lost, and counted: produced = received + lost.
- The kernel keeps a call from a BPF program that is running on the CPU already, interrupted by what makes the call (a frame whose address is
  learned while a user adds an entry, say). It counts these per program; they are reported as lost too, although some may have been of another
  namespace. Before Linux 6.7 it does not count them for kprobes.
- A record that does not follow its layout is not handed on, and counted.
- Events of one namespace only are filtered in the kernel, by its cookie.
`;
}
