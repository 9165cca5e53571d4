/** Objects of a kind, a million rows if need be: searched as one types it to `ip route`, each explained. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import { useCell } from '../cell.ts';
import { count } from '../format.ts';
import { status } from '../live.ts';
import { Explain } from '../parts/explain.tsx';
import { Empty, Fault } from '../parts/panel.tsx';
import { Rows } from '../parts/rows.tsx';
import { OFFLOAD_STATES } from '../parts/state.tsx';
import { address, replace } from '../router.ts';
import { Source } from '../source.ts';

/** Typing is over after this long without a key. */
const TYPING_MS = 250;
/** Lists up to this long are made anew by themselves when the mirror changes. */
const FOLLOWED_MAX = 2_000;

const EXAMPLES: Readonly<Record<string, string>> = {
  route: '10.0.0.0/8   match 10.1.2.3   via 192.0.2.1   table 100   dev eth0',
  neighbour: 'dev eth0   192.0.2.1',
  link: 'eth0   type bridge   master br0',
  address: 'dev eth0',
  fdb: 'dev eth0   vlan 10',
};

export function ObjectsPage() {
  const { query } = useCell(address);
  const now = useCell(status);
  const kind = query.get('kind') ?? 'route';
  const state = query.get('state') ?? '';
  const sort = query.get('sort') ?? '';
  const words = query.get('q') ?? '';
  const [typed, setTyped] = useState(words);
  const [chosen, setChosen] = useState<number | undefined>(undefined);
  const source = useMemo(() => new Source({ kind, words, state, sort }), [kind, words, state, sort]);
  const list = useCell(source.list);

  const go = (change: Record<string, string>) => {
    if (change.kind !== undefined || change.q !== undefined || change.state !== undefined)
      setChosen(undefined);
    replace('objects', { kind, q: words, state, sort, ...change });
  };
  useEffect(() => setTyped(words), [words]);
  useEffect(() => {
    const timer = setTimeout(() => typed !== words && go({ q: typed }), TYPING_MS);
    return () => clearTimeout(timer);
  });
  useEffect(() => {
    void source.load();
    return () => source.close();
  }, [source]);

  const revision = now?.revision ?? 0;
  const isOld = list.total !== undefined && list.revision !== revision;
  useEffect(() => {
    if (isOld && list.total! <= FOLLOWED_MAX) void source.load();
  }, [isOld, revision, source, list.total]);

  return (
    <div class={chosen === undefined ? 'objects' : 'objects with-panel'}>
      <div class="list">
        <form class="controls" onSubmit={(event) => event.preventDefault()}>
          <label>
            Kind
            <select
              value={kind}
              onChange={(event) => go({ kind: event.currentTarget.value, q: '', sort: '' })}
            >
              {(now?.kinds ?? [{ kind, count: 0 }]).map(({ kind, count: objects }) => (
                <option key={kind} value={kind}>
                  {kind} ({count(objects)})
                </option>
              ))}
            </select>
          </label>
          <label class="search">
            Search
            <input
              type="search"
              value={typed}
              placeholder={EXAMPLES[kind] ?? 'as with ip, bridge and tc'}
              spellcheck={false}
              autocomplete="off"
              maxLength={256}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
          <label>
            State
            <select value={state} onChange={(event) => go({ state: event.currentTarget.value })}>
              <option value="">any</option>
              {OFFLOAD_STATES.map((state) => (
                <option key={state} value={state}>
                  {state}
                </option>
              ))}
            </select>
          </label>
        </form>
        <div class="summary">
          <p role="status">
            {list.total === undefined ? 'Searching…' : `${count(list.total)} ${kind} objects`}
            {isOld && list.total! > FOLLOWED_MAX && <span class="muted"> · the mirror changed since</span>}
          </p>
          <button type="button" onClick={() => void source.load()}>
            Refresh
          </button>
        </div>
        {list.error !== undefined && <Fault error={list.error} />}
        {list.total === 0 && <Empty>Nothing fits.</Empty>}
        {list.total !== undefined && list.total > 0 && (
          <Rows
            source={source}
            total={list.total}
            sort={sort}
            onSort={(sort) => go({ sort })}
            chosen={chosen}
            onChoose={setChosen}
          />
        )}
      </div>
      {chosen !== undefined && (
        <Explain kind={kind} id={chosen} revision={revision} onClose={() => setChosen(undefined)} />
      )}
    </div>
  );
}
