/** Plots as SVG: points with their spread over two logarithmic axes, in the reader's own theme, light or dark. */

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly low: number;
  readonly high: number;
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Plot {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 760;
const HEIGHT = 440;
const LEFT = 70;
const RIGHT = 590;
const TOP = 44;
const BOTTOM = 390;
/** Okabe and Ito's colours, which people who see colours otherwise tell apart as well. */
const COLOURS = ['#888888', '#56b4e9', '#cc79a7', '#e69f00', '#b8a900', '#0072b2', '#009e73', '#d55e00'];
const STYLE = `text{font:13px sans-serif;fill:#333}.title{font-weight:bold;font-size:15px}.grid{stroke:#ddd}.axis{stroke:#666}
@media(prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#3a3a3a}.axis{stroke:#999}}`;

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** Powers of ten around the values, and where each value is between the ends. */
function axis(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9));
  const ticks = Array.from({ length: high - low + 1 }, (_, at) => 10 ** (low + at));
  const place = (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { ticks, place };
}

function tick(value: number): string {
  if (value >= 1e6) return `${value / 1e6} M`;
  if (value >= 1e3) return `${value / 1e3} k`;
  return String(Number(value.toPrecision(1)));
}

export function plot({ title, x, y, series }: Plot): string {
  const points = series.flatMap((one) => one.points);
  const across = axis(
    points.map((point) => point.x),
    LEFT,
    RIGHT,
  );
  const up = axis(
    points.flatMap(({ low, high }) => [low, high]),
    BOTTOM,
    TOP,
  );
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}</style>`,
    `<text class="title" x="${LEFT}" y="24">${escaped(title)}</text>`,
  ];
  for (const value of up.ticks) {
    const at = up.place(value).toFixed(1);
    lines.push(`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${at}" y2="${at}"/>`);
    lines.push(`<text x="${LEFT - 8}" y="${at}" dy="4" text-anchor="end">${tick(value)}</text>`);
  }
  for (const value of across.ticks) {
    const at = across.place(value).toFixed(1);
    lines.push(`<line class="grid" y1="${TOP}" y2="${BOTTOM}" x1="${at}" x2="${at}"/>`);
    lines.push(`<text x="${at}" y="${BOTTOM + 20}" text-anchor="middle">${tick(value)}</text>`);
  }
  lines.push(`<path class="axis" fill="none" d="M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}"/>`);
  lines.push(`<text x="${(LEFT + RIGHT) / 2}" y="${BOTTOM + 42}" text-anchor="middle">${escaped(x)}</text>`);
  lines.push(
    `<text transform="translate(16 ${(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
  );
  const labels = labelPlaces(series, up.place);
  for (const [at, one] of series.entries()) {
    const colour = COLOURS[at % COLOURS.length]!;
    const spots = one.points.map(
      (point) => `${across.place(point.x).toFixed(1)} ${up.place(point.y).toFixed(1)}`,
    );
    lines.push(`<path fill="none" stroke="${colour}" stroke-width="2" d="M${spots.join('L')}"/>`);
    for (const point of one.points) {
      const px = across.place(point.x).toFixed(1);
      const ends = [point.low, point.high].map((end) => up.place(end).toFixed(1));
      lines.push(
        `<line stroke="${colour}" stroke-width="2" x1="${px}" x2="${px}" y1="${ends[0]}" y2="${ends[1]}"/>`,
      );
      lines.push(`<circle fill="${colour}" r="3.5" cx="${px}" cy="${up.place(point.y).toFixed(1)}"/>`);
    }
    lines.push(`<circle fill="${colour}" r="5" cx="${RIGHT + 18}" cy="${labels[at]!.toFixed(1)}"/>`);
    lines.push(`<text x="${RIGHT + 30}" y="${labels[at]!.toFixed(1)}" dy="4">${escaped(one.name)}</text>`);
  }
  return `${lines.join('\n')}\n</svg>\n`;
}

/** Names stand at the height of the last point, apart from each other. */
function labelPlaces(series: readonly Series[], place: (value: number) => number): number[] {
  const places = series.map(({ points }) => place(points.at(-1)!.y));
  const order = places.map((_, at) => at).sort((a, b) => places[a]! - places[b]!);
  let last = Number.NEGATIVE_INFINITY;
  for (const at of order) {
    places[at] = Math.max(places[at]!, last + 18);
    last = places[at]!;
  }
  const over = Math.max(0, last - BOTTOM);
  return places.map((at) => at - over);
}
