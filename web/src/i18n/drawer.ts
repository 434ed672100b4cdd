import type { Part } from "./index.svelte";

export const drawer = { "drawer.copy.failed": { en: "The browser did not let it be copied", it: "Il browser non ha permesso di copiare" } } as const satisfies Part;
