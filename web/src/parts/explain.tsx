/** One object: why it is or is not in hardware, what would change that, what became of it. */
import { useEffect, useState } from 'preact/hooks';
import type { ObjectDetails } from '../../../host/api/schemas.ts';
import { get } from '../client.ts';
import { clock, count } from '../format.ts';
import { Fault } from './panel.tsx';
import { Offload } from './state.tsx';

interface ExplainProps {
  readonly kind: string;
  readonly id: number;
  /** The mirror's: with another one, it is asked again. */
  readonly revision: number;
  readonly onClose: () => void;
}

export function Explain({ kind, id, revision, onClose }: ExplainProps) {
  const [details, setDetails] = useState<ObjectDetails | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  // Asked again with each revision.
  useEffect(() => {
    const ended = new AbortController();
    get<ObjectDetails>(`/objects/${kind}/${id}`, ended.signal).then(
      (answer) => {
        setDetails(answer);
        setError(undefined);
      },
      (problem: unknown) => !ended.signal.aborted && setError(problem),
    );
    return () => ended.abort();
  }, [kind, id, revision]);
  const shown = details?.kind === kind && details.id === id ? details : undefined;
  return (
    <aside
      class="explain"
      aria-label="Explanation"
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <header>
        <h2>{kind}</h2>
        <button type="button" class="plain" onClick={onClose}>
          Close
        </button>
      </header>
      {error !== undefined && <Fault error={error} />}
      {shown !== undefined && <Details details={shown} />}
    </aside>
  );
}

function Details({
  details: { text, offload, lines, counters, history, object, revision },
}: {
  details: ObjectDetails;
}) {
  return (
    <>
      <p class="subject">{text}</p>
      <p>
        <Offload offload={offload} />
      </p>
      <ul class="why">
        {lines.map((line) => (
          <li key={line} class={line.startsWith(' ') ? 'in' : ''}>
            {line.trim()}
          </li>
        ))}
      </ul>
      {counters.map(({ plugin, packets, bytes }) => (
        <p key={plugin} class="counted">
          {plugin} counted {count(packets)} packets, {count(bytes)} bytes
        </p>
      ))}
      <h3>History</h3>
      {history.length === 0 && (
        <p class="muted">Not changed within what the host remembers; revision {count(revision)}.</p>
      )}
      <ol class="history">
        {history.map((entry) => (
          <li key={entry.revision}>
            <time dateTime={entry.time}>{clock(entry.time)}</time>
            <span class={entry.operation}>{entry.operation === 'delete' ? 'deleted' : 'changed'}</span>
            {entry.text !== text && <code>{entry.text}</code>}
          </li>
        ))}
      </ol>
      <h3>Attributes</h3>
      <dl class="attributes">
        {Object.entries(object).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{valueText(value)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

/** A list, or one level of names and values, in words; what is deeper as JSON. */
function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value) && value.every((inner) => typeof inner !== 'object'))
    return value.length === 0 ? 'none' : value.join(', ');
  const entries = Object.entries(value);
  if (Array.isArray(value) || entries.some(([, inner]) => typeof inner === 'object'))
    return JSON.stringify(value);
  return entries.map(([name, inner]) => `${name} ${inner}`).join(', ');
}
