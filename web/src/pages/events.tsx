/** Changes as they happen, the newest first; filters choose among those that came. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { useCell } from '../cell.ts';
import { follow } from '../client.ts';
import { clock, count } from '../format.ts';
import { connection, status } from '../live.ts';
import { Empty } from '../parts/panel.tsx';

/** Events that are kept; older ones are dropped. */
const EVENTS_MAX = 1_000;
/** Events that are shown. */
const SHOWN_MAX = 200;
/** Drawn at most so often. */
const DRAW_MS = 150;
/** The host is asked for this many changes from before. */
const BEFORE = 100;

interface Change {
  readonly revision: number;
  readonly time: string;
  readonly operation: 'upsert' | 'delete';
  readonly kind: string;
  readonly text: string;
}
type Row = Change | { readonly note: string; readonly number: number };

export function EventsPage() {
  const [kind, setKind] = useState('');
  const [words, setWords] = useState('');
  const [isPaused, setPaused] = useState(false);
  const { rows, isOpen, seen } = useEvents(kind, isPaused);
  const now = useCell(status);
  const { isLive } = useCell(connection);
  const wanted = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = rows.filter(
    (row) =>
      'note' in row || wanted.every((word) => `${row.operation} ${row.text}`.toLowerCase().includes(word)),
  );
  return (
    <div class="events">
      <form class="controls" onSubmit={(event) => event.preventDefault()}>
        <label>
          Kind
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="">all</option>
            {now?.kinds.map(({ kind }) => (
              <option key={kind} value={kind}>
                {kind}
              </option>
            ))}
          </select>
        </label>
        <label class="search">
          Contains
          <input
            type="search"
            value={words}
            placeholder="words of the event: delete 10.0.0.0/8"
            spellcheck={false}
            autocomplete="off"
            onInput={(event) => setWords(event.currentTarget.value)}
          />
        </label>
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {isPaused ? 'Go on' : 'Pause'}
        </button>
      </form>
      <p class="summary" role="status">
        {isPaused ? 'Paused' : isOpen && isLive ? 'Live' : 'Connecting…'}
        <span class="muted">
          {' '}
          · {count(seen)} events{rows.length === EVENTS_MAX && `, the last ${count(EVENTS_MAX)} kept`}
        </span>
      </p>
      {fitting.length === 0 && <Empty>No change yet{wanted.length > 0 && ' that fits'}.</Empty>}
      <ol class="feed">
        {fitting.slice(0, SHOWN_MAX).map((row) =>
          'note' in row ? (
            <li key={`note ${row.number}`} class="note">
              {row.note}
            </li>
          ) : (
            <li key={row.revision}>
              <time dateTime={row.time}>{clock(row.time)}</time>
              <span class={`operation ${row.operation}`}>
                {row.operation === 'delete' ? 'deleted' : 'changed'}
              </span>
              <span class="kind">{row.kind}</span>
              <code>{row.text}</code>
            </li>
          ),
        )}
      </ol>
    </div>
  );
}

function useEvents(kind: string, isPaused: boolean): { rows: readonly Row[]; isOpen: boolean; seen: number } {
  const [isOpen, setOpen] = useState(false);
  const [, draw] = useState<unknown>(undefined);
  // Another kind begins anew.
  const kept = useMemo(() => ({ rows: [] as Row[], seen: 0 }), [kind]);
  useEffect(() => {
    if (isPaused) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const add = (row: Row) => {
      kept.rows.unshift(row);
      kept.rows.length = Math.min(kept.rows.length, EVENTS_MAX);
      timer ??= setTimeout(() => {
        timer = undefined;
        draw({});
      }, DRAW_MS);
    };
    const newest = kept.rows.find((row) => 'revision' in row);
    const since = newest?.revision ?? Math.max(0, (status.value?.revision ?? 0) - BEFORE);
    const query = new URLSearchParams({ since: String(since) });
    if (kind !== '') query.set('kind', kind);
    const end = follow(`?${query}`, {
      state: setOpen,
      event(name, data) {
        if (name === 'hello' && (data as { reset: boolean }).reset)
          add({ note: 'The host was started again; what changed meanwhile is not known.', number: ++notes });
        if (name === 'lost')
          add({
            note: `${count((data as { lost: number }).lost)} changes are not kept any more.`,
            number: ++notes,
          });
        if (name !== 'message') return;
        kept.seen++;
        add(data as Change);
      },
    });
    return () => {
      end();
      setOpen(false);
      clearTimeout(timer);
    };
  }, [kind, isPaused, kept]);
  return { rows: kept.rows, isOpen, seen: kept.seen };
}

let notes = 0;
