/** Property tests of fast-check begin at the same seed as all random tests; a failure prints the seed and the path. */
import fc from 'fast-check';
import { SEED } from './seed.ts';

fc.configureGlobal({ seed: SEED });
