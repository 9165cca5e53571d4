/** Everything that reads what others wrote. What reads requests of the API is tried on a running host (test/netns/api-fuzz.test.ts). */
import type { Target } from './engine.ts';
import { BTF } from './targets/btf.ts';
import { DATAGRAM, NOTIFIER, OBJECT } from './targets/netlink.ts';
import { COMPONENT, LIFTING, MANIFEST } from './targets/plugin.ts';
import { CONFIG, LISTEN, SELECTOR, SIGNATURE, WIT } from './targets/text.ts';

export const TARGETS: readonly Target[] = [
  OBJECT,
  DATAGRAM,
  NOTIFIER,
  BTF,
  COMPONENT,
  MANIFEST,
  LIFTING,
  CONFIG,
  SELECTOR,
  WIT,
  SIGNATURE,
  LISTEN,
];
