/** Words for kinds, and the suggestions when a word is none. */
import { describe, expect, it } from 'vitest';
import { kindOf } from '../../../host/api/kinds.ts';
import { EkhoError } from '../../../host/errors.ts';
import { KINDS } from '../../../host/mirror/types.ts';

describe('a word for a kind', () => {
  it.each(KINDS.map((kind) => [kind, kind]))('%s is itself', (word, kind) => {
    expect(kindOf(word)).toBe(kind);
  });

  it.each([
    ['links', 'link'],
    ['addr', 'address'],
    ['addresses', 'address'],
    ['neigh', 'neighbour'],
    ['neighbors', 'neighbour'],
    ['nexthops', 'nexthop'],
    ['nh', 'nexthop'],
    ['Routes', 'route'],
    ['classes', 'class'],
    ['qdiscs', 'qdisc'],
    ['nft_tables', 'nft-table'],
    ['flowtables', 'nft-flowtable'],
  ])('%s is %s', (word, kind) => {
    expect(kindOf(word)).toBe(kind);
  });

  it.each([
    ['ruote', 'route'],
    ['neigbour', 'neighbour'],
    ['fbd', 'fdb'],
  ])('%s is refused and %s is suggested', (word, near) => {
    expect(() => kindOf(word)).toThrowError(
      expect.objectContaining({
        code: 'E_UNKNOWN_KIND',
        message: `there is no kind "${word}"; did you mean ${near}?`,
        remedy: `Kinds: ${KINDS.join(', ')}.`,
      }),
    );
  });

  it('is not guessed when nothing is near', () => {
    expect(() => kindOf('spaceship')).toThrowError(EkhoError);
    expect(() => kindOf('spaceship')).toThrowError('there is no kind "spaceship"');
    for (const word of ['\0', 'x', ''])
      expect(() => kindOf(word)).toThrowError(
        expect.objectContaining({ message: `there is no kind "${word}"` }),
      );
  });
});
