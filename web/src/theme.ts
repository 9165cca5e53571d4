/** Light or dark: as the system says, or as was chosen here. */
import { Cell } from './cell.ts';

export type Theme = 'light' | 'dark';
const KEY = 'ekho-theme';
const isDark = matchMedia('(prefers-color-scheme: dark)');

/** Undefined: the system's. */
const chosen = new Cell<Theme | undefined>((localStorage.getItem(KEY) as Theme | null) ?? undefined);
export const shown = new Cell<Theme>(now());

function now(): Theme {
  return chosen.value ?? (isDark.matches ? 'dark' : 'light');
}

function apply(): void {
  document.documentElement.dataset.theme = now();
  shown.set(now());
}

export function turn(): void {
  chosen.set(now() === 'dark' ? 'light' : 'dark');
  localStorage.setItem(KEY, chosen.value!);
  apply();
}

apply();
isDark.addEventListener('change', apply);
