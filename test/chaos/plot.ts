/** How long it took until all was right after each fault, as SVG: a dot for the median, a line to the longest, a mark at the limit. */

export interface Recovery {
  readonly name: string;
  /** Seconds. */
  readonly median: number;
  readonly longest: number;
  readonly limit: number;
}

const WIDTH = 760;
const LEFT = 170;
const RIGHT = 730;
const TOP = 44;
const ROW = 20;
const STEP_S = 10;
const TITLE = 'Seconds from the end of a fault until all is right';
const STYLE = `text{font:13px sans-serif;fill:#333}.title{font-weight:bold;font-size:15px}.grid{stroke:#ddd}.limit{stroke:#d55e00;stroke-width:2}.took{stroke:#0072b2;stroke-width:2}.median{fill:#0072b2}
@media(prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#3a3a3a}.took{stroke:#56b4e9}.median{fill:#56b4e9}}`;

export function plotRecoveries(recoveries: readonly Recovery[]): string {
  const most = Math.max(STEP_S, ...recoveries.map(({ longest, limit }) => Math.max(longest, limit)));
  const end = Math.ceil(most / STEP_S) * STEP_S;
  const x = (seconds: number) => (LEFT + (seconds / end) * (RIGHT - LEFT)).toFixed(1);
  const bottom = TOP + recoveries.length * ROW + 6;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 50}" role="img" aria-label="${TITLE}">`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${LEFT}" y="24">${TITLE}</text>`,
  ];
  for (let seconds = 0; seconds <= end; seconds += STEP_S) {
    lines.push(`<line class="grid" x1="${x(seconds)}" x2="${x(seconds)}" y1="${TOP}" y2="${bottom}"/>`);
    lines.push(`<text x="${x(seconds)}" y="${bottom + 18}" text-anchor="middle">${seconds}</text>`);
  }
  for (const [row, { name, median, longest, limit }] of recoveries.entries()) {
    const y = TOP + row * ROW + ROW / 2;
    lines.push(`<text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${name}</text>`);
    lines.push(
      `<line class="limit" x1="${x(limit)}" x2="${x(limit)}" y1="${y - ROW / 2}" y2="${y + ROW / 2}"/>`,
    );
    lines.push(`<line class="took" x1="${x(median)}" x2="${x(longest)}" y1="${y}" y2="${y}"/>`);
    lines.push(`<circle class="median" cx="${x(median)}" cy="${y}" r="4"/>`);
  }
  lines.push(
    `<text x="${LEFT}" y="${bottom + 42}">dot: median; line: to the longest; orange: the limit</text>`,
  );
  return `${lines.join('\n')}\n</svg>\n`;
}
