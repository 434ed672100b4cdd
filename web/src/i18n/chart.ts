import type { Part } from "./index.svelte";

export const chart = {} as const satisfies Part;
