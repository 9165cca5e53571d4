/** Builds a C plugin into a component of a world of wit/ (default: `asic-plugin`). Resolves to whether it had to be built. */
export function buildPlugin(plugin: {
  readonly folder: string;
  readonly output: string;
  readonly world?: string;
}): Promise<boolean>;
