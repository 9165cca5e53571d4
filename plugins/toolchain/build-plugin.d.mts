/** Builds a C plugin into a component. Resolves to whether it had to be built. */
export function buildPlugin(plugin: { readonly folder: string; readonly output: string }): Promise<boolean>;
