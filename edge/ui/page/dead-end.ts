/** What the player's stage says when the address of the page names nothing that could be played. */
import { find, setPageState, setText } from './dom.ts';

export function showDeadEnd(title: string, headline: string, hint: string): void {
  setPageState('error');
  setText(find('room-name', HTMLElement), title);
  setText(find('chip', HTMLElement), 'Stopped');
  setText(find('status', HTMLElement), headline);
  setText(find('hint', HTMLElement), hint);
}
