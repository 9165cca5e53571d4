/**
 * The language in which netlink attributes are declared: once per family, as a table of name, number, type and doc.
 * Decoder, encoder, iproute2 output and docs/netlink.md all read these tables; hot readers take the numbers from them.
 */

/** Fixed-size values, also the fields of structs. `uint` is 4 or 8 bytes, whichever is there. */
export type Scalar =
  | 'u8'
  | 'u16'
  | 'u32'
  | 'u64'
  | 's8'
  | 's16'
  | 's32'
  | 's64'
  | 'be16'
  | 'be32'
  | 'be64'
  | 'ip4'
  | 'ip6'
  | 'mac6';

/**
 * - `flag`: no payload, `true` when present.
 * - `string`: up to the first NUL. `binary`: lower-case hex.
 * - `mac`: link-layer address of any length as `00:11:22:33:44:55`; `mac6` only of 6 bytes.
 * - `ip`: 4 bytes IPv4, 16 bytes IPv6, in messages of family AF_MPLS a label stack (`100/200`).
 * - `labels`: an MPLS label stack, `100/200`.
 * - `bitfield32`: struct nla_bitfield32.
 */
export type Simple = Scalar | 'uint' | 'flag' | 'string' | 'binary' | 'mac' | 'ip' | 'labels' | 'bitfield32';

export interface Field {
  readonly name: string;
  readonly offset: number;
  readonly type: Scalar | StructType | { readonly bytes: number };
}

/** A C struct with natural alignment. Decoding takes what is there: kernels grow structs at the end. */
export interface StructType<Name extends string = string> {
  readonly kind: 'struct';
  /** As in the kernel header, without `struct`. */
  readonly name: string;
  readonly fields: readonly Field[];
  /** Byte offset of each field. */
  readonly offset: Readonly<Record<Name, number>>;
  /** Bytes, padded to its alignment. */
  readonly size: number;
  readonly alignment: number;
}

/** Attributes inside an attribute. A function, so that tables can refer to each other. */
export interface NestType {
  readonly kind: 'nest';
  readonly attributes: () => AttributeSet;
}

/** Attributes whose types count (1, 2, 3 …) or do not matter, all of one type: decoded to an array. */
export interface IndexedType {
  readonly kind: 'indexed';
  readonly of: Type;
}

/** An attribute that is repeated: its values are collected in an array. */
export interface ManyType {
  readonly kind: 'many';
  readonly of: Type;
}

/** A plain array in one attribute. */
export interface ArrayType {
  readonly kind: 'array';
  readonly of: Scalar | StructType;
}

/** The type depends on the value of a sibling attribute (`by`), e.g. IFLA_INFO_DATA on IFLA_INFO_KIND. Otherwise `binary`. */
export interface SelectType {
  readonly kind: 'select';
  readonly by: string;
  readonly of: Readonly<Record<string, Type>>;
}

/** The type depends on the address family in the message's header. */
export interface FamilyType {
  readonly kind: 'family';
  readonly of: Readonly<Record<number, Type>>;
  readonly otherwise: Type;
}

/** A struct followed by attributes in one payload, e.g. TCA_OPTIONS of netem. */
export interface HeadedType {
  readonly kind: 'headed';
  readonly header: StructType;
  readonly attributes: () => AttributeSet;
}

/** RTA_MULTIPATH: struct rtnexthop, each with its own attributes, one after the other. */
export interface MultipathType {
  readonly kind: 'multipath';
  readonly header: StructType;
  readonly attributes: () => AttributeSet;
}

/** A struct that ends in `count` elements of another, e.g. struct tc_u32_sel. */
export interface CountedType {
  readonly kind: 'counted';
  readonly header: StructType;
  /** Name of the array in the decoded value. */
  readonly items: string;
  readonly of: StructType | Scalar;
}

/** struct rtvia: an address family, then an address of that family. */
export interface ViaType {
  readonly kind: 'via';
}

export type Type =
  | Simple
  | StructType
  | NestType
  | IndexedType
  | ManyType
  | ArrayType
  | SelectType
  | FamilyType
  | HeadedType
  | MultipathType
  | CountedType
  | ViaType;

export interface Attribute {
  readonly name: string;
  readonly number: number;
  readonly type: Type;
  readonly doc: string;
}

export interface AttributeSet<Name extends string = string> {
  readonly title: string;
  /** The enum this follows and its kernel header. */
  readonly source: string;
  readonly number: Readonly<Record<Name, number>>;
  /** Indexed by attribute number, with holes. */
  readonly byNumber: readonly (Attribute | undefined)[];
  readonly byName: ReadonlyMap<string, Attribute>;
}

/** What the messages of one kind of object look like: a fixed header, then attributes. */
export interface Family {
  readonly name: string;
  readonly header: StructType;
  readonly attributes: AttributeSet;
}

const SCALAR_SIZE: Readonly<Record<Scalar, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  s8: 1,
  s16: 2,
  s32: 4,
  s64: 8,
  be16: 2,
  be32: 4,
  be64: 8,
  ip4: 4,
  ip6: 16,
  mac6: 6,
};

export function scalarSize(scalar: Scalar): number {
  return SCALAR_SIZE[scalar];
}

export function fieldSize(type: Field['type']): number {
  if (typeof type === 'string') return SCALAR_SIZE[type];
  return 'bytes' in type ? type.bytes : type.size;
}

function fieldAlignment(type: Field['type']): number {
  if (typeof type !== 'string') return 'bytes' in type ? 1 : type.alignment;
  if (type === 'mac6') return 1;
  return type === 'ip4' || type === 'ip6' ? 4 : SCALAR_SIZE[type];
}

/** Lays out `fields` as a C compiler does on 64-bit machines; `{ bytes: n }` are n bytes, hex when decoded. */
export function struct<const Fields extends Readonly<Record<string, Field['type']>>>(
  name: string,
  fields: Fields,
): StructType<keyof Fields & string> {
  const laidOut: Field[] = [];
  const offset = {} as Record<keyof Fields & string, number>;
  let end = 0;
  let alignment = 1;
  for (const [field, type] of Object.entries(fields)) {
    const align = fieldAlignment(type);
    end = Math.ceil(end / align) * align;
    alignment = Math.max(alignment, align);
    offset[field as keyof Fields & string] = end;
    laidOut.push({ name: field, offset: end, type });
    end += fieldSize(type);
  }
  const size = Math.ceil(end / alignment) * alignment;
  return { kind: 'struct', name, fields: laidOut, offset, size, alignment };
}

/** A row of a table: attribute number, type, one line of doc. */
export type Row = readonly [number: number, type: Type, doc: string];

export function attributes<const Rows extends Readonly<Record<string, Row>>>(
  title: string,
  source: string,
  rows: Rows,
): AttributeSet<keyof Rows & string> {
  const number = {} as Record<keyof Rows & string, number>;
  const byNumber: (Attribute | undefined)[] = [];
  const byName = new Map<string, Attribute>();
  for (const [name, [position, type, doc]] of Object.entries(rows)) {
    const attribute: Attribute = { name, number: position, type, doc };
    if (byNumber[position] !== undefined) throw new RangeError(`${title}: ${position} is declared twice`);
    number[name as keyof Rows & string] = position;
    byNumber[position] = attribute;
    byName.set(name, attribute);
  }
  return { title, source, number, byNumber, byName };
}

export const nest = (set: () => AttributeSet): NestType => ({ kind: 'nest', attributes: set });
export const indexed = (of: Type): IndexedType => ({ kind: 'indexed', of });
export const many = (of: Type): ManyType => ({ kind: 'many', of });
export const array = (of: Scalar | StructType): ArrayType => ({ kind: 'array', of });
export const select = (by: string, of: Readonly<Record<string, Type>>): SelectType => ({
  kind: 'select',
  by,
  of,
});
export const byFamily = (of: Readonly<Record<number, Type>>, otherwise: Type): FamilyType => ({
  kind: 'family',
  of,
  otherwise,
});
export const headed = (header: StructType, set: () => AttributeSet): HeadedType => ({
  kind: 'headed',
  header,
  attributes: set,
});
export const counted = (header: StructType, items: string, of: StructType | Scalar): CountedType => ({
  kind: 'counted',
  header,
  items,
  of,
});
