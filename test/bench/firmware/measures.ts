/** What bench `firmware` measures. */

export interface Measured {
  readonly where: 'kernel' | 'hardware';
  readonly rules: number;
  /** Milliseconds until all rules are where they are to be; until tc has returned, and with a host until it says so. */
  readonly add_ms: number;
  /** Of it, until tc has returned. */
  readonly addTc_ms: number;
  /** For `tc -s filter show`. */
  readonly show_ms: number;
  readonly delete_ms: number;
  readonly deleteTc_ms: number;
  /** Of the whole guest: what is not available any more while the rules are there. */
  readonly memory_kib: number;
}

export const MEASURES = [
  { name: 'addTc_ms', text: 'made by `tc -batch`, s', factor: 1e-3, digits: 2 },
  { name: 'add_ms', text: 'all in place, s', factor: 1e-3, digits: 2 },
  { name: 'show_ms', text: '`tc -s filter show`, s', factor: 1e-3, digits: 2 },
  { name: 'deleteTc_ms', text: 'deleted by `tc -batch`, s', factor: 1e-3, digits: 2 },
  { name: 'delete_ms', text: 'all gone, s', factor: 1e-3, digits: 2 },
  { name: 'memory_kib', text: 'memory, MiB', factor: 1 / 1024, digits: 1 },
] as const satisfies readonly { name: keyof Measured; text: string; factor: number; digits: number }[];
