/** Completions for bash, zsh and fish, made from the command's own definitions: words, options and what some options may be. */
import type { Command } from 'commander';
import { LOG_LEVELS } from '../host/log/levels.ts';
import { KINDS } from '../host/mirror/types.ts';

interface Word {
  readonly word: string;
  readonly what: string;
}

/** What may follow the words that lead to a command. */
interface Place {
  /** Words, without `ekho`, with a space between; empty for the command itself. */
  readonly path: string;
  readonly words: readonly Word[];
  readonly options: readonly Word[];
  /** Of options that take one: what they may be. Empty: a file or anything. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

export function bashCompletion(program: Command): string {
  const all = places(program);
  const cases = all.map(({ path, words, options }) => {
    const list = [...words, ...options].map(({ word }) => word).join(' ');
    return `    '${path}') words='${list}' ;;`;
  });
  return `# bash completion of ekho
_ekho() {
  local place='' word words='' index
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "\${place:+$place }$word" in
${pathCases(all, '      ')}
    esac
  done
  case "$place:$previous" in
${valueCases(all)}
  esac
  if [ -n "$words" ]; then
    [ "$words" = FILE ] && COMPREPLY=($(compgen -f -- "$current")) || COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case "$place" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  # A file, where no word fits.
  [ \${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _ekho ekho
`;
}

export function zshCompletion(program: Command): string {
  const all = places(program);
  const cases = all.map(({ path, words, options }) => {
    const list = [...words, ...options].map(({ word, what }) =>
      quoted(`${word.replaceAll(':', '\\:')}:${what}`),
    );
    return `    '${path}') found=(${list.join(' ')}) ;;`;
  });
  return `#compdef ekho
# zsh completion of ekho
_ekho() {
  local place='' word current=\${words[CURRENT]} previous=\${words[CURRENT-1]}
  local -a found
  for word in \${words[2,CURRENT-1]}; do
    case "\${place:+$place }$word" in
${pathCases(all, '      ')}
    esac
  done
  local words=''
  case "$place:$previous" in
${valueCases(all)}
  esac
  if [[ "$words" == FILE ]]; then _files; return; fi
  if [[ -n "$words" ]]; then compadd -- \${=words}; return; fi
  case "$place" in
${cases.join('\n')}
  esac
  _describe -t commands ekho found || _files
}
_ekho "$@"
`;
}

export function fishCompletion(program: Command): string {
  const lines = ['# fish completion of ekho', 'complete -c ekho -f'];
  for (const { path, words, options, values } of places(program)) {
    const next = words.map(({ word }) => word).join(' ');
    const seen = path.split(' ').filter(Boolean);
    const conditions = seen.map((word) => `__fish_seen_subcommand_from ${word}`);
    if (next !== '') conditions.push(`not __fish_seen_subcommand_from ${next}`);
    const when = conditions.length === 0 ? '' : ` -n ${quoted(conditions.join('; and '))}`;
    for (const { word, what } of words) lines.push(`complete -c ekho${when} -a ${word} -d ${quoted(what)}`);
    for (const { word, what } of options) {
      const flag = word.startsWith('--') ? `-l ${word.slice(2)}` : `-s ${word.slice(1)}`;
      const allowed = values.get(word);
      const value =
        allowed === undefined ? '' : allowed.length === 0 ? ' -r -F' : ` -x -a ${quoted(allowed.join(' '))}`;
      lines.push(`complete -c ekho${when} ${flag}${value} -d ${quoted(what)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Every command, those that lead to others first. */
function places(command: Command, path = ''): Place[] {
  const words = command.commands.map((child) => ({ word: child.name(), what: child.description() }));
  // The arguments whose words are known.
  const argument = command.registeredArguments[0]?.name();
  if (argument === 'kind') words.push(...KINDS.map((word) => ({ word, what: 'kind of objects' })));
  if (argument === 'level') words.push(...LOG_LEVELS.map((word) => ({ word, what: 'level of the log' })));
  const options: Word[] = [{ word: '--help', what: 'what it does' }];
  const values = new Map<string, readonly string[]>();
  for (const { short, long, description, argChoices, required, optional } of command.options) {
    for (const word of [short, long]) {
      if (!word) continue;
      options.push({ word, what: description });
      if (required || optional) values.set(word, argChoices ?? (long === '--kind' ? [...KINDS] : []));
    }
  }
  const place = { path, words, options, values };
  const below = command.commands.flatMap((child) => places(child, `${path} ${child.name()}`.trim()));
  return [place, ...below];
}

/** Shell: how far the words on the line have come. */
function pathCases(all: readonly Place[], indent: string): string {
  return all
    .filter(({ path }) => path !== '')
    .map(({ path }) => `${indent}'${path}') place='${path}' ;;`)
    .join('\n');
}

/** Shell: what the option before the cursor may be. */
function valueCases(all: readonly Place[]): string {
  return all
    .flatMap(({ path, values }) =>
      [...values].map(
        ([option, allowed]) => `    '${path}:${option}') words='${allowed.join(' ') || 'FILE'}' ;;`,
      ),
    )
    .join('\n');
}

function quoted(words: string): string {
  return `'${words.replaceAll("'", "'\\''")}'`;
}
