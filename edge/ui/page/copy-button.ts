/** Buttons that copy the text of another element: `<button data-copy="id of the element">`. */
import { setText } from './dom.ts';

const CONFIRM_MS = 1_600;

export function enableCopyButtons(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>('button[data-copy]')) {
    const label = button.textContent ?? 'Copy';
    let timer: ReturnType<typeof setTimeout> | undefined;
    button.addEventListener('click', async () => {
      const source = document.getElementById(button.dataset.copy ?? '');
      if (source === null) return;
      const done = await copyText(source);
      setText(button, done ? 'Copied' : 'Press Ctrl+C');
      clearTimeout(timer);
      timer = setTimeout(() => setText(button, label), CONFIRM_MS);
    });
  }
}

/** The clipboard exists in secure contexts only; elsewhere the text is selected and copied the old way. */
async function copyText(source: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(source.textContent ?? '');
    return true;
  } catch {
    getSelection()?.selectAllChildren(source);
    return document.execCommand('copy');
  }
}
