// Writes docs/notifiers.md from the catalogue in host/kernel/notifier. Run it with Node 26: node scripts/docs-notifiers.mjs
import { writeFileSync } from 'node:fs';
import { notifiersDocument } from '../host/kernel/notifier/document.ts';

writeFileSync(new URL('../docs/notifiers.md', import.meta.url), notifiersDocument());
