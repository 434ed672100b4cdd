/** The views of the page, in order: `?tab=` of its address. */
export const TABS = ["connections", "groups", "events", "expectations", "statistics", "health"] as const;
export type Tab = (typeof TABS)[number];
