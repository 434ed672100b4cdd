/** Texts for the clipboard. */
import { t } from "../i18n/index.svelte";
import { toasts } from "./toasts.svelte";

/** Puts a text into the clipboard, and says so. */
export async function copy(text: string): Promise<void> {
  toasts.say((await toClipboard(text)) ? t("shell.copied") : t("drawer.copy.failed"));
}

/** Puts a text into the clipboard; whether that could be done. */
export async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have no clipboard for pages by plain HTTP from other machines, where routers' pages often are.
    return putByHand(text);
  }
}

function putByHand(text: string): boolean {
  const before = document.activeElement;
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.style.cssText = "position: fixed; opacity: 0";
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return isDone;
}
