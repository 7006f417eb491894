/** A visitor that writes down what it is told, one line per call: for tests, and for looking at captured datagrams. */
import type { RtcpVisitor } from './parse.ts';

export class VisitorLog implements RtcpVisitor {
  /** `name(arguments)` in the order of the calls. */
  readonly lines: string[] = [];

  senderReport(...values: number[]): void {
    this.#add('senderReport', values);
  }

  reportBlock(...values: number[]): void {
    this.#add('reportBlock', values);
  }

  nack(...values: number[]): void {
    this.#add('nack', values);
  }

  pli(...values: number[]): void {
    this.#add('pli', values);
  }

  fir(...values: number[]): void {
    this.#add('fir', values);
  }

  remb(...values: number[]): void {
    this.#add('remb', values);
  }

  bye(...values: number[]): void {
    this.#add('bye', values);
  }

  #add(name: string, values: number[]): void {
    this.lines.push(`${name}(${values.join(', ')})`);
  }
}
