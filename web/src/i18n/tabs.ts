import type { Part } from "./index.svelte";

export const tabs = {} as const satisfies Part;
