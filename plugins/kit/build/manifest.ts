/** What a plugin's file says of itself without being run: from plugin.toml, and the devices of its world. */

import { deviceKinds } from '../../../host/device/registry.ts';
import { embedManifest, type Manifest } from '../../../host/plugin/manifest.ts';
import { readLayouts } from '../../../host/plugin/package.ts';
import { interfacesOf } from '../generate/names.ts';
import type { Project } from '../project.ts';

export function manifestOf({ name, version, licence, world }: Project): Manifest {
  const kinds: readonly string[] = deviceKinds();
  const devices = interfacesOf(readLayouts(), world)
    .imports.map((one) => one.name)
    .filter((one) => kinds.includes(one));
  return {
    name,
    ...(version !== undefined && { version }),
    ...(licence !== undefined && { licence }),
    devices,
  };
}

/** The component with the manifest of its project. */
export function withManifest(component: Uint8Array, project: Project): Uint8Array {
  return embedManifest(component, manifestOf(project));
}
