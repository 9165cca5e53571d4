/** A line chart of the last minutes (uPlot), in the theme's colours, with a table of its last values for screen readers. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useCell } from '../cell.ts';
import { shown } from '../theme.ts';

export interface Line {
  readonly label: string;
  /** Name of the custom property that has its colour. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly isFilled?: boolean;
}

interface ChartProps {
  readonly label: string;
  /** Milliseconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  readonly height?: number;
  /** The axis goes up to this at least. */
  readonly least?: number;
}

export function Chart({ label, times, lines, format, height = 150, least = 1 }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const theme = useCell(shown);
  const names = lines.map((line) => line.label).join();

  // Made anew with the theme or other lines, not with each value.
  useEffect(() => {
    const element = place.current!;
    const made = new uPlot(options(element, lines, format, height, least), dataOf(times, lines), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [theme, names]);

  useEffect(() => plot.current?.setData(dataOf(times, lines)), [times, lines]);

  const now = lines.map((line) => {
    const value = line.values.findLast((value) => value !== null);
    return { ...line, text: value == null ? '–' : format(value) };
  });
  return (
    <figure class="chart">
      <figcaption>
        {now.map(({ label, colour, text }) => (
          <span class="key" key={label}>
            <i style={{ background: `var(${colour})` }} />
            {label} <b>{text}</b>
          </span>
        ))}
      </figcaption>
      <div
        ref={place}
        role="img"
        aria-label={`${label}: ${now.map(({ label, text }) => `${label} ${text}`).join(', ')}`}
      />
    </figure>
  );
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [times.map((time) => time / 1000), ...lines.map(({ values }) => [...values])];
}

function options(
  element: HTMLElement,
  lines: readonly Line[],
  format: (value: number) => string,
  height: number,
  least: number,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--muted'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 26, 0, 0],
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(least, max ?? 0) * 1.1] } },
    axes: [
      { ...axis, size: 24, space: 70, values: (_plot, seconds) => seconds.map(clockOf) },
      { ...axis, size: 52, space: 32, values: (_plot, values) => values.map(format) },
    ],
    series: [
      {},
      ...lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 2,
        points: { show: false },
        spanGaps: false,
        ...(line.isFilled && { fill: `${colour(line.colour)}26` }),
      })),
    ],
  };
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const clockOf = (seconds: number): string => CLOCK.format(seconds * 1000);
