import type { Part } from "./index.svelte";

export const deletion = {} as const satisfies Part;
