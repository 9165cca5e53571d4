/** One line of what `ekho doctor` finds out: a feature, one of three answers, what it is or why not, and what to do. */

import type { Finding } from '../api/schemas.ts';

type Area = Finding['area'];

/** `detail`: what it is, e.g. a version. */
export function available(area: Area, feature: string, detail?: string): Finding {
  return { area, feature, status: 'available', ...(detail !== undefined && { detail }) };
}

/** `detail`: why not. */
export function unsupported(area: Area, feature: string, detail: string, remedy?: string): Finding {
  return { area, feature, status: 'unsupported', detail, ...(remedy !== undefined && { remedy }) };
}

/** `detail`: why it could not be found out. */
export function inconclusive(area: Area, feature: string, detail: string, remedy?: string): Finding {
  return { area, feature, status: 'inconclusive', detail, ...(remedy !== undefined && { remedy }) };
}

/** The configuration asks for it: without it the doctor is not content. */
export function required(finding: Finding): Finding {
  return { ...finding, required: true };
}
