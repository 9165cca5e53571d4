/** Builds a plugin folder into its component, by the language it is in. */

import type { Language, Project } from '../project.ts';

/** Resolves to whether it had to be built. @throws EkhoError E_BUILD with the compiler’s own messages, E_TOOL */
type Builder = (project: Project) => Promise<boolean>;

const BUILDERS: Readonly<Record<Language, () => Promise<Builder>>> = {
  c: async () => (await import('./c.ts')).buildC,
  assemblyscript: async () => (await import('./assemblyscript.ts')).buildAssemblyScript,
  typescript: async () => (await import('./typescript.ts')).buildTypeScript,
  rust: async () => (await import('./rust.ts')).buildRust,
};

export async function buildProject(project: Project): Promise<boolean> {
  const build = await BUILDERS[project.language]();
  return build(project);
}
