/**
 * docs/plugins/wit and docs/plugins/cases.md, made from the comments of wit/ and from the suite's schema and cases: run this
 * file to rewrite them. A test holds them equal.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expected, ROOT } from '../../host/config/config.ts';
import type { Layouts } from '../../host/plugin/layout.ts';
import { readLayouts } from '../../host/plugin/package.ts';
import type { WitDefinition, WitFunction, WitInterface, WitType } from '../../host/plugin/wit.ts';
import { CASES_FOLDER, readCases } from './check/case.ts';
import { ACTIONS, CaseSchema, StepSchema } from './check/schema.ts';

/** Texts by path from the checkout. */
export function documents(): Map<string, string> {
  const layouts = readLayouts();
  const texts = new Map<string, string>([['docs/plugins/cases.md', casesPage()]]);
  for (const one of layouts.package.interfaces.values())
    texts.set(`docs/plugins/wit/${one.name}.md`, interfacePage(layouts, one));
  return texts;
}

const ORIGIN = '_Made from wit/ by `node plugins/kit/document.ts`._\n';

function interfacePage(layouts: Layouts, one: WitInterface): string {
  const { name, version } = layouts.package;
  let text = `# \`${one.name}\`\n\n\`${name}/${one.name}@${version}\`, ${side(layouts, one.name)}. ${ORIGIN}`;
  text += paragraph(one.docs);
  if (one.functions.length > 0) text += '\n## Functions\n';
  for (const each of one.functions)
    text += `\n### \`${each.name}\`\n\n\`\`\`wit\n${signature(each)}\n\`\`\`\n${paragraph(each.docs)}`;
  const definitions = [...one.definitions.values()].filter((each) => each.is !== 'use');
  if (definitions.length > 0) text += '\n## Types\n';
  for (const each of definitions) text += definitionText(layouts, one, each);
  return text;
}

function side(layouts: Layouts, name: string): string {
  const worlds = [...layouts.package.worlds.values()];
  if (worlds.some((world) => world.exports.includes(name))) return 'what a plugin implements';
  const importing = worlds
    .filter((world) => world.imports.includes(name))
    .map((world) => `\`${world.name}\``);
  if (importing.length === 0) return 'types of all others';
  return `what a plugin of the world ${importing.join(' or ')} may call`;
}

function paragraph(docs: string): string {
  return docs === '' ? '' : `\n${docs}\n`;
}

function signature({ name, parameters, result }: WitFunction): string {
  const list = parameters.map((one) => `${one.name}: ${typeText(one.type)}`).join(', ');
  return `${name}: func(${list})${result === undefined ? '' : ` -> ${typeText(result)}`}`;
}

function definitionText(layouts: Layouts, { name: inside }: WitInterface, definition: WitDefinition): string {
  if (definition.is === 'use') return '';
  const { size } = layouts.named(inside, definition.name);
  const head = `\n### \`${definition.name}\`\n${paragraph(definition.docs)}`;
  switch (definition.is) {
    case 'alias':
      return `${head}\n\`type ${definition.name} = ${typeText(definition.type)}\`\n`;
    case 'enum':
    case 'flags': {
      const rows = definition.cases.map(
        ({ name, docs }, index) =>
          `| ${definition.is === 'enum' ? index : `bit ${index}`} | \`${name}\` | ${oneLine(docs)} |\n`,
      );
      return `${head}\nAn ${definition.is === 'enum' ? 'enum' : 'integer of flags'} of ${bytesText(size)}.\n\n| | | |\n| --: | --- | --- |\n${rows.join('')}`;
    }
    case 'record': {
      const { resolved } = layouts.named(inside, definition.name);
      const fields = resolved.is === 'record' ? resolved.fields : [];
      const rows = definition.fields.map(
        ({ name, docs, type }, index) =>
          `| ${fields[index]!.offset} | \`${name}\` | \`${typeText(type)}\` | ${oneLine(docs)} |\n`,
      );
      return `${head}\nA record of ${bytesText(size)}.\n\n| at | field | type | |\n| --: | --- | --- | --- |\n${rows.join('')}`;
    }
  }
}

function bytesText(size: number): string {
  return size === 1 ? '1 byte' : `${size} bytes`;
}

function oneLine(docs: string): string {
  return docs.replaceAll('\n', ' ').replaceAll('|', '\\|');
}

function typeText(type: WitType): string {
  switch (type.is) {
    case 'primitive':
      return type.primitive;
    case 'named':
      return type.name;
    case 'tuple':
      return `tuple<${type.elements.map(typeText).join(', ')}>`;
    case 'result':
      return `result<${type.ok === undefined ? '_' : typeText(type.ok)}${type.error === undefined ? '' : `, ${typeText(type.error)}`}>`;
    default:
      return `${type.is}<${typeText(type.element)}>`;
  }
}

const CASES_PREFACE = `# Cases of the conformance suite

\`ekho plugin check\` runs each of the files of [plugins/kit/cases](../../plugins/kit/cases) on a fresh instance of the plugin with a
fresh device. \`--cases FOLDER\` runs a vendor's own as well. _This page is made by \`node plugins/kit/document.ts\`._

\`\`\`toml
title = "A route replaced in place is held once"
include = ["base/routing.toml"]

[[steps]]
apply = ["put route {i} prefix={10.1.0.0/24+i} group=1"]
for = { i = [1, 20] }

[[steps]]
apply = ["put route 7 prefix=10.1.7.0/24 group=2", "remove route 8 prefix=10.1.8.0/24 group=1"]

[[steps]]
packets = [{ to = "10.1.7.1", action = "forward", by = ["route 7", "nexthop 2"] }]
\`\`\`

A line is \`put\` or \`remove\`, a kind, a number (from 1 to the capacity; the index in the handle is one less) and fields as [wit/types.wit](wit/types.md) names
them; what is not named is 0. Flags are names with commas, addresses and MACs are written as usual, a prefix sets \`prefix-length\` and
\`family\` too, and the members of a group are \`members=1,2*3\` (nexthop 1, and nexthop 2 with weight 3). \`0x…\` in place of a number is a
whole handle. In \`{…}\`, sums and products of the numbers of \`for\` are worked out; \`{10.0.0.0/24+i}\` is the i-th network after one,
\`{192.0.2.1+i}\` the i-th address. In a step, removals come first, and kinds in the order of their dependency.

After every \`apply\` the suite reads back and holds the plugin to its own answers: what it carried out is held with every field as
sent, what it refused or failed left what was held before, and \`tables\` counts what is held.

Cases named \`kind-…\` are of the [kinds](../offloads.md) that the plugin declares itself (step \`offloads\`), and left out where it declares none. Their
objects are made from nothing but the declaration, checked and packed as the host does it: each field at its limits, all that must be there and no more, and
with every default. A plugin may decline an object of these as unsupported, but not all of a kind, and none as invalid: then
the declaration allows too much. Links are the ports 101 to 104, where it holds ports.

Of the kernel’s selftests of \`netdevsim\`, all cases of \`fib.sh\` and those of \`nexthop.sh\` are covered, but for the resilient groups
(\`nexthop_res_group_…\`, \`nexthop_single_in_res_group_…\`): the contract has groups without buckets.
`;

function casesPage(): string {
  const { properties } = CaseSchema as unknown as Properties;
  const { properties: step } = StepSchema as unknown as Properties;
  const rest = Object.fromEntries(Object.entries(step).filter(([name]) => !(name in ACTIONS)));
  let text = `${CASES_PREFACE}\n## A file\n\n${keys(properties)}\n## A step\n\nOne of these:\n\n${keys(ACTIONS as unknown as Properties['properties'])}\nand with it:\n\n${keys(rest)}`;
  text += '\n## The cases\n\n| case | what must hold | kernel selftests |\n| --- | --- | --- |\n';
  for (const { name, says } of readCases(CASES_FOLDER))
    text += `| ${name} | ${says.title} | ${(says.covers ?? []).map((one) => `\`${one}\``).join(', ')} |\n`;
  return text;
}

interface Properties {
  readonly properties: Readonly<
    Record<string, { readonly description?: string; readonly default?: unknown }>
  >;
}

function keys(properties: Properties['properties']): string {
  return Object.entries(properties)
    .map(([name, { description, default: fallback }]) => {
      const otherwise = fallback === undefined ? '' : ` Default: \`${JSON.stringify(fallback)}\`.`;
      return `- **\`${name}\`** (${expected(properties[name] as never)}): ${description ?? ''}${otherwise}\n`;
    })
    .join('');
}

if (import.meta.main)
  for (const [path, text] of documents()) {
    mkdirSync(dirname(join(ROOT, path)), { recursive: true });
    writeFileSync(join(ROOT, path), text);
  }
