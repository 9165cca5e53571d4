/** What requests say against schemas: text is read as the schema says, JSON is taken as it is, and what is wrong is named. */
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { compileValidator } from '../../../host/api/validate.ts';

const Shape = Type.Object(
  {
    text: Type.Optional(Type.String({ maxLength: 4 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    refuse: Type.Optional(Type.Boolean()),
    state: Type.Optional(Type.Enum(['pending', 'failed'])),
    words: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
  },
  { additionalProperties: false },
);

function validate(httpPart: 'body' | 'querystring', value: unknown) {
  const check = compileValidator({ schema: Shape, httpPart, method: 'GET', url: '/' });
  return (check as (value: unknown) => { value?: unknown; error?: { message: string; remedy?: string } })(
    value,
  );
}

describe('a query', () => {
  it('has numbers and booleans as text', () => {
    const { value } = validate('querystring', { limit: '5', refuse: 'true', text: '7', words: ['a'] });
    expect(value).toEqual({ limit: 5, refuse: true, text: '7', words: ['a'] });
  });

  it.each([
    [{ limit: '5x' }, '"limit" in the query must be integer'],
    [{ limit: '' }, '"limit" in the query must be integer'],
    [{ limit: '101' }, '"limit" in the query must be <= 100'],
    [{ limit: ['1', '2'] }, '"limit" in the query must be integer'],
    [{ refuse: '1' }, '"refuse" in the query must be boolean'],
    [{ limti: '5' }, 'the query has no "limti"; did you mean limit?'],
    [{ unheard: '5' }, 'the query has no "unheard"'],
  ])('%j is refused', (query, message) => {
    expect(validate('querystring', query).error).toMatchObject({ code: 'E_USAGE', message });
  });

  it('that has what there is not is told what there is', () => {
    const remedy = 'It may have: text, limit, refuse, state, words.';
    expect(validate('querystring', { limti: '5' }).error).toMatchObject({ remedy });
  });
});

describe('a body', () => {
  it.each([
    [{ text: 5 }, '"text" in the body must be string'],
    [{ refuse: null }, '"refuse" in the body must be boolean'],
    [{ refuse: 'true' }, '"refuse" in the body must be boolean'],
    [{ limit: '5' }, '"limit" in the body must be integer'],
    [{ state: 'gone' }, '"state" in the body must be equal to one of the allowed values'],
    [{ words: 5 }, '"words" in the body must be string or must be array'],
    [{ refsue: true }, 'the body has no "refsue"; did you mean refuse?'],
    [null, 'the body must be object'],
    [[], 'the body must be object'],
    [undefined, 'the body must be object'],
  ])('%j is refused', (body, message) => {
    expect(validate('body', body).error).toMatchObject({ code: 'E_USAGE', message });
  });

  it('that is right stays as it is', () => {
    const body = { text: 'x', limit: 3, refuse: false, state: 'failed', words: [] };
    expect(validate('body', body).value).toBe(body);
  });
});
