/** Is everything in hardware, is the mirror in sync, what did the last minutes look like, how full are the tables? */
import { useEffect } from 'preact/hooks';
import type { DeviceStatus, OffloadCounts, SeriesAnswer, Status } from '../../../host/api/schemas.ts';
import { alertsOf } from '../alerts.ts';
import { useCell } from '../cell.ts';
import { bytes, count, milliseconds, percent, short } from '../format.ts';
import { followSeries, series, status } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { Empty, Panel } from '../parts/panel.tsx';
import { OFFLOAD_STATES, Pill, toneOf } from '../parts/state.tsx';
import { href } from '../router.ts';

export function OverviewPage() {
  const now = useCell(status);
  const rows = useCell(series);
  useEffect(followSeries, []);
  if (now === undefined) return <Empty>Waiting for the host…</Empty>;
  return (
    <div class="overview">
      <Tiles status={now} series={rows} />
      <Alerts status={now} />
      <div class="grid">
        {rows !== undefined && <Charts series={rows} />}
        <OffloadPanel offload={now.offload} />
        <Tables devices={now.devices} />
        <Kinds status={now} />
        <Plugins status={now} />
      </div>
    </div>
  );
}

const last = (values: readonly (number | null)[] | undefined): number | undefined =>
  values?.findLast((value) => value !== null) ?? undefined;

function Tiles({ status, series }: { status: Status; series: SeriesAnswer | undefined }) {
  const sum = { offloaded: 0, all: 0 };
  for (const row of status.offload) {
    sum.offloaded += row.offloaded;
    sum.all += row.offloaded + row.trapped + row.refused + row.failed + row.pending;
  }
  const objects = status.kinds.reduce((total, kind) => total + kind.count, 0);
  const latency = last(series?.columns.latency_p99_ms);
  return (
    <dl class="tiles">
      <Tile
        name="Mirror"
        value={status.synced ? 'in sync' : 'synchronising'}
        tone={status.synced ? 'ok' : 'trapped'}
      />
      <Tile name="Objects" value={short(objects)} />
      <Tile
        name="Entries in hardware"
        value={sum.all === 0 ? 'none' : percent(sum.offloaded / sum.all)}
        more={`${short(sum.offloaded)} of ${short(sum.all)}`}
      />
      <Tile name="Changes per second" value={short(last(series?.columns.changes_per_s) ?? 0)} />
      <Tile name="Until in hardware, p99" value={latency === undefined ? '–' : milliseconds(latency)} />
      <Tile name="Memory" value={bytes(status.memory_bytes)} />
    </dl>
  );
}

function Tile({ name, value, more, tone }: { name: string; value: string; more?: string; tone?: string }) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd class={tone}>
        {value}
        {more !== undefined && <small> {more}</small>}
      </dd>
    </div>
  );
}

function Alerts({ status }: { status: Status }) {
  const alerts = alertsOf(status);
  if (alerts.length === 0) return null;
  return (
    <ul class="alerts" aria-label="Alerts">
      {alerts.map(({ tone, text, link }) => (
        <li key={text} class={`notice ${tone}`}>
          {text} {link !== undefined && <a href={link}>Show</a>}
        </li>
      ))}
    </ul>
  );
}

function Charts({ series: { times, columns } }: { series: SeriesAnswer }) {
  const rate = (value: number) => `${short(Math.round(value))}/s`;
  const kernel = last(columns.kernel_packets_per_s) ?? 0;
  const hardware = last(columns.hardware_packets_per_s) ?? 0;
  const all = kernel + hardware;
  return (
    <>
      <Panel title="Routed packets" aside={all > 0 ? `${percent(hardware / all)} by hardware` : 'no packets'}>
        <Chart
          label="Routed packets per second"
          times={times}
          format={rate}
          least={10}
          lines={[
            {
              label: 'hardware',
              colour: '--hardware',
              values: columns.hardware_packets_per_s,
              isFilled: true,
            },
            { label: 'kernel', colour: '--kernel', values: columns.kernel_packets_per_s, isFilled: true },
          ]}
        />
      </Panel>
      <Panel title="Changes of the kernel">
        <Chart
          label="Changes per second"
          times={times}
          format={rate}
          least={10}
          lines={[{ label: 'changes', colour: '--accent', values: columns.changes_per_s, isFilled: true }]}
        />
      </Panel>
      <Panel
        title="Until in hardware"
        aside={last(columns.latency_p99_ms) === undefined ? 'no change measured' : undefined}
      >
        <Chart
          label="Milliseconds from the mirror to the devices’ answer"
          times={times}
          format={milliseconds}
          lines={[
            { label: 'p99', colour: '--trapped', values: held(columns.latency_p99_ms) },
            { label: 'p50', colour: '--ok', values: held(columns.latency_p50_ms) },
          ]}
        />
      </Panel>
    </>
  );
}

/** Seconds without changes have no latency of their own: the line goes on where it was. */
function held(values: readonly (number | null)[]): (number | null)[] {
  let before: number | null = null;
  return values.map((value) => {
    before = value ?? before;
    return before;
  });
}

/** Kinds of entry whose objects have a page of their own. */
const KIND_OF_ENTRY: Readonly<Record<string, string>> = {
  route: 'route',
  port: 'link',
  nexthop: 'neighbour',
  'fdb-entry': 'fdb',
  'multicast-group': 'mdb',
  'acl-rule': 'filter',
  custom: 'offload',
};

function OffloadPanel({ offload }: { offload: readonly OffloadCounts[] }) {
  if (offload.length === 0)
    return (
      <Panel title="In hardware">
        <Empty>No plugin holds anything.</Empty>
      </Panel>
    );
  return (
    <Panel title="In hardware" aside={<Legend />}>
      <div class="scroll">
        <table class="bars">
          <thead>
            <tr>
              <th scope="col">Plugin</th>
              <th scope="col">Entry</th>
              <th scope="col" class="bar">
                Share
              </th>
              <th scope="col" class="number">
                Held
              </th>
              <th scope="col">Left to the kernel</th>
            </tr>
          </thead>
          <tbody>
            {offload.map((row) => (
              <OffloadRow key={`${row.plugin} ${row.kind}`} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Legend() {
  return (
    <span class="legend">
      {OFFLOAD_STATES.map((state) => (
        <span class="key" key={state}>
          <i class={toneOf(state)} /> {state}
        </span>
      ))}
    </span>
  );
}

function OffloadRow({ row }: { row: OffloadCounts }) {
  const all = OFFLOAD_STATES.reduce((sum, state) => sum + row[state], 0);
  const left = OFFLOAD_STATES.filter((state) => state !== 'offloaded' && row[state] > 0);
  const kind = KIND_OF_ENTRY[row.kind];
  return (
    <tr>
      <td>{row.plugin}</td>
      <td>{row.kind}</td>
      <td class="bar">
        <span class="stack" aria-hidden="true">
          {OFFLOAD_STATES.filter((state) => row[state] > 0).map((state) => (
            <i key={state} class={toneOf(state)} style={{ flexGrow: row[state] / all }} />
          ))}
        </span>
      </td>
      <td class="number">{count(row.offloaded)}</td>
      <td>
        {left.length === 0 && <span class="muted">none</span>}
        {left.map((state) => {
          const text = `${short(row[state])} ${state}`;
          return kind === undefined ? (
            <span key={state} class="left">
              {text}
            </span>
          ) : (
            <a key={state} class="left" href={href('objects', { kind, state })}>
              {text}
            </a>
          );
        })}
      </td>
    </tr>
  );
}

function Tables({ devices }: { devices: readonly DeviceStatus[] }) {
  return (
    <Panel title="Tables of the devices">
      {devices.length === 0 && <Empty>No device.</Empty>}
      {devices.map((device) => (
        <div key={device.name} class="device">
          <h3>
            {device.name} <small>{device.kind}</small>
          </h3>
          <ul class="meters">
            {device.tables.filter(isUsed).map(({ name, used, capacity }) => {
              const share = capacity === 0 ? 0 : used / capacity;
              const tone = share >= 1 ? 'failed' : share >= 0.9 ? 'trapped' : 'ok';
              return (
                <li key={name}>
                  <span>{name}</span>
                  <span class="meter" aria-hidden="true">
                    <i class={tone} style={{ width: `${Math.max(share * 100, used > 0 ? 1 : 0)}%` }} />
                  </span>
                  <span class="number">
                    {short(used)} <small>of {short(capacity)}</small>
                  </span>
                </li>
              );
            })}
          </ul>
          <Empties tables={device.tables.filter((table) => !isUsed(table))} />
          {(device.traps ?? []).length > 0 && (
            <p class="muted small">
              Handed to the kernel:{' '}
              {device.traps!.map(({ reason, packets }) => `${short(packets)} ${reason}`).join(', ')}
            </p>
          )}
        </div>
      ))}
    </Panel>
  );
}

const isUsed = ({ used }: { used: number }) => used > 0;

function Empties({ tables }: { tables: DeviceStatus['tables'] }) {
  if (tables.length === 0) return null;
  return (
    <p class="muted small">
      Empty: {tables.map(({ name, capacity }) => `${name} (of ${short(capacity)})`).join(', ')}.
    </p>
  );
}

function Kinds({ status: { kinds } }: { status: Status }) {
  const there = kinds.filter(({ count, state }) => count > 0 || state === 'syncing');
  const none = kinds.filter(({ count, state }) => count === 0 && state === 'synced');
  const missing = kinds.filter(({ state }) => state === 'unavailable');
  return (
    <Panel title="Mirrored objects">
      <ul class="kinds">
        {there.map(({ kind, count: objects, state }) => (
          <li key={kind}>
            <a href={href('objects', { kind })}>{kind}</a>
            <span class="number">{count(objects)}</span>
            {state !== 'synced' && <Pill tone={toneOf(state)}>{state}</Pill>}
          </li>
        ))}
      </ul>
      {none.length > 0 && <p class="muted small">None of: {none.map(({ kind }) => kind).join(', ')}.</p>}
      {missing.length > 0 && (
        <p class="muted small">Not available: {missing.map(({ kind }) => kind).join(', ')}.</p>
      )}
    </Panel>
  );
}

function Plugins({ status: { plugins } }: { status: Status }) {
  const wanted = plugins.filter(({ state, device }) => state !== 'found' || device !== undefined);
  return (
    <Panel title="Plugins">
      {wanted.length === 0 && <Empty>No plugin is configured.</Empty>}
      <ul class="rows">
        {wanted.map(({ name, state, device, version, ports, restarts }) => (
          <li key={name}>
            <a href={href('plugins', { name })}>{name}</a> <Pill tone={toneOf(state)}>{state}</Pill>
            <span class="muted small">
              {[
                version,
                device && `on ${device}`,
                `${ports.length} ports`,
                restarts > 0 && `${restarts} restarts`,
              ]
                .filter(Boolean)
                .join(' · ')}
            </span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
