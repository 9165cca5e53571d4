/** Which plugin misbehaves: states, counters, errors, logs, and what can be done about them. */
import { useEffect, useState } from 'preact/hooks';
import type { LogLine, PluginDetails, PluginStatus } from '../../../host/api/schemas.ts';
import { useCell } from '../cell.ts';
import { get, post } from '../client.ts';
import { clock, count } from '../format.ts';
import { caller, every, refresh, status } from '../live.ts';
import { Empty, Fault, Panel } from '../parts/panel.tsx';
import { Pill, toneOf } from '../parts/state.tsx';
import { address, href } from '../router.ts';

const LOOK_MS = 2_000;

const ACTIONS = {
  restart: 'Ends it and starts it afresh; what hardware holds stays.',
  reload: 'Takes over its file as it is now; what hardware holds stays.',
  disable: 'Leaves its ports to the kernel and stops it.',
  enable: 'Starts it again.',
} as const;
type Action = keyof typeof ACTIONS;

export function PluginsPage() {
  const { query } = useCell(address);
  const now = useCell(status);
  if (now === undefined) return <Empty>Waiting for the host…</Empty>;
  const wanted = now.plugins.filter(({ device, state }) => device !== undefined || state !== 'found');
  const others = now.plugins.filter((plugin) => !wanted.includes(plugin));
  const chosen = wanted.find(({ name }) => name === query.get('name')) ?? wanted[0];
  return (
    <div class="plugins">
      {wanted.length > 1 && (
        <ul class="tabs" aria-label="Plugins">
          {wanted.map(({ name, state }) => (
            <li key={name}>
              <a href={href('plugins', { name })} aria-current={name === chosen?.name ? 'true' : undefined}>
                {name} <Pill tone={toneOf(state)}>{state}</Pill>
              </a>
            </li>
          ))}
        </ul>
      )}
      {chosen === undefined ? (
        <Empty>No plugin is configured.</Empty>
      ) : (
        <Plugin key={chosen.name} plugin={chosen} />
      )}
      {others.length > 0 && (
        <p class="muted small">
          In the folder and not in the configuration: {others.map(({ name }) => name).join(', ')}.
        </p>
      )}
    </div>
  );
}

function Plugin({ plugin }: { plugin: PluginStatus }) {
  const { name } = plugin;
  const [details, setDetails] = useState<PluginDetails | undefined>(undefined);
  const [logs, setLogs] = useState<LogLine[]>([]);
  useEffect(
    () =>
      every(LOOK_MS, async () => {
        setDetails(await get<PluginDetails>(`/plugins/${name}`));
        setLogs(await get<LogLine[]>(`/plugins/${name}/logs`));
      }),
    [name],
  );
  return (
    <div class="grid">
      <Panel title={name} aside={<Pill tone={toneOf(plugin.state)}>{plugin.state}</Pill>}>
        {plugin.reason !== undefined && (
          <p>
            {plugin.reason}
            {plugin.remedy !== undefined && <span class="muted"> {plugin.remedy}</span>}
          </p>
        )}
        <Actions plugin={plugin} />
        <dl class="attributes">
          <Fact name="Made by" value={[plugin.vendor, plugin.version].filter(Boolean).join(' ')} />
          <Fact name="Device" value={plugin.device} />
          <Fact name="Ports" value={plugin.ports.join(' ')} />
          <Fact name="Runs in" value={plugin.isolation && `a ${plugin.isolation} of its own`} />
          <Fact name="Signature" value={plugin.signature} />
          <Fact name="Licence" value={plugin.licence} />
          {plugin.sha256 !== undefined && (
            <div>
              <dt>SHA-256</dt>
              <dd class="sum">{plugin.sha256}</dd>
            </div>
          )}
        </dl>
        <h3>Can hold</h3>
        <dl class="attributes numbers">
          {plugin.abilities.map(({ kind, capacity }) => (
            <Fact key={kind} name={kind} value={count(capacity)} />
          ))}
        </dl>
      </Panel>
      <Panel title="Counters">
        <dl class="attributes numbers">
          <Fact name="restarts" value={count(plugin.restarts)} />
          {Object.entries(details?.counters ?? {}).map(([counter, value]) => (
            <Fact key={counter} name={words(counter)} value={count(value)} />
          ))}
        </dl>
      </Panel>
      <Panel title="Log" wide>
        {logs.length === 0 && <Empty>It has said nothing.</Empty>}
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys need to reach it */}
        <ol class="log" tabIndex={0} aria-label={`Log of ${name}`}>
          {logs.toReversed().map(({ time, level, message }, place) => (
            <li key={`${time} ${logs.length - place}`}>
              <time dateTime={time}>{clock(time)}</time>
              <span class={`level ${level}`}>{level}</span>
              <span>{message}</span>
            </li>
          ))}
        </ol>
      </Panel>
    </div>
  );
}

/** `ringFull` as `ring full`. */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

function Fact({ name, value }: { name: string; value: string | undefined }) {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Actions({ plugin: { name, state } }: { plugin: PluginStatus }) {
  const { role } = useCell(caller);
  const [busy, setBusy] = useState<Action | undefined>(undefined);
  const [done, setDone] = useState('');
  const [error, setError] = useState<unknown>(undefined);
  const isStopped = state === 'stopped';
  const actions: Action[] = isStopped ? ['enable'] : ['restart', 'reload', 'disable'];
  const run = async (action: Action) => {
    setBusy(action);
    setError(undefined);
    setDone('');
    try {
      await post(`/plugins/${name}/${action}`);
      setDone(`${action}: done`);
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(undefined);
      await refresh();
    }
  };
  return (
    <div class="actions">
      {actions.map((action) => (
        <button
          key={action}
          type="button"
          title={ACTIONS[action]}
          disabled={role !== 'operate' || busy !== undefined}
          onClick={() => void run(action)}
        >
          {busy === action ? `${action}…` : action}
        </button>
      ))}
      <span role="status" class="muted small">
        {role === 'operate' ? done : 'To operate, open the address that `ekho dashboard` prints.'}
      </span>
      {error !== undefined && <Fault error={error} />}
    </div>
  );
}
