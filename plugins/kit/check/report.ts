/** The result of the suite: as text for people, as JUnit's XML and as JSON for machines. */

import { ENTRY_KIND_NAMES } from '../../../host/plugin/records.ts';
import type { CheckReport } from './index.ts';
import type { CaseResult } from './run.ts';

const MARKS: Readonly<Record<CaseResult['verdict'], string>> = {
  passed: 'ok',
  failed: 'FAIL',
  'left out': '-',
};

export function resultText({ case: { name, says }, verdict, why, log, figures }: CaseResult): string {
  let text = `${MARKS[verdict].padEnd(5)}${name.padEnd(32)} ${says.title}\n`;
  const more = (line: string) => {
    text += `     ${' '.repeat(32)} ${line}\n`;
  };
  for (const line of figures) more(line);
  if (verdict === 'failed') text += `     ${why}\n`;
  if (verdict === 'left out') more(`left out: ${why}`);
  for (const line of log ?? []) text += `     the plugin said: ${line}\n`;
  return text;
}

export function headText({ description }: Pick<CheckReport, 'description'>): string {
  const holds = description.abilities.map(
    ({ kind, capacity }) => `${ENTRY_KIND_NAMES[kind]} ${capacity.toLocaleString('en')}`,
  );
  return `${description.name} ${description.version} by ${description.vendor}, holds ${holds.join(', ')}\n\n`;
}

export function summaryText({ results, milliseconds }: CheckReport): string {
  const count = (verdict: CaseResult['verdict']) => results.filter((one) => one.verdict === verdict).length;
  return `\n${count('passed')} passed, ${count('failed')} failed, ${count('left out')} left out, in ${(milliseconds / 1000).toFixed(1)} s\n`;
}

export function reportJson({ file, description, devices, results, milliseconds }: CheckReport): string {
  const cases = results.map(({ case: { name, says }, verdict, why, figures, milliseconds }) => ({
    name,
    title: says.title,
    covers: says.covers ?? [],
    verdict,
    ...(why !== undefined && { why }),
    figures,
    milliseconds: Math.round(milliseconds),
  }));
  const whole = { file, plugin: description, devices, cases, milliseconds: Math.round(milliseconds) };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** As CI systems read it: https://github.com/testmoapp/junitxml describes the dialect. */
export function reportJunit({ description, results, milliseconds }: CheckReport): string {
  const count = (verdict: CaseResult['verdict']) => results.filter((one) => one.verdict === verdict).length;
  const cases = results.map(({ case: { name, says }, verdict, why, figures, milliseconds }) => {
    const head = `    <testcase name=${quoted(`${name}: ${says.title}`)} classname=${quoted(description.name)} time="${seconds(milliseconds)}"`;
    const inner = [
      ...(verdict === 'failed' ? [`      <failure message=${quoted(why ?? '')}/>`] : []),
      ...(verdict === 'left out' ? [`      <skipped message=${quoted(why ?? '')}/>`] : []),
      ...(figures.length > 0 ? [`      <system-out>${escaped(figures.join('\n'))}</system-out>`] : []),
    ];
    return inner.length === 0 ? `${head}/>` : `${head}>\n${inner.join('\n')}\n    </testcase>`;
  });
  const counts = `tests="${results.length}" failures="${count('failed')}" skipped="${count('left out')}" time="${seconds(milliseconds)}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ${counts}>\n  <testsuite name=${quoted(`ekho plugin check ${description.name}`)} ${counts}>\n${cases.join('\n')}\n  </testsuite>\n</testsuites>\n`;
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

/** Text as XML may hold it: what no version of XML allows is left out. */
function escaped(text: string): string {
  const allowed = text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '');
  return allowed.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', '&quot;').replaceAll('\n', '&#10;')}"`;
}
