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
  /** What was dumped changed meanwhile, in a way that the kernel does not mark. */
  changed?(): Promise<boolean>;
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
        handler.asking?.(request);
        if (await answer(client, request, handler.message)) interrupted = true;
      }
      if (!interrupted && (await handler.changed?.()) !== true) return true;
    } catch (error) {
      if (!(error instanceof TruncatedError)) throw error;
    }
    if (!handler.interrupted()) return false;
    await new Promise((resolve) => setTimeout(resolve, FIRST_BACKOFF_MS << attempt));
  }
  return false;
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
