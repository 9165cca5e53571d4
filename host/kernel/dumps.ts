/** Dumps repeated until the kernel shows one that nothing changed under. */

import type { MessageHandler } from '../netlink/message.ts';
import { type NetlinkClient, NetlinkError, TruncatedError } from '../netlink/request.ts';
import type { DumpRequest } from './requests.ts';

/** Dumps marked NLM_F_DUMP_INTR are repeated so often. */
export const DUMP_ATTEMPTS = 8;
const FIRST_BACKOFF_MS = 5;

export type RequestClient = Pick<NetlinkClient, 'dump' | 'request' | 'close'> &
  Partial<Pick<NetlinkClient, 'stayReady'>>;

export interface DumpHandler {
  /** What was shown before does not count. */
  begin(): void;
  /** The request is about to be sent. */
  asking?(request: DumpRequest): void;
  message: MessageHandler;
  /**
   * All was answered. Requests that are to be asked again, and whose answers add to those there were; none: that was all.
   */
  again?(asked: readonly DumpRequest[]): Promise<readonly DumpRequest[]>;
  /** An attempt was inconsistent; false: give up. */
  interrupted(): boolean;
}

/** False when every attempt was inconsistent, or there was no end of asking again. Rejects with the kernel's refusal. */
export async function dumpConsistently(
  client: RequestClient,
  requests: () => readonly DumpRequest[],
  handler: DumpHandler,
): Promise<boolean> {
  for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
    handler.begin();
    try {
      let asked = requests();
      for (let round = 0; round < DUMP_ATTEMPTS; round++) {
        if (await askAll(client, asked, handler)) break;
        asked = (await handler.again?.(asked)) ?? [];
        if (asked.length === 0) return true;
        if (!handler.interrupted() || round === DUMP_ATTEMPTS - 1) return false;
      }
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error;
    }
    if (!handler.interrupted()) return false;
    await new Promise((resolve) => setTimeout(resolve, FIRST_BACKOFF_MS << attempt));
  }
  return false;
}

/** Whether the kernel marked one of its answers as inconsistent. */
async function askAll(
  client: RequestClient,
  requests: readonly DumpRequest[],
  handler: DumpHandler,
): Promise<boolean> {
  let interrupted = false;
  for (const request of requests) {
    handler.asking?.(request);
    if (await answer(client, request, handler.message)) interrupted = true;
  }
  return interrupted;
}

/** Whether the kernel marked its answer as inconsistent; false where an error only says that there is nothing. */
export async function answer(
  client: Pick<NetlinkClient, 'dump' | 'request'>,
  request: DumpRequest,
  handler: MessageHandler,
): Promise<boolean> {
  try {
    if (request.isSingle !== true) return await client.dump(request, handler);
    await client.request(request, handler);
    return false;
  } catch (error) {
    if (error instanceof NetlinkError && request.none?.has(error.errno)) return false;
    throw error;
  }
}
