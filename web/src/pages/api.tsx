/** The API as the host describes it (OpenAPI), to read. */
import { useEffect, useState } from 'preact/hooks';
import { get } from '../client.ts';
import { Empty, Fault, Panel } from '../parts/panel.tsx';

interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}
interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly schema: Schema;
  }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >;
  readonly security?: readonly unknown[];
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export function ApiPage() {
  const [api, setApi] = useState<Description | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    get<Description>('/openapi.json').then(setApi, setError);
  }, []);
  if (error !== undefined) return <Fault error={error} />;
  if (api === undefined) return <Empty>Reading…</Empty>;
  const all = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const tags = [...new Set(all.map(({ operation }) => operation.tags?.[0] ?? 'other'))];
  return (
    <div class="api">
      <p>
        The same on the unix socket and here; as <a href="/api/v1/openapi.json">OpenAPI 3.1</a>. Errors are
        problem documents with a stable <code>code</code> and, where there is one, a <code>remedy</code>.
      </p>
      {tags.map((tag) => (
        <Panel key={tag} title={tag}>
          {all
            .filter(({ operation }) => (operation.tags?.[0] ?? 'other') === tag)
            .map(({ path, method, operation }) => (
              <details key={`${method} ${path}`}>
                <summary>
                  <span class="method">{method.toUpperCase()}</span> <code>{path}</code>{' '}
                  <span class="muted">
                    {operation.summary}
                    {operation.security !== undefined && ' · operate'}
                  </span>
                </summary>
                <Parameters operation={operation} />
                <Answer operation={operation} />
              </details>
            ))}
        </Panel>
      ))}
    </div>
  );
}

function Parameters({ operation: { parameters = [] } }: { operation: Operation }) {
  if (parameters.length === 0) return null;
  return (
    <dl class="attributes">
      {parameters.map(({ name, in: place, required, schema }) => (
        <div key={`${place} ${name}`}>
          <dt>{name}</dt>
          <dd>
            {typeText(schema)}
            <span class="muted">
              {' '}
              {place}
              {required && ', required'}
            </span>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Answer({ operation: { responses } }: { operation: Operation }) {
  const schema = Object.values(responses['200']?.content ?? {})[0]?.schema;
  if (schema === undefined) return null;
  return (
    <dl class="attributes">
      <div>
        <dt>answer</dt>
        <dd>
          <code>{typeText(schema)}</code>
        </dd>
      </div>
    </dl>
  );
}

/** A shape in one line, three levels deep. */
function typeText(schema: Schema, depth = 0): string {
  if (schema.enum !== undefined) return schema.enum.join(' | ');
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => typeText(one, depth)).join(' | ');
  if (schema.allOf !== undefined) return schema.allOf.map((one) => typeText(one, depth)).join(' & ');
  if (schema.type === 'array') return `[${typeText(schema.items ?? {}, depth)}]`;
  if (schema.properties === undefined) return schema.type ?? 'any';
  if (depth === 2) return '{…}';
  const fields = Object.entries(schema.properties).map(
    ([name, one]) => `${name}: ${typeText(one, depth + 1)}`,
  );
  return `{ ${fields.join(', ')} }`;
}
