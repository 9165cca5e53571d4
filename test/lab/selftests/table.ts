/** docs/firmware-selftests.md: what became of the kernel's selftests. */
import { type Outcome, type Result, SOFTWARE } from './output.ts';
import type { TestResult } from './results.ts';

const RESULTS: readonly Result[] = ['pass', 'fail', 'not applicable'];
const NETDEVSIM = 'netdevsim itself';

const HEAD = (releases: string) => `# The kernel's own selftests

\`npm run lab:selftests -- --write\` fetches the selftests of Debian's kernel sources, runs those that try offload in guests (${releases}), and writes
this page: each script's part of it is what it said when it ran last. They run on ports of type [\`ekho\`](firmware.md#ports).

- **\`net/forwarding\`**: hardware is the XDP data path with a host; packets are sent once the host says that the rules are in hardware. Each script
  goes through its tests twice: with rules for software alone (\`skip_hw\`), and with rules for hardware alone (\`skip_sw\`). Where the firmware
  refuses a rule of a test, the test is not applicable, and the reason is what \`tc\` printed.
- **tc-testing**: its cases of flower, which are about many rules at once, run on a port whose firmware takes all of them, with a hundredth of the rules
  and all of them for hardware alone.
- **netdevsim**: its scripts about routes and nexthops run on the [switch](firmware.md#switches) of a port of type \`ekho\`, with firmware that takes all and
  shows it as trapped ([firmware_routes.bpf.c](../bpf/firmware_routes.bpf.c)), as netdevsim does. [netdevsim.bash](../test/lab/selftests/netdevsim.bash)
  stands between: it makes a port where a script makes a netdevsim, and reloads with \`action fw_activate\`. Knobs are the ones in debugfs. In the same
  guest they run on netdevsim itself before, compiled from the same sources. \`nexthop.sh\` looks where buckets are so many seconds after they were
  used last, and in a guest that is emulated its own commands take seconds: on a machine that is busy some of these tests fail, others each
  time, and on netdevsim itself as well.

`;

/** The whole page. */
export function page(results: readonly TestResult[]): string {
  const releases = [...new Set(results.map(({ release }) => release))].join(', ');
  return [HEAD(releases) + summary(results), ...results.map(section)].join('\n');
}

/** How many tests have which outcome where it is not software's alone. */
function summary(results: readonly TestResult[]): string {
  const count = (outcomes: readonly Outcome[], result: Result) =>
    outcomes.filter((outcome) => outcome.round !== SOFTWARE && outcome.result === result).length;
  const rows = results.map(({ test, outcomes, netdevsim }) => [
    `[${test.name}](#${test.name.toLowerCase().replaceAll('.', '')})`,
    ...RESULTS.map((result) => count(outcomes, result)),
    netdevsim === undefined
      ? ''
      : RESULTS.map((result) => [count(netdevsim, result), result] as const)
          .filter(([number]) => number > 0)
          .map(([number, result]) => `${number} ${result}`)
          .join(', '),
  ]);
  return table(['in hardware', ...RESULTS, NETDEVSIM], rows);
}

function section({ test, outcomes, netdevsim = [] }: TestResult): string {
  const names = [...new Set(outcomes.map((outcome) => outcome.test))];
  const rounds = roundsOf(outcomes);
  const beside = roundsOf(netdevsim);
  const cell = (of: readonly Outcome[], name: string, round: string) => {
    const found = of.find((outcome) => outcome.test === name && outcome.round === round);
    if (found === undefined) return '';
    const note = round === SOFTWARE || of === netdevsim ? '' : (test.notes?.[name] ?? '');
    const reason = [found.reason, note].filter((text) => text !== '').join('. ');
    return reason === '' ? found.result : `${found.result}: ${reason}`;
  };
  const rows = names.map((name) => [
    name,
    ...rounds.map((round) => cell(outcomes, name, round)),
    ...beside.map((round) => cell(netdevsim, name, round)),
  ]);
  const heads = beside.map((round) => (beside.length === 1 ? NETDEVSIM : `${NETDEVSIM}, ${round}`));
  return `## ${test.name}\n\n${table(['test', ...rounds, ...heads], rows)}`;
}

const roundsOf = (outcomes: readonly Outcome[]) => [...new Set(outcomes.map(({ round }) => round))];

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const row = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |\n`;
  return `${row(heads)}|${'---|'.repeat(heads.length)}\n${rows.map(row).join('')}`;
}
