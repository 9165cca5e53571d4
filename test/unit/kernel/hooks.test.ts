/** The look at what nobody announces goes on, whatever happened to one. */
import { afterEach, expect, test, vi } from 'vitest';
import { HookWatch } from '../../../host/kernel/hooks.ts';

let watch: HookWatch | undefined;

afterEach(() => watch?.close());

function watchOf(links: () => Iterable<number>): HookWatch {
  watch = new HookWatch({ netns: undefined, links, onChange: () => {}, onTrouble: () => {} });
  return watch;
}

test('who asks during a look that fails gets a look of their own, and so does who asks later', async () => {
  let looks = 0;
  const hooks = watchOf(() => {
    looks++;
    if (looks === 1) throw new TypeError('a fault in this program');
    return [];
  });
  const failing = hooks.look();
  const next = hooks.look();
  await expect(failing).rejects.toThrow('a fault');
  await next;
  await Promise.all([hooks.look(), hooks.look()]);
  expect(looks).toBe(4);
});

test('a look that fails is followed by others, by itself', async () => {
  let looks = 0;
  const hooks = watchOf(() => {
    looks++;
    if (looks === 1) throw new TypeError('a fault in this program');
    return [];
  });
  await hooks.look().catch(() => {});
  await vi.waitFor(() => expect(looks).toBeGreaterThan(1), { timeout: 60_000 });
});

test('links that change during a look are looked at once it is over, and it alone', async () => {
  let looks = 0;
  const hooks = watchOf(() => {
    looks++;
    hooks.lookSoon();
    return [];
  });
  await hooks.look();
  hooks.lookSoon();
  expect(looks).toBe(1);
  await vi.waitFor(() => expect(looks).toBeGreaterThan(1), { timeout: 60_000 });
});

test('nothing is asked after the end', async () => {
  let looks = 0;
  const hooks = watchOf(() => {
    looks++;
    hooks.close();
    return [1];
  });
  await hooks.look();
  hooks.lookSoon();
  await hooks.look();
  expect(looks).toBe(1);
});
