/** What the daemon finds wrong, for the strip and the page of health. */
import { api, call } from "./api";
import { Poll } from "./poll.svelte";

export const SEVERITIES = ["critical", "warning", "notice", "info"] as const;

export const health = new Poll((signal) => call(api.GET("/api/v1/health", { signal })), 10_000);
export const statistics = new Poll((signal) => call(api.GET("/api/v1/statistics", { signal })), 5000);
