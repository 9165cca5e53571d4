/** How the notifiers are attached, in one line. */

/** `fib, link by fentry; neighbour by tp_btf; without fdb`. */
export function rungsText(hooks: readonly { readonly hook: string; readonly rung: string }[]): string {
  const byRung = Map.groupBy(hooks, ({ rung }) => rung);
  const names = (rung: string) => (byRung.get(rung) ?? []).map(({ hook }) => hook).join(', ');
  const parts = [...byRung.keys()]
    .filter((rung) => rung !== 'none')
    .map((rung) => `${names(rung)} by ${rung}`);
  if (byRung.has('none')) parts.push(`without ${names('none')}`);
  return parts.join('; ');
}
