/** A reader of SDP that shares nothing with the one under test. */
export interface Section {
  readonly kind: string;
  readonly port: number;
  readonly protocol: string;
  readonly formats: readonly string[];
  /** `name:value` or `name`, in order. */
  readonly attributes: readonly string[];
}

export interface Description {
  readonly text: string;
  readonly session: readonly string[];
  readonly sections: readonly Section[];
}

export function readSdp(text: string): Description {
  const [head = '', ...media] = text.replaceAll('\r\n', '\n').split(/^m=/m);
  const attributesOf = (lines: string[]): string[] =>
    lines.flatMap((line) => (line.startsWith('a=') ? line.slice(2) : []));
  return {
    text,
    session: attributesOf(head.split('\n')),
    sections: media.map((block) => {
      const [first = '', ...lines] = block.split('\n');
      const [kind = '', port = '', protocol = '', ...formats] = first.trim().split(' ');
      return { kind, port: Number(port), protocol, formats, attributes: attributesOf(lines) };
    }),
  };
}

/** Values of all attributes of that name. */
export function values(attributes: readonly string[], name: string): string[] {
  return attributes.flatMap((line) => (line.startsWith(`${name}:`) ? line.slice(name.length + 1).trim() : []));
}

export function value(attributes: readonly string[], name: string): string | null {
  return values(attributes, name)[0] ?? null;
}

export function direction(description: Description, section: Section): string {
  const names = ['sendrecv', 'sendonly', 'recvonly', 'inactive'];
  const find = (lines: readonly string[]): string | undefined => lines.find((line) => names.includes(line));
  return find(section.attributes) ?? find(description.session) ?? 'sendrecv';
}

/** Section or session value. */
export function inherited(description: Description, section: Section, name: string): string | null {
  return value(section.attributes, name) ?? value(description.session, name);
}

export function bundle(description: Description): string[] | null {
  const group = values(description.session, 'group').find((text) => text.startsWith('BUNDLE'));
  return group === undefined ? null : group.split(/\s+/).slice(1);
}

/** Port 0 with `bundle-only` lives in an offer (RFC 9143 §6). */
export function isOffered(section: Section): boolean {
  return section.port !== 0 || section.attributes.includes('bundle-only');
}
