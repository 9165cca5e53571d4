/**
 * Writes docs/netlink.md from the attribute tables: `node scripts/docs-netlink.mjs`. With `--check` it only compares and
 * exits with 1 when the file is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { FAMILIES } from '../host/netlink/schema/families.ts';

const FILE = fileURLToPath(new URL('../docs/netlink.md', import.meta.url));

/** The page's text. */
export function netlinkDocs() {
  const lines = [
    '# Netlink attributes',
    '',
    'What EKHO decodes of each kind of object: the fixed header, then attributes. Decoder, encoder, JSON output and this page',
    'are made from the same tables in `host/netlink/schema/`. Attributes that are not listed are kept with their number and',
    'bytes. This page is written by `node scripts/docs-netlink.mjs`.',
    '',
    'Types: `u8` … `s64` are numbers, `be16` … `be64` big-endian ones; `uint` has 4 or 8 bytes; a `flag` has no value;',
    "`binary` is shown as hex; `ip` is an address of the message's family; `mac` a link-layer address; `labels` an MPLS label",
    'stack; `struct` a C struct; a name in italics is the table of nested attributes; `[]` is a list.',
    '',
  ];
  const sets = new Map();
  const structs = new Map();
  const collectStruct = (struct) => {
    if (structs.has(struct.name)) return;
    structs.set(struct.name, struct);
    for (const { type } of struct.fields) if (typeof type === 'object' && 'kind' in type) collectStruct(type);
  };
  /** A type as text; tables and structs it mentions are collected. */
  const text = (type) => {
    if (typeof type === 'string') return `\`${type}\``;
    switch (type.kind) {
      case 'struct':
        collectStruct(type);
        return `struct \`${type.name}\``;
      case 'nest':
        return set(type.attributes());
      case 'indexed':
      case 'many':
        return `${text(type.of)}[]`;
      case 'array':
        return `${text(type.of)}[]`;
      case 'headed':
        return `${text(type.header)} and ${set(type.attributes())}`;
      case 'multipath':
        return `(${text(type.header)} and ${set(type.attributes())})[]`;
      case 'counted':
        return `${text(type.header)} and ${text(type.of)}[]`;
      case 'via':
        return 'struct `rtvia`';
      case 'family':
        return [...Object.values(type.of), type.otherwise].map(text).join(' or ');
      case 'select':
        return `by \`${type.by}\`: ${Object.entries(type.of)
          .map(([key, inner]) => `${key} ${text(inner)}`)
          .join(', ')}`;
    }
  };
  const set = (attributes) => {
    if (!sets.has(attributes.title)) sets.set(attributes.title, attributes);
    return `_${attributes.title}_`;
  };
  const table = (attributes) => {
    lines.push(
      `Follows \`${attributes.source}\`.`,
      '',
      '| Number | Name | Type | |',
      '| --: | --- | --- | --- |',
    );
    for (const { number, name, type, doc } of attributes.byNumber.filter(
      (attribute) => attribute !== undefined,
    )) {
      lines.push(`| ${number} | \`${name}\` | ${text(type)} | ${doc.replaceAll('|', '\\|')} |`);
    }
    lines.push('');
  };
  const field = ({ name, type }) =>
    `${name} (${typeof type === 'string' ? type : 'bytes' in type ? `${type.bytes} bytes` : type.name})`;

  lines.push('## Kinds', '');
  for (const [kind, { header, attributes }] of Object.entries(FAMILIES)) {
    lines.push(`- **${kind}**: struct \`${header.name}\` and ${set(attributes)}`);
    collectStruct(header);
  }
  lines.push('', '## Tables', '');
  // Collecting goes on while tables are written.
  for (const [title, attributes] of sets) {
    lines.push(`### ${title}`, '');
    table(attributes);
  }
  lines.push('## Structs', '');
  for (const struct of [...structs.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    lines.push(`- \`${struct.name}\`, ${struct.size} bytes: ${struct.fields.map(field).join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = netlinkDocs();
  if (!process.argv.includes('--check')) writeFileSync(FILE, wanted);
  else if (readFileSync(FILE, 'utf8') !== wanted) {
    console.error('docs/netlink.md is not current: run node scripts/docs-netlink.mjs');
    process.exitCode = 1;
  }
}
