/** Elements of a page by their `data-testid`, which doubles as the contract with tests. */

/** Throws when the page lacks the element or it is of another kind: a mistake in the html, not of the user. */
export function find<E extends Element>(testId: string, type: abstract new () => E): E {
  const element = document.querySelector(`[data-testid="${testId}"]`);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} "${testId}"`);
  return element;
}

/** Sets text only when it differs, so that live regions announce changes and nothing else. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function create<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

/** `<html data-state>`: styles and tests read the page's state there. */
export function setPageState(state: string): void {
  document.documentElement.dataset.state = state;
}

/** What tests may look into: `window.vestibule`. */
export function expose(handle: object): void {
  Object.assign(globalThis, { vestibule: handle });
}
