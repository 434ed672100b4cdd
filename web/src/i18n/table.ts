import type { Part } from "./index.svelte";

export const table = {} as const satisfies Part;
