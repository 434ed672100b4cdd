import { events } from "./tabs-events";
import { groups } from "./tabs-groups";
import { kernel } from "./tabs-kernel";
import { meanings } from "./tabs-meanings";
import type { Part } from "./index.svelte";

const shared = {
  "tabs.offline.hint": { en: "is it running? systemctl status tracklight", it: "è in funzione? systemctl status tracklight" },
  "tabs.stale": { en: "The latest try failed; this is as it was before.", it: "L'ultimo tentativo è fallito; questi sono i dati precedenti." },
} as const satisfies Part;

/** The views beside the table of connections. */
export const tabs = { ...shared, ...groups, ...events, ...kernel, ...meanings } as const satisfies Part;
