/** Link-name patterns of `[plugin.NAME] ports`. */

/**
 * Whether a link name is meant: `*` is any text, `?` any character, a leading `!` takes out again; the last pattern that
 * matches decides, and a list of only `!` patterns starts from all links.
 */
export function matchPorts(patterns: readonly string[]): (name: string) => boolean {
  const rules = patterns.map((pattern) => {
    const out = pattern.startsWith('!');
    const source = [...(out ? pattern.slice(1) : pattern)]
      .map((letter) =>
        letter === '*' ? '.*' : letter === '?' ? '.' : letter.replace(/[\\^$.|+()[\]{}]/g, '\\$&'),
      )
      .join('');
    return { out, expression: new RegExp(`^${source}$`, 'su') };
  });
  const byDefault = rules.every(({ out }) => out);
  return (name) => {
    const last = rules.findLast(({ expression }) => expression.test(name));
    return last === undefined ? byDefault : !last.out;
  };
}
