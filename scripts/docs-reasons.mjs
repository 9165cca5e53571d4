// Writes docs/reasons.md from the registry in host/offload/reasons.ts. Run it with Node 26: node scripts/docs-reasons.mjs
import { writeFileSync } from 'node:fs';
import { reasonsDocument } from '../host/offload/reasons-doc.ts';

writeFileSync(new URL('../docs/reasons.md', import.meta.url), reasonsDocument());
