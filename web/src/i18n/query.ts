import type { Part } from "./index.svelte";

export const query = {} as const satisfies Part;
