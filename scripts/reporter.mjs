/** Vitest reporter of `npm test`: a line per file, failures in full at the end; what became of each file, and failures, into a JSON file. */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

export default class Reporter {
  /** Of tests, and of files and suites that failed outside of one. */
  #failures = [];
  #files = {};

  onTestCaseResult(test) {
    const { state, errors } = test.result();
    if (state === 'failed') this.#failures.push({ file: fileOf(test.module), name: test.fullName, errors });
  }

  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    const seconds = (module.diagnostic().duration / 1000).toFixed(1);
    const parts = [`${count('passed')} passed`];
    if (count('failed') > 0) parts.push(`${count('failed')} failed`);
    if (count('skipped') > 0) parts.push(`${count('skipped')} skipped`);
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    const file = fileOf(module);
    this.#files[file] = {
      passed: count('passed'),
      failed: count('failed'),
      skipped: skipped.map((test) => ({
        name: test.fullName,
        reason: test.result().note ?? 'no reason given',
      })),
    };
    // Errors outside a test: the file did not load, or a hook failed.
    for (const errors of [
      module.errors(),
      ...[...module.children.allSuites()].map((suite) => suite.errors()),
    ]) {
      if (errors.length > 0) this.#failures.push({ file, name: file, errors });
    }
    console.log(`${file}: ${parts.join(', ')} (${seconds} s)`);
  }

  onTestRunEnd(_modules, unhandled) {
    if (unhandled.length > 0) this.#failures.push({ name: 'outside of any test', errors: unhandled });
    for (const { name, errors } of this.#failures) console.log(`\nFAILED ${name}\n${textOf(errors)}`);
    const written = process.env.EKHO_TEST_RESULTS;
    if (!written) return;
    const failures = this.#failures.map(({ file, name, errors }) => ({ file, name, text: textOf(errors) }));
    writeFileSync(written, JSON.stringify({ files: this.#files, failures }));
  }
}

const fileOf = (module) => relative(process.cwd(), module.moduleId);

function textOf(errors = []) {
  return errors
    .flatMap((error) => [error.stack ?? error.message ?? String(error), ...(error.diff ? [error.diff] : [])])
    .join('\n');
}
