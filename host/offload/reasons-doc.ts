/** docs/reasons.md, made from the registry. */

import { REASON_NAMES, REASONS } from './reasons.ts';

export function reasonsDocument(): string {
  const rows = REASON_NAMES.filter((name) => name !== 'none').map(
    (name) => `| \`${name}\` | ${REASONS[name].why} | ${REASONS[name].remedy} |`,
  );
  return `# Why an object is not in hardware

\`ekho show\` and \`ekho explain\` give every object's offload state in each plugin:

| state | meaning |
| --- | --- |
| \`pending\` | planned, the device has not answered yet |
| \`offloaded\` | the device does it |
| \`trapped\` | the device hands these packets to the kernel, for the reason given |
| \`refused\` | the device does not hold it, for the reason given; the kernel does the work |
| \`failed\` | the device should hold it and does not; it is retried |

Wherever the state is not \`offloaded\`, packets go to the kernel, and it does with them what it always did.

| reason | why | what to do |
| --- | --- | --- |
${rows.join('\n')}
`;
}
