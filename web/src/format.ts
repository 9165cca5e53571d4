/** Numbers and times as people read them, in the browser's language and time zone. */

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const TIME = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

export const count = (value: number): string => NUMBER.format(value);
export const short = (value: number): string => (value < 10_000 ? NUMBER.format(value) : SHORT.format(value));
export const clock = (time: number | string): string => TIME.format(new Date(time));

/** Of 0 to 1; never 100 % or 0 % for what is only nearly so. */
export function percent(share: number): string {
  const value = share * 100;
  if (value === 0 || value === 100) return `${value} %`;
  if (value > 99.9) return '> 99.9 %';
  if (value < 0.1) return '< 0.1 %';
  return `${value.toFixed(value < 10 || value > 90 ? 1 : 0)} %`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

export function milliseconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function duration(seconds: number): string {
  const parts = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return '0 s';
  return parts
    .slice(first, first + 2)
    .map(([size, unit], place) => {
      const above = place === 0 ? Number.POSITIVE_INFINITY : parts[first]![0];
      return [Math.floor((seconds % above) / size), unit] as const;
    })
    .filter(([value], place) => place === 0 || value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}
