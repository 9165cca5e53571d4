/** docs/firmware-selftests.md: what became of the kernel's selftests. */
import type { Selftest } from './list.ts';
import type { Outcome } from './output.ts';

export interface TestResult {
  readonly test: Pick<Selftest, 'name' | 'notes'>;
  readonly outcomes: readonly Outcome[];
}

const HEAD = (release: string) => `# The kernel's own selftests

\`npm run lab:selftests\` fetches the selftests of Debian's kernel sources, runs those of \`net/forwarding\` that try hardware in a guest
(${release}), and writes this page. They run on ports of type [\`ekho\`](firmware.md#ports), whose hardware is the XDP data path with a host; packets are
sent once the host says that the rules are in hardware. Each script goes through its tests twice: with rules for software alone (\`skip_hw\`), and
with rules for hardware alone (\`skip_sw\`). tc-testing's cases of flower, which are about many rules at once, run on a port whose firmware takes
all of them, with a hundredth of the rules and all of them for hardware alone. Where the firmware refuses a rule of a test, the test is not applicable, and the reason is what
\`tc\` printed.
`;

/** The whole page. */
export function page(release: string, results: readonly TestResult[]): string {
  return [HEAD(release), ...results.map(section)].join('\n');
}

function section({ test, outcomes }: TestResult): string {
  const names = [...new Set(outcomes.map((outcome) => outcome.test))];
  const cell = (name: string, isHardware: boolean) => {
    const found = outcomes.find((outcome) => outcome.test === name && outcome.isHardware === isHardware);
    if (found === undefined) return '';
    const note = isHardware ? (test.notes?.[name] ?? '') : '';
    const reason = [found.reason, note].filter((text) => text !== '').join('. ');
    return reason === '' ? found.result : `${found.result}: ${reason}`;
  };
  const rows = names.map((name) => `| ${name} | ${cell(name, false)} | ${cell(name, true)} |`);
  return [`## ${test.name}`, '', '| test | software | hardware |', '|---|---|---|', ...rows, ''].join('\n');
}
