/**
 * Vitest reporter of `npm test`: a line per file, failures in full at the end; counts, skips and what became of each file into
 * a JSON file.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';

export default class Reporter {
  #passed = 0;
  #failures = [];
  #skipped = [];
  #files = {};

  onTestCaseResult(test) {
    const { state, note, errors } = test.result();
    if (state === 'passed') this.#passed++;
    else if (state === 'skipped')
      this.#skipped.push({ name: test.fullName, reason: note ?? 'no reason given' });
    else this.#failures.push({ name: test.fullName, errors });
  }

  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    const seconds = (module.diagnostic().duration / 1000).toFixed(1);
    const parts = [`${count('passed')} passed`];
    if (count('failed') > 0) parts.push(`${count('failed')} failed`);
    if (count('skipped') > 0) parts.push(`${count('skipped')} skipped`);
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    this.#files[relative(process.cwd(), module.moduleId)] = {
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
      if (errors.length > 0) this.#failures.push({ name: relative(process.cwd(), module.moduleId), errors });
    }
    console.log(`${relative(process.cwd(), module.moduleId)}: ${parts.join(', ')} (${seconds} s)`);
  }

  onTestRunEnd(_modules, unhandled) {
    if (unhandled.length > 0) this.#failures.push({ name: 'outside of any test', errors: unhandled });
    for (const { name, errors = [] } of this.#failures) {
      console.log(`\nFAILED ${name}`);
      for (const error of errors) {
        console.log(error.stack ?? error.message ?? String(error));
        if (error.diff) console.log(error.diff);
      }
    }
    const file = process.env.EKHO_TEST_RESULTS;
    if (file) {
      const result = {
        passed: this.#passed,
        failed: this.#failures.length,
        skipped: this.#skipped,
        files: this.#files,
      };
      writeFileSync(file, JSON.stringify(result));
    }
  }
}
