/** Builds a C plugin into a component of a world of wit/ (default: `asic-plugin`). Resolves to whether it had to be built. */
export function buildPlugin(plugin: {
  readonly folder: string;
  readonly output: string;
  readonly world?: string;
  /** What is done to the component at the end; made anew when `inputs` differ. */
  readonly finish?: { readonly inputs: unknown; apply(component: Uint8Array): Uint8Array };
}): Promise<boolean>;

/** A component of a world of wit/ around a core module. */
export function makeComponent(core: Uint8Array, world: string): Promise<Uint8Array>;

/** Writes what `make` makes to `output` unless it was made from the same inputs. Resolves to whether it had to be made. */
export function ifChanged(output: string, inputs: string, make: () => Promise<Uint8Array>): Promise<boolean>;

/** Version of an installed package. */
export function version(name: string): string;
