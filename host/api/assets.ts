/** The dashboard's files, read once and held compressed; they are few and small. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Only what comes from here; no inline scripts or styles. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  readonly gzip: Buffer;
  readonly br: Buffer;
}

/** Serves the files of `folder`, `index.html` as `/`. */
export function serveAssets(app: FastifyInstance, folder: string): void {
  if (!existsSync(join(folder, 'index.html'))) {
    app.get('/', { schema: { hide: true } }, async (_request, reply) =>
      reply.type('text/plain; charset=utf-8').send('The dashboard is not built: npm run build\n'),
    );
    return;
  }
  for (const file of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const type = TYPES[extname(file.name)];
    if (!file.isFile() || type === undefined) continue;
    const path = join(file.parentPath, file.name);
    const url = path.slice(folder.length).replace(/^\/?/, '/');
    const asset = read(path, type);
    const send = async (request: FastifyRequest, reply: FastifyReply) =>
      answer(request, reply, asset, url.startsWith('/assets/'));
    app.get(url === '/index.html' ? '/' : url, { schema: { hide: true } }, send);
  }
}

function read(path: string, type: string): Asset {
  const plain = readFileSync(path);
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
  return {
    type,
    etag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
    plain,
    gzip: gzipSync(plain),
    br: brotliCompressSync(plain, quality),
  };
}

/** `isNamedByContent`: the name changes with what is in it. */
function answer(
  { headers }: FastifyRequest,
  reply: FastifyReply,
  asset: Asset,
  isNamedByContent: boolean,
): FastifyReply {
  reply
    .header('content-security-policy', POLICY)
    .header('cache-control', isNamedByContent ? 'public, max-age=31536000, immutable' : 'no-cache')
    .header('vary', 'accept-encoding')
    .header('etag', asset.etag);
  if (headers['if-none-match'] === asset.etag) return reply.code(304).send();
  const accepted = String(headers['accept-encoding'] ?? '');
  const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : 'plain';
  if (encoding !== 'plain') reply.header('content-encoding', encoding);
  return reply.type(asset.type).send(asset[encoding]);
}
