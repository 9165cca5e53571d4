/** The demo's picture: packets per second by kernel and by hardware over time, as SVG. */

export interface Sample {
  /** Seconds since the beginning. */
  readonly at: number;
  readonly kernel: number;
  readonly hardware: number;
  /** What was done just before, if anything. */
  readonly event?: string | undefined;
}

const WIDTH = 820;
const HEIGHT = 320;
const LEFT = 60;
const TOP = 70;
const BOTTOM = 280;
const RIGHT = 800;

export function picture(samples: readonly Sample[]): string {
  const end = samples.at(-1)?.at ?? 1;
  const most = Math.max(1, ...samples.map(({ kernel, hardware }) => Math.max(kernel, hardware)));
  const x = (at: number) => (LEFT + ((RIGHT - LEFT) * at) / end).toFixed(1);
  const y = (rate: number) => (BOTTOM - ((BOTTOM - TOP) * rate) / most).toFixed(1);
  const line = (of: 'kernel' | 'hardware') =>
    samples.map((sample) => `${x(sample.at)},${y(sample[of])}`).join(' ');
  const events = samples.flatMap(({ at, event }) =>
    event === undefined
      ? []
      : [
          `<line x1="${x(at)}" y1="${TOP - 8}" x2="${x(at)}" y2="${BOTTOM}" class="event"/>`,
          `<text x="${Number(x(at)) + 4}" y="${TOP - 12}" class="note">${escaped(event)}</text>`,
        ],
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13" role="img" aria-label="Packets per second over time: the kernel forwards all of them until the host starts, then the hardware does; a filter that the hardware cannot express brings them back to the kernel until it is removed.">
<style>
.kernel { fill: none; stroke: #8a5a00; stroke-width: 2.5; }
.hardware { fill: none; stroke: #0a6ebd; stroke-width: 2.5; }
.event { stroke: #888; stroke-dasharray: 4 4; }
.axis { stroke: #888; }
.note, .label { fill: #333; }
</style>
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>
<line class="axis" x1="${LEFT}" y1="${BOTTOM}" x2="${RIGHT}" y2="${BOTTOM}"/>
<line class="axis" x1="${LEFT}" y1="${TOP}" x2="${LEFT}" y2="${BOTTOM}"/>
<text x="${LEFT - 8}" y="${TOP + 5}" text-anchor="end" class="label">${Math.round(most)}</text>
<text x="${LEFT - 8}" y="${BOTTOM + 4}" text-anchor="end" class="label">0</text>
<text x="${LEFT}" y="${BOTTOM + 24}" class="label">packets per second, over ${Math.round(end)} seconds</text>
<text x="${RIGHT}" y="${BOTTOM + 24}" text-anchor="end" class="label"><tspan fill="#8a5a00">— kernel</tspan>  <tspan fill="#0a6ebd">— hardware</tspan></text>
${events.join('\n')}
<polyline class="kernel" points="${line('kernel')}"/>
<polyline class="hardware" points="${line('hardware')}"/>
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
