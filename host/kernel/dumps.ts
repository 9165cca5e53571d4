/** Dumps repeated until the kernel shows one that nothing changed under. */

import type { MessageHandler } from '../netlink/message.ts';
import { type NetlinkClient, NetlinkError, TruncatedError } from '../netlink/request.ts';
import type { DumpRequest } from './requests.ts';

/** Dumps marked NLM_F_DUMP_INTR are repeated so often. */
export const DUMP_ATTEMPTS = 8;
const FIRST_BACKOFF_MS = 5;

export type RequestClient = Pick<NetlinkClient, 'dump' | 'request' | 'close'>;

export interface DumpHandler {
  /** What was shown before does not count. */
  begin(): void;
  message: MessageHandler;
  /** An attempt was inconsistent; false: give up. */
  interrupted(): boolean;
}

/** False when every attempt was inconsistent. Rejects with the kernel's refusal. */
export async function dumpConsistently(
  client: RequestClient,
  requests: () => readonly DumpRequest[],
  handler: DumpHandler,
): Promise<boolean> {
  for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
    handler.begin();
    let interrupted = false;
    try {
      for (const request of requests()) {
        const answer = request.isSingle
          ? client.request(request, handler.message)
          : client.dump(request, handler.message);
        if (await orNone(request, answer)) interrupted = true;
      }
      if (!interrupted) return true;
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error;
    }
    if (!handler.interrupted()) return false;
    await new Promise((resolve) => setTimeout(resolve, FIRST_BACKOFF_MS << attempt));
  }
  return false;
}

/** The answer, or false where an error only says that there is nothing. */
async function orNone({ none }: DumpRequest, answer: Promise<unknown>): Promise<boolean> {
  try {
    return (await answer) === true;
  } catch (error) {
    if (error instanceof NetlinkError && none?.has(error.errno)) return false;
    throw error;
  }
}
