/** docs/config.md, made from the schema: run this file to rewrite it. A test holds the two equal. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expected, ROOT } from './config.ts';
import { SECTIONS } from './schema.ts';

const PREFACE = `# Configuration

\`ekho run --config FILE\` reads one TOML file. Without one the host mirrors the network namespace it runs in and grants the
simulated ASIC \`asic0\` to the reference plugin \`softnic\`. \`ekho config check FILE\` says what is wrong with a file: every problem
with file, line and key. Unknown keys are errors. Options of \`ekho run\` win over the file.

\`\`\`toml
[mirror]
netns = "edge"

[plugin.softnic]
device = "asic0"
ports = ["eth*", "!eth0"]

[device.asic0]
kind = "asic"
state = "/var/lib/ekho/asic0"

[device.asic0.tables]
lpm4 = 1048576
\`\`\`

A file with a \`[plugin.…]\` section runs the plugins it names and no others. A plugin may be granted \`asic0\` without a
\`[device.asic0]\` section: it is then a simulated ASIC with default tables.
`;

const EPILOGUE = `
The schema is [host/config/schema.ts](../host/config/schema.ts); this page is made from it by
\`node_modules/.bin/node host/config/document.ts\`.
`;

export function document(): string {
  const sections = SECTIONS.map(({ header, schema }) => {
    const { properties } = schema as {
      properties: Record<string, { description?: string; default?: unknown }>;
    };
    const keys = Object.entries(properties).map(([key, { description, default: fallback }]) => {
      const value = expected(properties[key]);
      const otherwise = fallback === undefined ? '' : ` Default: \`${JSON.stringify(fallback)}\`.`;
      return `- **\`${key}\`** (${value}): ${description ?? ''}${otherwise}`;
    });
    return `\n## \`${header}\`\n\n${keys.join('\n')}\n`;
  });
  return PREFACE + sections.join('') + EPILOGUE;
}

if (import.meta.main) writeFileSync(join(ROOT, 'docs/config.md'), document());
