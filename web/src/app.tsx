/** The frame of all pages: where one is, how the host is, what to be told first. */
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import { useCell } from './cell.ts';
import { token } from './client.ts';
import { clock, count, duration } from './format.ts';
import { caller, connection, run, status } from './live.ts';
import { ApiPage } from './pages/api.tsx';
import { DoctorPage } from './pages/doctor.tsx';
import { EventsPage } from './pages/events.tsx';
import { ObjectsPage } from './pages/objects.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PluginsPage } from './pages/plugins.tsx';
import { TopologyPage } from './pages/topology.tsx';
import { address, href } from './router.ts';
import { shown, turn } from './theme.ts';

const PAGES: Readonly<Record<string, { readonly title: string; readonly Page: ComponentType }>> = {
  overview: { title: 'Overview', Page: OverviewPage },
  objects: { title: 'Objects', Page: ObjectsPage },
  plugins: { title: 'Plugins', Page: PluginsPage },
  events: { title: 'Events', Page: EventsPage },
  topology: { title: 'Topology', Page: TopologyPage },
  doctor: { title: 'Doctor', Page: DoctorPage },
  api: { title: 'API', Page: ApiPage },
};

export function App() {
  const { page } = useCell(address);
  const number = useCell(run);
  const { title, Page } = PAGES[page] ?? PAGES.overview!;
  useEffect(() => {
    document.title = `${title} – EKHO`;
  }, [title]);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('content')!.focus()}>
        Skip to content
      </button>
      <nav aria-label="Pages">
        <a class="brand" href={href('overview')}>
          <img src="/favicon.svg" alt="" width="22" height="22" />
          EKHO
        </a>
        <ul>
          {Object.entries(PAGES).map(([name, { title }]) => (
            <li key={name}>
              <a href={href(name)} aria-current={name === page ? 'page' : undefined}>
                {title}
              </a>
            </li>
          ))}
        </ul>
        <div class="foot">
          <Role />
          <ThemeButton />
        </div>
      </nav>
      <main id="content" tabIndex={-1}>
        <StatusLine title={title} />
        <Stale />
        <Page key={number} />
      </main>
    </>
  );
}

function StatusLine({ title }: { title: string }) {
  const now = useCell(status);
  return (
    <header class="top">
      <h1>{title}</h1>
      {now !== undefined && (
        <p class="muted">
          {now.netns === undefined ? 'this machine' : `namespace ${now.netns}`} · revision{' '}
          {count(now.revision)} · up {duration(now.uptime_s)} · {now.version}
        </p>
      )}
    </header>
  );
}

function Stale() {
  const { isLive, answered } = useCell(connection);
  return (
    <div role="status" class="notices">
      {!isLive && (
        <p class="notice failed">
          {answered === 0
            ? 'The host does not answer. Trying again.'
            : `The host has not answered since ${clock(answered)}: what is shown is stale. Trying again.`}
        </p>
      )}
    </div>
  );
}

function Role() {
  const { role } = useCell(caller);
  useCell(token);
  return (
    <p class="role" title={role === 'read' ? '`ekho dashboard` prints an address that may operate' : ''}>
      {role === 'operate' ? 'may operate' : 'read only'}
    </p>
  );
}

function ThemeButton() {
  const theme = useCell(shown);
  return (
    <button
      type="button"
      class="plain"
      aria-label={theme === 'dark' ? 'Light theme' : 'Dark theme'}
      onClick={turn}
    >
      {theme === 'dark' ? 'Light' : 'Dark'}
    </button>
  );
}
