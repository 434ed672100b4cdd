import { expect, test } from "vitest";
import { fieldsOf, networkOf, termOf, termOfKey, termOfOthers, valueText } from "./term";

test("values of fields are compared", () => {
  expect(termOf("src", "10.0.0.5")).toBe("src == 10.0.0.5");
  expect(termOf("src", "2001:db8::1")).toBe("src == 2001:db8::1");
  expect(termOf("dport", 443)).toBe("dport == 443");
  expect(termOf("provider", "lte backup")).toBe('provider == "lte backup"');
  expect(termOf("mark", 23299)).toBe("mark == 0x5b03");
  expect(termOf("label", "3,17")).toBe("label == 3 and label == 17");
});

test("what a group lacks is asked for", () => {
  expect(termOf("dport", null)).toBe("not has dport");
  expect(termOf("provider", null)).toBe("not has provider");
});

test("networks", () => {
  expect(termOf("src/24", "10.0.0.0/24")).toBe("src in 10.0.0.0/24");
  expect(termOf("/24", "10.0.0.0/24")).toBe("src in 10.0.0.0/24");
  expect(termOf("peer/24/56", "2001:db8::/56")).toBe("peer in 2001:db8::/56");
  expect(termOf("src/48", "10.0.0.5")).toBe("src == 10.0.0.5");
  expect(networkOf("dst/16")).toBe("dst");
  expect(networkOf("dst")).toBeUndefined();
});

test("translations and status select exactly their group", () => {
  expect(termOf("nat", "none")).toBe("not nat");
  expect(termOf("nat", "snat")).toBe("snat and not dnat");
  expect(termOf("status", "ASSURED")).toBe(
    "assured and not (unreplied or dying or expected or offloaded or status == HW_OFFLOAD or status == FIXED_TIMEOUT)",
  );
  expect(termOf("status", "SEEN_REPLY")).toMatch(/^not \(assured or unreplied/);
  expect(termOf("status", "HW_OFFLOAD,ASSURED")).not.toContain("offloaded");
});

test("several fields, and the rest", () => {
  expect(termOfKey(["src", "dport"], { src: "10.0.0.1", dport: null })).toBe("src == 10.0.0.1 and not has dport");
  expect(termOfOthers("src", ["10.0.0.1", "10.0.0.2"])).toBe("not (src == 10.0.0.1 or src == 10.0.0.2)");
  expect(termOfOthers("nat", ["snat"])).toBe("not ((snat and not dnat))");
});

test("how values are read", () => {
  expect(fieldsOf(" src, dst,,")).toEqual(["src", "dst"]);
  expect(valueText("mark", 255)).toBe("0xff");
  expect(valueText("src", null)).toBe("");
  expect(valueText("dport", 53)).toBe("53");
});
