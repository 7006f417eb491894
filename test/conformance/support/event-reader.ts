/** Reads a `text/event-stream` to its end. */
export class EventReader {
  readonly response: Response;
  readonly lines: string[] = [];
  readonly messages: { event: string; data: unknown }[] = [];
  /** The server has ended it. */
  ended = false;
  readonly #abort: AbortController;

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    void this.#read().catch(() => undefined);
  }

  /** As `EventSource` does: a plain GET. */
  static async open(url: URL): Promise<EventReader> {
    const abort = new AbortController();
    const response = await fetch(url, { signal: abort.signal, headers: { Accept: 'text/event-stream' } });
    return new EventReader(response, abort);
  }

  /** What was told under this name, in order. */
  of(event: string): unknown[] {
    return this.messages.filter((message) => message.event === event).map(({ data }) => data);
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    let rest = '';
    let event = '';
    const decoder = new TextDecoder();
    for await (const chunk of this.response.body ?? []) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        this.lines.push(line);
        if (line.startsWith('event: ')) event = line.slice('event: '.length);
        if (line.startsWith('data: ')) this.messages.push({ event, data: JSON.parse(line.slice('data: '.length)) });
      }
    }
    this.ended = true;
  }
}
