/** How components are transpiled: shared by the process that does it and the one that keeps the result. */

import type { GenerateOptions } from '@bytecodealliance/jco-transpile/component';

/** Part of the name under which results are kept: change one, and all are made anew. */
export const TRANSPILE_OPTIONS: GenerateOptions = {
  name: 'plugin',
  instantiation: { tag: 'sync' },
  // Imports may bring their own core function, see host-imports.ts.
  importBindings: { tag: 'hybrid' },
  // No shim for WASI is mapped in: a plugin has none.
  map: [],
  noNodejsCompat: true,
  noTypescript: true,
  // Core modules as files, never within the glue.
  base64Cutoff: 0,
  // An error result is thrown as an Error with the payload, which tells it from a trap.
  noComponentErrorWrapping: false,
};

export type TranspileAnswer =
  | { readonly files: readonly (readonly [name: string, bytes: Uint8Array])[] }
  | { readonly error: string };
