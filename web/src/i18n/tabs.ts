import type { Part } from "./index.svelte";

export const tabs = {
  "tabs.offline.hint": { en: "is it running? systemctl status tracklight", it: "è in funzione? systemctl status tracklight" },
} as const satisfies Part;
