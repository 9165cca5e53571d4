/**
 * What a request says, against its route's schema. Values of a path and a query are text, and become the numbers and booleans that the
 * schema asks for; a body is JSON and is taken as it is. What no schema knows is refused by name: a slip of the hand must not be no filter at all.
 */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { EkhoError } from '../errors.ts';
import { nearest } from '../suggest.ts';

interface Fault {
  readonly keyword: string;
  /** `/field/member` */
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

interface Shape {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
}

const PLACES: Readonly<Record<string, string>> = {
  body: 'the body',
  querystring: 'the query',
  params: 'the path',
};

/** For Fastify. What the function that it makes refuses is E_USAGE. */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = 'body' }) => {
  const check = Compile(schema);
  const place = PLACES[httpPart] ?? httpPart;
  const isText = httpPart !== 'body';
  return (given) => {
    const value = isText ? read(schema as Shape, given) : given;
    if (check.Check(value)) return { value };
    return { error: refusal(schema as Shape, place, check.Errors(value) as readonly Fault[]) };
  };
};

/** Texts that are written as the type is; others stay, and are refused. */
function read({ properties = {} }: Shape, given: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, typed(properties[name]?.type, value)]),
  );
}

function typed(type: string | undefined, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (type === 'integer' || type === 'number')
    return /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(value) ? Number(value) : value;
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}

function refusal(schema: Shape, place: string, faults: readonly Fault[]): EkhoError {
  // Of a choice between shapes the choice itself comes last; of what is not known it is `additionalProperties` that has its name.
  const fault = faults.find(({ keyword }) => keyword === 'additionalProperties') ?? faults[0];
  if (fault === undefined) return new EkhoError('E_USAGE', `${place} is not as it must be`);
  const { keyword, instancePath, params, message } = fault;
  const { additionalProperties, requiredProperties, allowedValues } = params as {
    additionalProperties?: readonly string[];
    requiredProperties?: readonly string[];
    allowedValues?: readonly unknown[];
  };
  const path = instancePath.slice(1).replaceAll('/', '.');
  const inside = path === '' ? place : `"${path}" in ${place}`;
  if (keyword === 'additionalProperties' && additionalProperties !== undefined)
    return unknown(inside, additionalProperties[0]!, path === '' ? Object.keys(schema.properties ?? {}) : []);
  if (keyword === 'required' && requiredProperties !== undefined)
    return new EkhoError('E_USAGE', `${inside} lacks "${requiredProperties.join('", "')}"`);
  const also = faults.filter(
    ({ keyword: one, instancePath: where }) => where === instancePath && one === 'type',
  );
  const text = also.length > 1 ? also.map((one) => one.message).join(' or ') : message;
  const remedy = allowedValues === undefined ? undefined : `One of: ${allowedValues.join(', ')}.`;
  return new EkhoError('E_USAGE', `${inside} ${text}`, remedy === undefined ? {} : { remedy });
}

function unknown(place: string, name: string, known: readonly string[]): EkhoError {
  const near = nearest(name, known);
  return new EkhoError('E_USAGE', `${place} has no "${name}"${near ? `; did you mean ${near}?` : ''}`, {
    remedy: known.length === 0 ? 'Leave it out.' : `It may have: ${known.join(', ')}.`,
  });
}
