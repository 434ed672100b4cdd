import type { Part } from "./index.svelte";

export const drawer = {} as const satisfies Part;
