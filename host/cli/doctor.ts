/** `ekho doctor`: asks the running host, or looks for itself where none runs. */
import type { Diagnosis, Finding } from '../api/schemas.ts';
import { defaultConfig, readConfig } from '../config/config.ts';
import { socketPath } from '../config/socket.ts';
import { EkhoError } from '../errors.ts';
import type { JsonOption } from './ask.ts';
import { Client } from './client.ts';
import { paint, plain, print, table } from './output.ts';

export interface DoctorOptions extends JsonOption {
  readonly socket?: string;
  /** Judges by this file, in this process. */
  readonly config?: string;
}

const WORDS: Readonly<Record<Finding['status'], string>> = {
  available: 'available',
  unsupported: 'not supported',
  inconclusive: 'inconclusive',
};

export async function doctor(options: DoctorOptions): Promise<void> {
  const { diagnosis, who } = await examine(options);
  if (!diagnosis.content) process.exitCode = 1;
  if (options.json) {
    await print(`${JSON.stringify(diagnosis, null, 2)}\n`);
    return;
  }
  const { findings } = diagnosis;
  await print(`${plain(who)}\n\n`);
  await print(
    table(
      ['AREA', 'FEATURE', 'ANSWER', 'DETAIL'],
      findings.map((finding) => [
        finding.area,
        plain(finding.feature),
        paintAnswer(finding),
        plain(finding.detail ?? ''),
      ]),
    ),
  );
  const remedies = remediesOf(findings);
  if (remedies.length > 0) await print(`\n${remedies.map((line) => `${plain(line)}\n`).join('')}`);
}

async function examine({ socket, config }: DoctorOptions): Promise<{ diagnosis: Diagnosis; who: string }> {
  const path = socketPath(socket);
  let why = config === undefined ? '' : `judged by ${config}`;
  if (config === undefined) {
    try {
      const diagnosis = await new Client(path).get<Diagnosis>('/api/v1/doctor');
      return { diagnosis, who: `found out by the host, process ${diagnosis.pid}` };
    } catch (error) {
      const code = error instanceof EkhoError ? error.code : undefined;
      if (code !== 'E_NO_HOST' && code !== 'E_SOCKET_ACCESS') throw error;
      why = (error as EkhoError).message;
    }
  }
  const { diagnose } = await import('../doctor/diagnose.ts');
  const diagnosis = await diagnose(config === undefined ? defaultConfig() : readConfig(config), undefined);
  return { diagnosis, who: `found out by this command: ${why}` };
}

function paintAnswer({ status, required }: Finding): string {
  const word = WORDS[status];
  if (status === 'available') return paint('green', word);
  return paint(required ? 'red' : 'yellow', word);
}

/** One line for each remedy, with the features it is for. */
function remediesOf(findings: readonly Finding[]): string[] {
  const features = new Map<string, string[]>();
  for (const { feature, status, remedy } of findings) {
    if (status === 'available' || remedy === undefined || remedy.startsWith('None needed')) continue;
    const named = features.get(remedy) ?? [];
    named.push(feature);
    features.set(remedy, named);
  }
  return [...features].map(([remedy, named]) => `remedy for ${named.join(', ')}: ${remedy}`);
}
