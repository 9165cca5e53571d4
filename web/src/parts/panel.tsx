/** A part of a page with a title, and what stands in its place while there is nothing to show. */
import type { ComponentChildren } from 'preact';
import { Problem } from '../client.ts';

interface PanelProps {
  readonly title: string;
  readonly aside?: ComponentChildren;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
}

export function Panel({ title, aside, wide, children }: PanelProps) {
  return (
    <section class={wide ? 'panel wide' : 'panel'} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside !== undefined && <div class="aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export function Fault({ error }: { error: unknown }) {
  const { message, remedy } = error as Problem;
  return (
    <p class="fault" role="alert">
      {error instanceof Problem ? message : 'The host does not answer.'}
      {remedy !== undefined && <span class="muted"> {remedy}</span>}
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
