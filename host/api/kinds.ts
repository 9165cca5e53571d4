/** The words people use for kinds: ours, plurals, iproute2's and its abbreviations. */
import { EkhoError } from '../errors.ts';
import { KINDS, type Kind } from '../mirror/types.ts';
import { nearest } from '../suggest.ts';

const ALIASES: Readonly<Record<string, Kind>> = {
  interface: 'link',
  l: 'link',
  addr: 'address',
  a: 'address',
  neigh: 'neighbour',
  neighbor: 'neighbour',
  n: 'neighbour',
  nh: 'nexthop',
  r: 'route',
  policy: 'xfrm-policy',
  xfrm: 'xfrm-policy',
  nftable: 'nft-table',
  flowtable: 'nft-flowtable',
  conntrack: 'flow',
  custom: 'offload',
};

const WORDS = new Map<string, Kind>([
  ...KINDS.map((kind): [string, Kind] => [kind, kind]),
  ...Object.entries(ALIASES),
]);

/** The kind a word means; throws E_UNKNOWN_KIND with the kinds there are. */
export function kindOf(word: string): Kind {
  const lower = word.toLowerCase().replaceAll('_', '-');
  const singular = [lower, lower.replace(/s$/, ''), lower.replace(/es$/, '')];
  for (const candidate of singular) {
    const kind = WORDS.get(candidate);
    if (kind !== undefined) return kind;
  }
  const near = nearest(lower, WORDS.keys());
  throw new EkhoError(
    'E_UNKNOWN_KIND',
    `there is no kind "${word}"${near ? `; did you mean ${near}?` : ''}`,
    {
      remedy: `Kinds: ${KINDS.join(', ')}.`,
    },
  );
}

/** True for a word `kindOf` knows. */
export function isKindWord(word: string): boolean {
  try {
    kindOf(word);
    return true;
  } catch {
    return false;
  }
}
