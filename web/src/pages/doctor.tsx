/** What this machine has of what a host can use; and whether mirror and hardware are what they should be. */
import { useEffect, useState } from 'preact/hooks';
import type { Diagnosis, VerifyAnswer } from '../../../host/api/schemas.ts';
import { useCell } from '../cell.ts';
import { get, post } from '../client.ts';
import { count } from '../format.ts';
import { caller } from '../live.ts';
import { Empty, Fault, Panel } from '../parts/panel.tsx';
import { Pill, toneOf } from '../parts/state.tsx';

export function DoctorPage() {
  const [diagnosis, setDiagnosis] = useState<Diagnosis | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  useEffect(() => {
    const ended = new AbortController();
    get<Diagnosis>('/doctor', ended.signal).then(setDiagnosis, (problem: unknown) => {
      if (!ended.signal.aborted) setError(problem);
    });
    return () => ended.abort();
  }, []);
  return (
    <div class="doctor">
      <Verify />
      {error !== undefined && <Fault error={error} />}
      {diagnosis === undefined && error === undefined && <Empty>Looking at this machine…</Empty>}
      {diagnosis !== undefined && <Findings diagnosis={diagnosis} />}
    </div>
  );
}

function Verify() {
  const { role } = useCell(caller);
  const [isBusy, setBusy] = useState(false);
  const [answer, setAnswer] = useState<VerifyAnswer | undefined>(undefined);
  const [error, setError] = useState<unknown>(undefined);
  const run = async () => {
    setBusy(true);
    setError(undefined);
    try {
      setAnswer(await post<VerifyAnswer>('/verify'));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Panel title="Verify">
      <p>
        Compares the mirror with a fresh dump of the kernel, and the plan with what each device says it holds.
      </p>
      <div class="actions">
        <button type="button" disabled={role !== 'operate' || isBusy} onClick={() => void run()}>
          {isBusy ? 'verifying…' : 'verify'}
        </button>
        <span role="status">
          {answer !== undefined && (
            <>
              <Pill tone={answer.equal ? 'ok' : 'failed'}>{answer.equal ? 'equal' : 'different'}</Pill>{' '}
              {count(answer.objects)} objects with the kernel, {count(answer.entries)} entries with hardware
            </>
          )}
          {answer === undefined && role !== 'operate' && (
            <span class="muted small">To operate, open the address that `ekho dashboard` prints.</span>
          )}
        </span>
      </div>
      {error !== undefined && <Fault error={error} />}
      {answer !== undefined && answer.differences.length > 0 && (
        <ul class="why">
          {answer.differences.map(({ side, text }) => (
            <li key={`${side} ${text}`}>
              {side}: {text}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Findings({ diagnosis: { findings, content } }: { diagnosis: Diagnosis }) {
  const areas = [...new Set(findings.map(({ area }) => area))];
  const remedies = remediesOf(findings);
  return (
    <>
      <p class={`notice ${content ? 'ok' : 'failed'}`}>
        {content
          ? 'All is there that the configuration asks for.'
          : 'Something that the configuration asks for is missing.'}
      </p>
      {remedies.size > 0 && (
        <Panel title="What can be done">
          <dl class="attributes">
            {[...remedies].map(([remedy, features]) => (
              <div key={remedy}>
                <dt>{features.join(', ')}</dt>
                <dd>{remedy}</dd>
              </div>
            ))}
          </dl>
        </Panel>
      )}
      <div class="grid">
        {areas.map((area) => (
          <Panel key={area} title={area}>
            <dl class="findings">
              {findings
                .filter((finding) => finding.area === area)
                .map(({ feature, status, detail, required }) => (
                  <div key={feature}>
                    <dt>
                      {feature}
                      {required && <span class="muted"> (required)</span>}
                    </dt>
                    <dd>
                      <Pill tone={required && status === 'unsupported' ? 'failed' : toneOf(status)}>
                        {status}
                      </Pill>
                      {detail !== undefined && <span class="muted"> {detail}</span>}
                    </dd>
                  </div>
                ))}
            </dl>
          </Panel>
        ))}
      </div>
    </>
  );
}

/** What helps, with the features that it helps; those that need no help left out. */
function remediesOf(findings: Diagnosis['findings']): Map<string, string[]> {
  const remedies = new Map<string, string[]>();
  for (const { feature, remedy, status } of findings) {
    if (remedy === undefined || status === 'available' || remedy.startsWith('None needed')) continue;
    remedies.set(remedy, [...(remedies.get(remedy) ?? []), feature]);
  }
  return remedies;
}
